"""`DELETE /api/v1/users/{user_id}/content`, and the register. Every row and object is compared as text."""

import json
import time
import tracemalloc
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from local_stack.processes import becomes_true
from migrations import installation
from roadmap_content.capabilities.erasure import deleted
from roadmap_content.capabilities.erasure import erase as erase_of_users
from roadmap_content.capabilities.erasure import rows as rows_of_users
from roadmap_content.capabilities.erasure import sweep as sweep_of_erasure
from roadmap_content.capabilities.erasure.deleted import remove_deleted
from roadmap_content.capabilities.erasure.errors import ErasureRunningError
from roadmap_content.capabilities.erasure.rows import RuleMissingError, erase_rows, rules
from roadmap_content.capabilities.recoveries.decisions import Limits
from roadmap_content.capabilities.recoveries.recovery import insert_recovery
from roadmap_content.client.http import path_of
from roadmap_content.content.roadmaps.metadata import lock_roadmap
from roadmap_content.contracts.erasure import Removed
from roadmap_content.contracts.errors import DatabaseUnavailableError, RoadmapLockedError
from roadmap_content.contracts.events import DetailType, Event
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.aws.executions import ExecutionsUnavailableError
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage import keys
from roadmap_content.platform.storage.bucket import Bucket, StoredVersion
from roadmap_content.runs.reconciliation.sweeps import forget_places
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.outbox import record_events
from roadmap_content.state.queue.capacity import NOTHING
from roadmap_content.state.queue.claims import Claim, claim
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.task import read_task
from tests.support.erasing import QUIET, erased, rows_with
from tests.support.factories import CONTENT_TABLES, USER, bundle_of, concept_ids
from tests.support.pipeline import S3, SETTINGS, Pipeline, log_of, services_for
from tests.support.prepared import prepare
from tests.support.requests_to_api import OPERATOR, Ask

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


GROUPS = "SELECT group_id, tasks, items FROM content_failure_groups WHERE items > 0 ORDER BY group_id"
TASK_GROUPS = """
SELECT group_id, count(DISTINCT task_id) AS tasks, sum(items) AS items FROM content_task_failures
GROUP BY group_id ORDER BY group_id
"""


def named(pipeline: Pipeline, user: str) -> dict[str, list[str]]:
    """The rows that contain a text, by table."""
    every = rows_with(pipeline.engine).items()
    return {table: found for table, rows in every if (found := [row for row in rows if user in row])}


def versions(s3: "S3Client", part: str) -> list[tuple[str, str]]:
    """All versions and delete markers with a text in their keys."""
    found = s3.list_object_versions(Bucket="content")
    entries = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
    return [(each["Key"], each["VersionId"]) for each in entries if part in each["Key"]]


def erase(ask: Ask, user: str, **query: str) -> dict[str, Any]:
    """Repeat the request until it is complete, or must wait; return the last answer, `removed` in total."""
    total = Removed()
    after: dict[str, str] = {}
    while True:
        reply = ask("DELETE", "/users/-/content", query | after | {"exact": user}, **OPERATOR)
        assert reply.status == 200, reply.body
        total += Removed.model_validate(reply.body["removed"])
        if reply.body["complete"] or reply.body["waits_until"]:
            return {**reply.body, "removed": total}
        after = {"after": reply.body["after"]} if reply.body["after"] else {}


@pytest.fixture
def s3(bucket_name: str) -> "S3Client":
    """The S3 of the steps, with versions."""
    S3.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    return S3.client


def run_of(pipeline: Pipeline, user: str, number: int) -> Pipeline:
    """A run of a user, with an item that is refused, a former version and a deleted object."""
    task = Pipeline(pipeline.services, f"{user}-t-{number}", pipeline.engine)
    ids = concept_ids(2, f"{user}-r-{number}")
    bundle: dict[str, Any] = bundle_of(ids, roadmap_id=f"{user}-r-{number}", task_id=task.task_id)
    bundle["roadmap"]["user_id"] = bundle["task"]["user_id"] = user
    task.load(bundle)
    task.stage(Item(ids[0], ContentType.QUIZ), b"{")
    task.services.bucket.put(keys.rejected_key(task.roadmap_id, Item(ids[0], ContentType.QUIZ), 1, "x"), b"{")
    task.run()
    task.services.bucket.put(f"{task.roadmap_id}/concepts/{ids[0]}/v1.md", b"an unnamed text")
    of_roadmap = "SELECT content_url FROM tutorial_metadata WHERE roadmap_id = :id"
    for row in task.rows(of_roadmap, id=task.roadmap_id):
        task.services.bucket.put(row["content_url"], b"another version")
    task.services.bucket.delete(keys.staged_key(task.roadmap_id, Item(ids[1], ContentType.QUIZ)))
    task.execute(
        "INSERT INTO content_events (event_id, detail_type, task_id, detail) VALUES (:id, 'a', :id, '{}')",
        id=task.task_id,
    )
    return task


BY_ALICE = (
    "INSERT INTO content_capacity_changes (actor, reason, slots_before, slots, stopped_before, stopped)"
    " VALUES ('operator:alice', 'why', 1, 2, false, false)"
)


@pytest.fixture
def of_two_users(pipeline: Pipeline, s3: "S3Client") -> Pipeline:
    prepare(pipeline, two_users)
    return pipeline


def two_users(pipeline: Pipeline) -> None:
    """A run with failures for each of two users, and a second one of the first user, an operator."""
    for user, number in (("alice", 1), ("bob", 1), ("alice", 2)):
        run_of(pipeline, user, number)
    pipeline.execute("UPDATE content_attempts SET actor = 'operator:alice' WHERE task_id LIKE '%-t-1'")
    pipeline.execute(BY_ALICE)
    pipeline.execute(
        "INSERT INTO content_recoveries (recovery_id, state, actor, reason, filter, rate_per_minute,"
        " concurrency, canary)"
        " VALUES ('x', 'completed', 'operator:op', 'why', CAST(:filter AS json), 1, 1, 0)",
        filter='{"user_id": "alice", "task_ids": ["alice-t-1"], "roadmap_id": "alice-r-1", "q": "alice-t-2"}',
    )
    pipeline.execute(
        "INSERT INTO content_events (event_id, detail_type, task_id, detail)"
        " VALUES ('e', 'a', 'bob-t-1', '{\"actor\": \"operator:alice\"}')"
    )


PRODUCT_TABLES = {"roadmap_tasks", "roadmap_metadata", *CONTENT_TABLES}


@pytest.mark.parametrize("product_rows", [False, True])
def test_a_user_is_erased_and_the_neighbour_is_not_changed(
    of_two_users: Pipeline, s3: "S3Client", ask: Ask, product_rows: bool
) -> None:
    wanted = {"product_rows": "true"} if product_rows else {}
    before, neighbour = named(of_two_users, "alice"), versions(s3, "bob")
    bobs = {row for lines in named(of_two_users, "bob").values() for row in lines if "alice" not in row}
    preview = erase(ask, "alice", dry_run="true", **wanted)
    assert (named(of_two_users, "alice"), versions(s3, "bob")) == (before, neighbour)

    answer = erase(ask, "alice", **wanted)
    assert named(of_two_users, "alice").keys() == (set() if product_rows else PRODUCT_TABLES)
    tasks = of_two_users.rows("SELECT attempt, execution_arn FROM roadmap_tasks WHERE user_id = 'alice'")
    mark = f"erasure:{answer['receipt']['erasure_id']}"
    assert tasks == ([] if product_rows else [{"attempt": 0, "execution_arn": mark}] * 2)
    texts = of_two_users.rows("SELECT content_url FROM tutorial_metadata WHERE roadmap_id LIKE 'alice%'")
    assert sorted(key for key, _ in versions(s3, "alice")) == sorted(row["content_url"] for row in texts)
    assert {row for lines in named(of_two_users, "bob").values() for row in lines} >= bobs
    assert versions(s3, "bob") == neighbour
    assert of_two_users.rows(GROUPS) == of_two_users.rows(TASK_GROUPS) != []

    # The receipt has the numbers that there were, and those of the preview.
    removed = answer["removed"]
    assert removed == preview["removed"]
    own = {
        table: len(found) for table, found in before.items() if product_rows or table not in PRODUCT_TABLES
    }
    assert removed.rows | {"content_attempts": 3} == {
        table: count
        for table, count in own.items()
        if table not in ("content_capacity_changes", "content_recoveries")
    } | {"content_events": own["content_events"] - 1}
    assert Removed.model_validate(answer["receipt"]["removed"]) == removed
    once = ("content_attempts", "content_capacity_changes", "content_events", "content_recoveries")
    assert removed.names == dict.fromkeys(once, 1)
    assert not erase(ask, "alice", dry_run="true", **wanted)["removed"]


def test_the_status_of_an_erased_user_s_task_is_the_receipt_until_the_next_claim(
    of_two_users: Pipeline, ask: Ask
) -> None:
    """Regressions: it read like a task that only the product had processed; a recovery paid for it again."""

    def status(user: str) -> dict[str, Any]:
        answer = ask("GET", f"/tasks/{user}-t-1", **OPERATOR)
        assert answer.status == 200, answer
        return dict(answer.body)

    receipt = erase(ask, "alice")["receipt"]
    erased = status("alice")
    assert (erased["erased"], erased["attempt"], erased["execution_arn"]) == (receipt, 0, None)
    assert erased["erased"]["ended_at"] is not None
    assert status("bob")["erased"] is None

    every = {"filter": {"status": ["partial_failure"]}, "rate_per_minute": 1, "concurrency": 1}
    assert ask("POST", "/recoveries", body=every | {"reason": "why"}, **OPERATOR).status == 201
    assert of_two_users.rows("SELECT task_id FROM content_recovery_tasks") == [{"task_id": "bob-t-1"}]

    assert ask("POST", "/tasks/alice-t-1/retry", **OPERATOR).status == 202
    assert (status("alice")["erased"], status("alice")["attempt"]) == (None, 1)


def test_nothing_is_claimed_meanwhile_and_nothing_is_deleted_while_a_step_may_write(
    of_two_users: Pipeline, ask: Ask
) -> None:
    of_two_users.execute("UPDATE content_attempts SET outcome = 'cancelled' WHERE task_id = 'alice-t-2'")
    before = named(of_two_users, "alice").keys()
    answer = erase(ask, "alice")
    assert answer["waits_until"] is not None
    assert before <= named(of_two_users, "alice").keys()
    assert ask("POST", "/tasks/alice-t-1/cancel", user_id="alice").status == 409
    preview = ask("POST", "/tasks/alice-t-1/retry", {"dry_run": "true"}, user_id="alice")
    assert preview.body["error"] == "ErasureRunning"
    (restored,) = of_two_users.rows(
        "SELECT concept_id, quiz_id FROM quiz_metadata WHERE roadmap_id = 'alice-r-1'"
    )
    path = path_of("tasks", "alice-t-1", "items", "quiz", "revisions", restored["quiz_id"], "restore")
    query = {"concept_id": restored["concept_id"]}
    assert ask("POST", path, query, **OPERATOR).body["error"] == "ErasureRunning"
    limits = {"rate_per_minute": 1, "concurrency": 1, "reason": "why"}
    for dry_run in (True, False):
        chosen = {"filter": {"task_ids": ["alice-t-1", "bob-t-1"]}, "dry_run": dry_run, **limits}
        assert ask("POST", "/recoveries", body=chosen, **OPERATOR).body["error"] == "ErasureRunning"
    every = {"filter": {"status": ["partial_failure"]}, **limits}
    assert ask("POST", "/recoveries", body=every, **OPERATOR).status == 201
    assert of_two_users.rows("SELECT task_id FROM content_recovery_tasks") == [{"task_id": "bob-t-1"}]
    with pytest.raises(ErasureRunningError):
        retry_task(of_two_users.services, "alice-t-1", "alice", Deadline.after(60), user_start("alice"))
    by_hand = Pipeline(of_two_users.services, "alice-t-1", of_two_users.engine)
    by_hand.runs = 1
    with pytest.raises(ErasureRunningError):
        by_hand.plan()
    of_two_users.execute(QUIET)
    assert erase(ask, "alice")["complete"]
    read = transact(
        of_two_users.engine, lambda connection: read_task(connection, "alice-t-1"), Deadline.after(60)
    )
    assert erase(ask, "alice")["complete"]
    with pytest.raises(RoadmapLockedError):  # a decision from before an erasure
        claim(of_two_users.services, read, "arn", Deadline.after(60), user_start("alice"), NOTHING)
    retried = retry_task(of_two_users.services, "alice-t-1", "alice", Deadline.after(60), user_start("alice"))
    assert (retried.status, retried.attempt) == ("processing", 1)


@pytest.mark.parametrize(
    "change",
    [
        "outcome = 'cancelled'",
        "outcome = 'superseded'",
        "attempt = 1 WHERE task_id IN (SELECT task_id FROM content_failures WHERE stage = 'workflow')",
    ],
)
def test_an_erasure_waits_for_a_step_that_may_write(of_two_users: Pipeline, ask: Ask, change: str) -> None:
    """After a run that Finalize has counted, no step writes."""
    assert erase(ask, "bob")["waits_until"] is None
    of_two_users.execute("UPDATE content_failures SET stage = 'workflow' WHERE task_id = 'alice-t-1'")
    of_two_users.execute("DELETE FROM content_failures WHERE stage <> 'workflow'")
    if "outcome" in change:
        of_two_users.execute("DELETE FROM content_failures")
    of_two_users.execute(f"UPDATE content_attempts SET {change}")
    assert erase(ask, "alice")["waits_until"] is not None
    of_two_users.execute(QUIET)
    assert erase(ask, "alice")["complete"]


def test_a_run_whose_task_is_deleted_or_completed_is_stopped(
    of_two_users: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(of_two_users.executions, "stop", stopped.append)
    of_two_users.execute(
        "UPDATE content_attempts SET ended_at = NULL, step = 'working', execution_arn = task_id"
        " WHERE user_id = 'alice'"
    )
    of_two_users.execute("UPDATE roadmap_tasks SET status = 'completed' WHERE task_id = 'alice-t-1'")
    of_two_users.execute("DELETE FROM roadmap_tasks WHERE task_id = 'alice-t-2'")
    assert erase(ask, "alice")["waits_until"] is not None
    assert sorted(stopped) == ["alice-t-1", "alice-t-2"]


@pytest.mark.parametrize(
    ("state", "life", "status"),
    [
        ("running", "", "partial_failure"),
        ("waiting", "", "partial_failure"),
        ("running", ", attempt = 0, execution_arn = NULL", "processing"),  # the row was made again
    ],
)
def test_a_task_that_the_product_has_given_to_another_user_is_not_cancelled(
    of_two_users: Pipeline, ask: Ask, state: str, life: str, status: str
) -> None:
    """Regression: it was, in the name of the operator, because "the user's data is erased"."""
    of_task = "WHERE task_id = 'alice-t-1'"
    of_two_users.execute(
        f"UPDATE content_attempts SET ended_at = NULL, step = 'working', outcome = NULL {of_task};"
        f"UPDATE content_queue SET ended_at = NULL, state = '{state}' {of_task};"
        "UPDATE roadmap_metadata SET user_id = 'bob' WHERE roadmap_id = 'alice-r-1';"
        f"UPDATE roadmap_tasks SET user_id = 'bob', completed_at = NULL,status = 'processing'{life} {of_task}"
    )
    assert erase(ask, "alice")["waits_until"] is not None
    (ended,) = of_two_users.rows(f"SELECT outcome FROM content_attempts {of_task} AND ended_at IS NOT NULL")
    assert ended["outcome"] == "cancelled"
    of_two_users.execute(QUIET)
    assert erase(ask, "alice")["complete"]
    (task,) = of_two_users.rows(f"SELECT status, error_message FROM roadmap_tasks {of_task}")
    assert task["status"] == status
    assert "erased" not in str(task["error_message"])
    open_entries = of_two_users.rows(f"SELECT state FROM content_queue {of_task} AND state <> 'ended'")
    assert len(open_entries) == (1 if life else 0), "the sweep ends that of the earlier life"


def test_nothing_is_erased_while_a_run_cannot_be_stopped(
    of_two_users: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(_: str) -> bool:
        raise ExecutionsUnavailableError("DescribeExecution: ThrottlingException")

    monkeypatch.setattr(of_two_users.executions, "stop", throttled)
    of_two_users.execute(
        "UPDATE content_attempts SET ended_at = NULL, step = 'working', execution_arn = task_id"
        " WHERE task_id = 'alice-t-1'"
    )
    of_two_users.execute(
        "UPDATE roadmap_tasks SET status = 'processing', execution_arn = task_id WHERE task_id = 'alice-t-1'"
    )
    refused = ask("DELETE", "/users/-/content", {"exact": "alice"}, **OPERATOR)
    assert (refused.status, refused.body["error"]) == (503, "ExecutionsUnavailable")
    attempts = "SELECT ended_at, user_id FROM content_attempts WHERE task_id = 'alice-t-1'"
    assert of_two_users.rows(attempts) == [{"ended_at": None, "user_id": "alice"}]


def test_a_page_waits_for_the_lock_of_its_tasks_roadmaps(of_two_users: Pipeline, database_url: str) -> None:
    """A task's page comes after that of its roadmap; a save locks the roadmap, not the task."""
    other = create_engine(database_url, poolclass=NullPool)
    with of_two_users.engine.connect() as saving, other.connect() as erasing:
        lock_roadmap(saving, "alice-r-1")
        erasing.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            rows_of_users.lock_subjects(erasing, rows_of_users.Subjects([], ["alice-t-1"], ("", "")))


def test_failures_without_an_attempt_are_of_the_user(of_two_users: Pipeline, ask: Ask) -> None:
    """Those of a task that was finalized on request, and never claimed; the product has deleted it."""
    of_two_users.execute("DELETE FROM content_attempts; DELETE FROM roadmap_tasks; DELETE FROM content_queue")
    with of_two_users.engine.connect() as connection:
        assert rows_of_users.is_named(connection, "alice")
    assert erase(ask, "alice")["complete"]
    assert named(of_two_users, "alice").get("content_task_failures") is None


def test_an_erasure_that_misses_rows_ends_with_an_error(
    of_two_users: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: each request found nothing to erase and answered that there was more, without an end."""
    monkeypatch.setattr(rows_of_users, "next_subjects", lambda *_: None)
    with pytest.raises(RuleMissingError):
        ask("DELETE", "/users/-/content", {"exact": "alice"}, **OPERATOR)


def test_an_erasure_notes_no_change_of_a_roadmap_with_several_tasks(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tasks are on different pages; a note would name the roadmap after the erasure."""
    monkeypatch.setattr("roadmap_content.capabilities.erasure.erase.PAGE", 1)
    insert_tasks(pipeline, "alice", 2)
    for table in ("roadmap_tasks", "content_attempts"):
        pipeline.execute(f"UPDATE {table} SET roadmap_id = 'alice-r-1'")
    pipeline.execute(QUIET)
    assert erase(ask, "alice")["complete"]
    assert named(pipeline, "alice").keys() == {"roadmap_tasks", "roadmap_metadata"}


def test_a_table_that_the_product_creates_later_stops_only_an_erasure_of_its_rows(
    of_two_users: Pipeline, ask: Ask
) -> None:
    of_two_users.execute("CREATE TABLE concept_progress (id text, user_id text, roadmap_id text)")
    try:
        wanted = {"product_rows": "true", "exact": "alice"}
        for dry_run in ("true", "false"):
            refused = ask("DELETE", "/users/alice/content", wanted | {"dry_run": dry_run}, **OPERATOR)
            assert (refused.status, refused.body["error"]) == (409, "ErasureRefused")
            assert "concept_progress" in refused.body["message"]
            assert "migration" in refused.body["message"]
        assert erase(ask, "alice")["complete"]
    finally:
        of_two_users.execute("DROP TABLE concept_progress")


@pytest.mark.parametrize("checked", ["", " DEFERRABLE INITIALLY DEFERRED"], ids=["at once", "at the commit"])
def test_a_refused_erasure_leaves_the_rows_and_the_texts_that_they_name(
    of_two_users: Pipeline, s3: "S3Client", ask: Ask, checked: str
) -> None:
    """Regression: the texts were deleted first, and the rows still named them."""
    of_two_users.execute(f"CREATE TABLE bookmarks (roadmap_id text REFERENCES roadmap_metadata{checked})")
    try:
        of_two_users.execute("INSERT INTO bookmarks VALUES ('alice-r-1')")
        before = named(of_two_users, "alice-r-1")["tutorial_metadata"], versions(s3, "alice-r-1")
        wanted = {"product_rows": "true", "exact": "alice"}
        refused = ask("DELETE", "/users/-/content", wanted, **OPERATOR)
        assert (refused.status, refused.body["error"]) == (409, "ErasureRefused")
        assert "bookmarks" in refused.body["message"]
        assert (named(of_two_users, "alice-r-1")["tutorial_metadata"], versions(s3, "alice-r-1")) == before
        of_two_users.execute("DELETE FROM bookmarks")
        assert erase(ask, "alice")["complete"]
        assert versions(s3, "alice-r-1") == []
    finally:
        of_two_users.execute("DROP TABLE bookmarks")


def findings(ask: Ask) -> list[str]:
    return [found["what"] for found in ask("GET", "/health", **OPERATOR).body["attention"]]


def test_an_interrupted_erasure_is_repeated(
    of_two_users: Pipeline, s3: "S3Client", ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request has time for one page of one roadmap or task; the second client begins anew."""
    monkeypatch.setattr("roadmap_content.capabilities.erasure.erase.PAGE", 1)
    preview = erase(ask, "alice", dry_run="true", product_rows="true")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(rows_of_users, "erase_rows", once(rows_of_users.erase_rows))
        with pytest.raises(RuntimeError):
            erase(ask, "alice", product_rows="true")
    for row in of_two_users.rows("SELECT content_url FROM tutorial_metadata WHERE roadmap_id LIKE 'alice%'"):
        of_two_users.bucket.put(row["content_url"], b"as if the page's objects were not deleted yet")
    assert "erasures_unfinished" not in findings(ask)
    of_two_users.execute("UPDATE content_erasures SET requested_at = requested_at - interval '2 hours'")
    assert "erasures_unfinished" in findings(ask)
    assert erase(ask, "alice")["complete"]  # what was asked for first still applies
    assert "erasures_unfinished" not in findings(ask)
    (entry,) = of_two_users.rows("SELECT removed, user_id FROM content_erasures")
    assert Removed.model_validate(entry["removed"]).rows == preview["removed"].rows
    assert entry["user_id"] is None
    assert versions(s3, "alice") == []


def stops_after_the_objects(monkeypatch: pytest.MonkeyPatch, stop: str) -> None:
    """Let each request stop when the objects of its first page are deleted, or repeat each transaction."""
    if stop == "the run of a late claim":
        soon = [datetime.now(UTC)]
        monkeypatch.setattr(erase_of_users, "quiet_at", lambda *_: soon.pop() if soon else None)
    elif stop == "a database that does not answer":
        monkeypatch.setattr(erase_of_users, "forget_places", once_refused(forget_places))
    elif stop == "an object that S3 keeps":
        monkeypatch.setattr(Bucket, "delete_versions", keeps_the_last(Bucket.delete_versions))
    else:

        def twice(*arguments: Any, **named: Any) -> Any:
            """As if the first COMMIT had not been answered."""
            transact(*arguments, **named)
            return transact(*arguments, **named)

        monkeypatch.setattr(erase_of_users, "transact", twice)


def once_refused(work: Callable[..., Any]) -> Callable[..., Any]:
    refusals = [DatabaseUnavailableError("no answer")]

    def call(*arguments: Any, **named: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return work(*arguments, **named)

    return call


def keeps_the_last(delete: Callable[..., dict[StoredVersion, str]]) -> Callable[..., Any]:
    kept: list[StoredVersion] = []

    def call(bucket: Bucket, versions: Sequence[StoredVersion]) -> dict[StoredVersion, str]:
        if kept or len(versions) < 2:
            return delete(bucket, versions)
        kept.append(versions[-1])
        return delete(bucket, versions[:-1]) | {versions[-1]: "InternalError"}

    return call


@pytest.mark.parametrize(
    "stop",
    [
        "the run of a late claim",
        "a database that does not answer",
        "an object that S3 keeps",
        "a COMMIT without an answer",
    ],
)
def test_the_receipt_counts_each_object_once_wherever_a_request_stops(
    of_two_users: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    preview = erase(ask, "alice", dry_run="true", product_rows="true")["removed"]
    stops_after_the_objects(monkeypatch, stop)
    ask("DELETE", "/users/-/content", {"exact": "alice", "product_rows": "true"}, **OPERATOR)
    assert erase(ask, "alice")["complete"]
    entry, *_ = of_two_users.rows("SELECT removed FROM content_erasures ORDER BY began_at")
    removed = Removed.model_validate(entry["removed"])
    assert (removed.objects, removed.rows) == (preview.objects, preview.rows)


def once(work: Callable[..., Any]) -> Callable[..., Any]:
    """Work that succeeds once, and then interrupts."""
    calls = iter([work])

    def call(*arguments: Any, **named: Any) -> Any:
        for each in calls:
            return each(*arguments, **named)
        raise RuntimeError

    return call


@pytest.mark.parametrize("lost", ["database", "bucket"])
def test_after_a_restore_the_register_is_applied_to_what_is_older(
    of_two_users: Pipeline, s3: "S3Client", ask: Ask, lost: str
) -> None:
    of_two_users.execute("CREATE TABLE backup AS SELECT * FROM content_attempts WHERE user_id = 'alice'")
    erase(ask, "alice")
    if lost == "database":
        of_two_users.execute("DELETE FROM content_erasures")
    else:
        for key, version in versions(s3, keys.ERASURES):
            s3.delete_object(Bucket="content", Key=key, VersionId=version)
    of_two_users.execute("INSERT INTO content_attempts SELECT * FROM backup")
    of_two_users.execute("DROP TABLE backup")
    # The user came back: as a learner with two roadmaps, of which one is older than the erasure, and as an
    # operator. Each has an older and a newer row.
    run_of(of_two_users, "alice", 3)
    of_two_users.execute("UPDATE content_attempts SET roadmap_id = 'alice-r-1' WHERE task_id = 'alice-t-3'")
    newer = keys.staged_key("alice-r-1", Item("a newer concept", ContentType.QUIZ))
    of_two_users.bucket.put(newer, b"{}")
    of_two_users.execute(BY_ALICE)
    for number, at in enumerate(("now()", "now() - interval '1 day'")):
        of_two_users.execute(
            "INSERT INTO content_events (event_id, detail_type, task_id, detail, recorded_at) VALUES"
            f" (:id, 'a', 'bob-t-1', '{{\"data\": {{\"actor\": \"operator:alice\"}}}}', {at})",
            id=f"by alice {number}",
        )
    (due,) = ask("POST", "/erasures/due", **OPERATOR).body["due"]
    assert (due["user_id"], due["product_rows"]) == ("alice", False)
    (before,) = of_two_users.rows("SELECT ended_at FROM content_erasures")
    of_another = {"replay": due["erasure_id"], "exact": "bob"}
    assert ask("DELETE", "/users/-/content", of_another, **OPERATOR).status == 422
    assert erase(ask, "alice", replay=due["erasure_id"])["complete"]
    left = named(of_two_users, "alice")
    assert ["alice-t-3" in row for row in left["content_attempts"]] == [True]
    assert ["by alice 0" in row for row in left["content_events"] if "operator:alice" in row] == [True]
    assert left.keys() >= {"content_capacity_changes", "content_queue_keys"}
    assert of_two_users.bucket.holds(newer)
    assert len({key for key, _ in versions(s3, keys.ERASURES)}) == 1
    (entry,) = of_two_users.rows("SELECT user_hash, user_id, ended_at FROM content_erasures")
    assert entry["user_id"] is None
    assert entry["ended_at"] == before["ended_at"] is not None
    assert "alice" not in entry["user_hash"]
    of_two_users.services.erasure_key = "the key of another stack"
    assert ask("POST", "/erasures/due", **OPERATOR).body == {"registered": 1, "of_another_key": 1, "due": []}


def test_the_register_s_copy_gets_an_end_that_was_not_written(of_two_users: Pipeline, ask: Ask) -> None:
    erase(ask, "alice")
    (key,) = of_two_users.bucket.keys(keys.ERASURES, "")
    ended = of_two_users.bucket.get(key)
    assert ended is not None
    of_two_users.bucket.put(key, json.dumps(json.loads(ended.body) | {"ended_at": None}).encode())
    ask("POST", "/erasures/due", **OPERATOR)
    assert of_two_users.bucket.get(key) == ended


OTHERS = {
    "content_capacity_changes": "(actor, reason, slots_before, slots, stopped_before, stopped)"
    " VALUES ('x', 'why', 1, 1, false, false)",
    "content_group_changes": "(group_id, actor, state, note) VALUES ('g', 'x', 'ignored', 'why')",
    "content_erasures": "(erasure_id, user_hash, actor, product_rows, removed)"
    " VALUES ('e', 'h', 'x', false, '{}')",
    "quiz_attempts": "VALUES ('a', 'x', 'q', now())",
}


def test_a_replay_finds_each_user_whom_one_row_names(of_two_users: Pipeline, ask: Ask) -> None:
    """Each column that names somebody names another operator, learner or owner, which is erased."""
    of_two_users.execute(
        "CREATE TABLE quiz_attempts (id text, user_id text, quiz_id text, attempted_at timestamp)"
    )
    of_two_users.execute("GRANT ALL ON quiz_attempts TO PUBLIC")
    for table, values in OTHERS.items():
        of_two_users.execute(f"INSERT INTO {table} {values}")
    with of_two_users.engine.connect() as connection:
        every = [rule for rule in rules(connection) if rule.columns & NAMING.keys()]
    people = set()
    for rule in every:
        for column in rule.columns & NAMING.keys():
            people.add(name := f"{rule.table}.{column}"[:64])
            of_two_users.execute(
                f"UPDATE {rule.table} SET {column} = CAST(:value AS {NAMING[column][0]})"
                f" WHERE ctid = (SELECT min(ctid) FROM {rule.table})",
                value=NAMING[column][1] % name,
            )
    assert {name.partition(".")[0] for name in people} >= {
        *OTHERS,
        "content_queue_keys",
        "content_recoveries",
    }
    with of_two_users.engine.connect() as connection:
        assert {*rows_of_users.all_users(connection)} >= people


NAMING = {
    "user_id": ("text", "%s"),
    "actor": ("text", "operator:%s"),
    "queue_key": ("text", "user:%s"),
    "filter": ("json", '{"user_id": "%s"}'),
    "detail": ("json", '{"data": {"actor": "user:%s"}}'),
}
"""The columns that name somebody: their type, and a value."""


TASKS = """
INSERT INTO roadmap_metadata (roadmap_id, user_id, title)
SELECT :u || '-r-' || n, :u, 'T' FROM generate_series(1, :n) n;
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, attempt)
SELECT :u || '-t-' || n, :u, :u || '-r-' || n, 'completed', 1 FROM generate_series(1, :n) n;
INSERT INTO content_attempts
    (task_id, attempt, actor, cause, step, ended_at, outcome, user_id, roadmap_id, saved)
SELECT task_id, 1, 'user:' || :u, 'retry', 'ended', now(), 'completed', :u, roadmap_id, '{}'
FROM roadmap_tasks WHERE user_id = :u;
INSERT INTO content_events (event_id, detail_type, task_id, detail, delivered_at)
SELECT task_id || '-' || n, 'a', task_id, '{}', now()
FROM roadmap_tasks, generate_series(1, 77) n WHERE user_id = :u;
INSERT INTO content_origins (content_type, roadmap_id, concept_id, task_id)
SELECT 'quiz', roadmap_id, 'c-' || n, task_id FROM roadmap_tasks, generate_series(1, 90) n WHERE user_id = :u
"""


def insert_tasks(pipeline: Pipeline, user: str, number: int, statements: int = 3) -> None:
    """Insert roadmaps, tasks and attempts of a user; with more statements, their events and origins."""
    for statement in TASKS.split(";")[:statements]:
        pipeline.execute(statement, u=user, **({"n": number} if ":n)" in statement else {}))


def swept(pipeline: Pipeline) -> None:
    """A sweep, for which everything is old enough."""
    pipeline.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    pipeline.sweep(time=datetime.now(UTC))


def test_a_text_goes_when_no_row_names_it(of_two_users: Pipeline, s3: "S3Client", ask: Ask) -> None:
    """The texts of current and former rows stay, and those of a task at work, and of the product."""
    first = of_two_users.rows("SELECT * FROM tutorial_metadata WHERE roadmap_id = 'bob-r-1'")[0]
    unsaved, of_alice = (
        keys.text_key(roadmap_id, "c", b"never saved") for roadmap_id in ("bob-r-1", "alice-r-1")
    )
    for key in (unsaved, of_alice, "bob-r-1/concepts/c/v1.md", "bob-r-1/concepts/c/x.png"):
        of_two_users.services.bucket.put(key, b"never saved")
    of_two_users.execute("DELETE FROM tutorial_metadata WHERE tutorial_id = :id", id=first["tutorial_id"])
    of_two_users.execute(QUIET)
    of_two_users.execute(
        "UPDATE content_attempts SET ended_at = NULL, step = 'working' WHERE roadmap_id = 'alice-r-1'"
    )
    before = of_two_users.services.bucket.keys("", "")
    swept(of_two_users)
    assert {*before} - {*of_two_users.services.bucket.keys("", "")} == {unsaved}
    assert len(versions(s3, unsaved)) == 2, "the bucket's lifecycle deletes the text"

    of_two_users.execute("DELETE FROM content_archive")
    erase(ask, "alice")
    of_two_users.execute(f"TRUNCATE roadmap_metadata, {', '.join(CONTENT_TABLES)}")
    texts = {key for key in before if keys.text_in(key)} - {unsaved}
    assert first["content_url"] in texts
    swept(of_two_users)
    swept(of_two_users)
    left = {*of_two_users.services.bucket.keys("", "")} & texts
    assert left == set()


def test_a_text_stays_that_an_attempt_writes_again_while_the_sweep_looks_for_its_name(
    of_two_users: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is claimed between two statements; Save writes the other text after both."""
    claimed, rewritten = (keys.text_key(f"{user}-r-1", "c", b"again") for user in ("alice", "bob"))
    bucket = of_two_users.services.bucket
    for key in (claimed, rewritten):
        bucket.put_text(key, "again")
    of_two_users.execute(QUIET)

    asked: list[str] = []

    def claim(*arguments: Any) -> None:
        if not asked and "FROM content_a" in arguments[2]:
            asked.append(arguments[2])
            working = "UPDATE content_attempts SET ended_at = NULL, step = 'working'"
            of_two_users.execute(f"{working} WHERE roadmap_id = 'alice-r-1'")

    def find_unnamed(*arguments: Any) -> Any:
        found = deleted.unnamed_texts(*arguments)
        bucket.put_text(rewritten, "again")
        return found

    event.listen(of_two_users.services.engine, "after_cursor_execute", claim)
    monkeypatch.setattr(sweep_of_erasure, "unnamed_texts", find_unnamed)
    of_two_users.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    sweep_of_erasure.remove_texts(of_two_users.services, "", Deadline.after(60))
    assert [bucket.holds(key) for key in (claimed, rewritten)] == [True, True]


def test_many_deleted_tasks_and_texts_go_in_steps_also_after_an_interruption(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = pipeline.services.bucket
    monkeypatch.setattr(S3, "page", 200)
    for number in range(201):
        bucket.put(keys.text_key("r", "c", b"%d" % number), b"unnamed")
        bucket.put(keys.manifest_key(f"alice-t-{number}", 1, "", b""), b"")
    insert_tasks(pipeline, "alice", 200)
    pipeline.execute("UPDATE content_attempts SET ended_at = now() - interval '1 day'")
    pipeline.execute("DELETE FROM roadmap_tasks WHERE task_id <> 'alice-t-7'")
    monkeypatch.setattr(sweep_of_erasure, "TASKS", 120)
    monkeypatch.setattr(sweep_of_erasure, "PAGES", 1)
    left = []
    for interrupted in (False, False, True, False, False):
        with monkeypatch.context() as patch:
            if interrupted:
                patch.setattr(sweep_of_erasure, "remove_deleted", once(remove_deleted))
            swept(pipeline)
        (attempts,) = pipeline.rows("SELECT count(*) AS rows FROM content_attempts")
        left.append((attempts["rows"], len(bucket.keys("r/", ""))))
    # Two pages of tasks are marked. A page of manifests leads past all of them; two of texts follow.
    assert left == [(200, 200), (200, 1), (200 - sweep_of_erasure.STEP, 0), (60, 0), (1, 0)]
    assert bucket.keys(keys.MANIFESTS, "") == [
        keys.manifest_key(f"alice-t-{number}", 1, "", b"") for number in (0, 7)
    ]


def test_what_goes_some_days_after_its_roadmap_is_deleted_and_what_does_not(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six tasks of a user, each with a roadmap, staged content, and a text that no row names.

    1: its roadmap returns. 2: a task that is at work names its roadmap, too. 3: is due. 4: an attempt of the
    task names another roadmap, which was deleted later. 5: its roadmap was deleted later. 6: it stays.
    """
    bucket = pipeline.bucket
    insert_tasks(pipeline, "alice", 6)
    pipeline.execute(QUIET)
    attempt = (
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, outcome, user_id,"
        " roadmap_id, saved) VALUES (:task, 2, 'auto', 'retry', CASE WHEN CAST(:ended AS timestamp) IS NULL"
        " THEN 'working' ELSE 'ended' END, CAST(:ended AS timestamp), 'failed', 'alice', :roadmap, '{}')"
    )
    pipeline.execute(attempt, task="alice-t-6", ended=None, roadmap="alice-r-2")
    pipeline.execute(attempt, task="alice-t-4", ended="2026-01-01", roadmap="alice-r-4b")
    roadmaps = {f"alice-r-{number}" for number in (1, 2, 3, 4, "4b", 5, 6)}
    for roadmap_id in roadmaps:
        bucket.put(keys.staged_key(roadmap_id, Item("c", ContentType.QUIZ)), b"{}")
        bucket.put(keys.text_key(roadmap_id, "c", b"a"), b"a")
    pipeline.execute("CREATE TABLE gone AS SELECT * FROM roadmap_metadata WHERE roadmap_id = 'alice-r-1'")
    pipeline.execute("DELETE FROM roadmap_metadata WHERE roadmap_id <> 'alice-r-6'")

    def sweep(days: int = 30) -> tuple[set[str], set[str]]:
        """Sweep texts, and records except after 0 days; return the roadmaps with staged content and texts."""
        settings = SETTINGS | {"RETENTION_DAYS": f"deleted_by_product={days}"}
        pipeline.services.settings = Settings(settings)
        sweep_of_erasure.remove_texts(pipeline.services, "", Deadline.after(60))
        if days:
            sweep_of_erasure.remove_records(pipeline.services, "", Deadline.after(60))
        staged = {key.split("/")[2] for key in bucket.all_keys(keys.STAGED)}
        return staged, {key.split("/")[0] for key in bucket.all_keys("alice-")}

    def days_pass(where: str) -> None:
        days = "roadmap_gone_since = roadmap_gone_since - interval '31 days'"
        pipeline.execute(f"UPDATE content_attempts SET {days} WHERE {where}")

    assert sweep() == (roadmaps, roadmaps), "they are not old enough"
    assert sweep(0) == (roadmaps, roadmaps - {"alice-r-6"}), "the others go with their roadmaps"
    pipeline.execute("INSERT INTO roadmap_metadata SELECT * FROM gone; DROP TABLE gone")
    days_pass("roadmap_id NOT IN ('alice-r-4b', 'alice-r-5')")
    assert sweep() == (roadmaps - {"alice-r-3"}, roadmaps - {"alice-r-3", "alice-r-6"})
    (forgotten,) = pipeline.rows("SELECT * FROM content_attempts WHERE task_id = 'alice-t-3'")
    assert (forgotten["roadmap_id"], forgotten["roadmap_gone_since"]) == (None, None)
    assert forgotten["user_id"] == "alice"

    days_pass("roadmap_id IN ('alice-r-4b', 'alice-r-5')")
    pipeline.execute(
        "UPDATE content_attempts SET step = 'ended', ended_at = '2026-01-01' WHERE ended_at IS NULL"
    )
    with monkeypatch.context() as late:
        late.setattr(sweep_of_erasure, "RESERVE", 1_000)
        late.setattr(sweep_of_erasure, "TASKS", 5)
        place = sweep_of_erasure.remove_records(pipeline.services, "", Deadline.after(60))
        assert place == "", "the next sweep begins with the same page"
    assert sweep() == ({"alice-r-1", "alice-r-6"}, {"alice-r-1"})


def test_content_that_is_staged_while_the_sweep_removes_an_earlier_life_stays(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, find_texts = pipeline.bucket, rows_of_users.texts_of_others
    earlier, later = (keys.staged_key("alice-r-1", Item(name, ContentType.QUIZ)) for name in "ab")
    bucket.put(earlier, b"{}")
    insert_tasks(pipeline, "alice", 1)
    pipeline.execute(QUIET)
    pipeline.execute("DELETE FROM roadmap_tasks")
    pipeline.execute("DELETE FROM roadmap_metadata")

    def stage(*arguments: Any) -> list[str]:
        bucket.put(later, b"{}")
        return find_texts(*arguments)

    pipeline.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    sweep_of_erasure.remove_records(pipeline.services, "", Deadline.after(60))  # notes that they are gone
    monkeypatch.setattr(sweep_of_erasure, "texts_of_others", stage)
    sweep_of_erasure.remove_records(pipeline.services, "", Deadline.after(60))
    assert [bucket.holds(key) for key in (earlier, later)] == [False, True]


@pytest.mark.parametrize("with_roadmap", [False, True])
def test_a_task_that_is_made_again_during_the_sweep_keeps_its_new_attempt(
    pipeline: Pipeline,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    with_roadmap: bool,
) -> None:
    """The product makes it again, and a retry claims it, after the sweep has found that it is due."""
    services, others = pipeline.services, services_for(database_url)
    services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    insert_tasks(pipeline, "alice", 1)
    pipeline.execute(QUIET)
    pipeline.execute("CREATE TABLE again AS SELECT * FROM roadmap_metadata")
    pipeline.execute("DELETE FROM roadmap_tasks")
    pipeline.execute("DELETE FROM roadmap_metadata WHERE :gone", gone=with_roadmap)
    claimed: list[Future[Claim]] = []

    def claim_and_erase(connection: Connection, *arguments: Any, **named: Any) -> Removed:
        if not claimed:
            pipeline.execute("INSERT INTO roadmap_metadata SELECT * FROM again ON CONFLICT DO NOTHING")
            pipeline.execute(
                "INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, current_step)"
                " VALUES ('alice-t-1', 'alice', 'alice-r-1', 'failed', 'content_generation')"
            )
            task = transact(pipeline.engine, read_task, Deadline.after(60), "alice-t-1")
            start = user_start("alice")
            claimed.append(pool.submit(claim, others, task, "arn", Deadline.after(60), start, NOTHING))
            blocked = "SELECT pid FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0"
            assert becomes_true(lambda: claimed[0].done() or bool(pipeline.rows(blocked)), 60)
        return erase_rows(connection, *arguments, **named)

    monkeypatch.setattr(deleted, "erase_rows", claim_and_erase)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):  # the first one notes the deletion, and the second one removes the records
            sweep_of_erasure.remove_records(services, "", Deadline.after(60))
    others.engine.dispose()
    assert claimed[0].result(60).task.attempt == 1
    assert [row["step"] for row in pipeline.rows("SELECT step FROM content_attempts")] == ["claimed"]
    assert [row["state"] for row in pipeline.rows("SELECT state FROM content_queue")] == ["starting"]
    assert "transaction_tried_again" not in log_of(caplog), "a deadlock"


def test_exactly_the_user_of_the_request_is_erased(pipeline: Pipeline, ask: Ask) -> None:
    """A path arrives as it was sent, encoded, or decoded; `a/b` and an emoji did not arrive at all."""
    users = ["a/b", "a%2Fb", "a%252Fb", "a b", "a+b", "a%20b", "a%", "%", "é漢", "?x#y", "a&b=c", 'a"b']
    users += ["..", "-", "😀", "\x94"]
    for number, user in enumerate(users):
        insert_tasks(pipeline, user, 1)
        event = Event.of(DetailType.RECOVERY_ENDED, {"recovery_id": "r", "actor": f"operator:{user}"}, user)
        with pipeline.engine.begin() as connection:  # documents of ours, as they are written
            record_events(pipeline.services, connection, [event])
            insert_recovery(
                connection, f"r-{number}", {"user_id": user}, Limits(1, 1, None, 0), "console", "r"
            )
    pipeline.execute("UPDATE content_attempts SET ended_at = now() - interval '1 day'")
    for number, user in enumerate(users, 1):
        removed = erase(ask, user)["removed"]
        assert removed.rows["content_attempts"] == 1
        assert removed.names == {"content_events": 1, "content_recoveries": 1}, user
        left = pipeline.rows("SELECT user_id FROM content_attempts")
        assert sorted(row["user_id"] for row in left) == sorted(users[number:])
    for path, exact in (("a%2Fb", None), ("a%2Fb", "a b"), ("a", "b"), ("-", None), ("-", "")):
        query = {"dry_run": "true"} | ({} if exact is None else {"exact": exact})
        assert ask("DELETE", f"/users/{path}/content", query, **OPERATOR).status == 422
    later = {"dry_run": "true", "exact": "a b", "after": "roadmap:" + "r" * 2_700}  # as long as an id may be
    assert ask("DELETE", "/users/-/content", later, **OPERATOR).status == 200
    decoded = {"dry_run": "true", "exact": "a%2Fb"}
    assert ask("DELETE", "/users/a%2Fb/content", decoded, **OPERATOR).status == 200
    assert ask("DELETE", "/users/%00/content", {"exact": "\0"}, **OPERATOR).status == 422
    assert ask("DELETE", "/users/%00/content", **OPERATOR).status == 422


def test_an_unknown_place_or_erasure_erases_nothing(ask: Ask, pipeline: Pipeline) -> None:
    assert ask("DELETE", "/users/alice/content", {"after": "x"}, **OPERATOR).status == 422
    assert pipeline.rows("SELECT * FROM content_erasures WHERE user_id IS NOT NULL") == []
    assert ask("DELETE", "/users/alice/content", {"replay": "x"}, **OPERATOR).status == 422


def test_a_table_of_ours_without_a_rule_is_refused(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a table of the product was refused if its name begins like those of ours."""
    later: dict[str, tuple[str, ...]] = {}
    monkeypatch.setattr(installation, "writes_of_later_tables", lambda: later)
    with pipeline.engine.connect() as connection:
        for columns in ("new (task_id text, who text)", "newer (who text)", "reports (who text)"):
            connection.exec_driver_sql(f"CREATE TABLE content_{columns}")
        installation.record(connection)
        known = {rule.table for rule in rules(connection)}
        assert known >= {"content_archive", "generation_tokens", "roadmap_tasks"}
        later["content_new"] = ()
        installation.record(connection)
        assert {rule.table for rule in rules(connection)} == known | {"content_new"}
        later["content_newer"] = ()
        installation.record(connection)
        with pytest.raises(RuleMissingError, match="content_newer"):
            rules(connection)


def test_a_name_in_a_column_of_the_product_is_its_own(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.load(bundle_of(concept_ids(1)))
    pipeline.run()
    pipeline.execute("ALTER TABLE roadmap_metadata ADD COLUMN actor text")
    pipeline.execute("UPDATE roadmap_metadata SET actor = 'user:' || user_id")
    erase(ask, USER)
    assert pipeline.rows("SELECT actor FROM roadmap_metadata") == [{"actor": f"user:{USER}"}]


class _Objects(Bucket):
    """Ninety objects below each prefix of staged content, until they are deleted."""

    def __init__(self) -> None:
        super().__init__("content")
        self.deleted: set[str] = set()

    def put(self, *_: object) -> None:
        """Ignore the register's copy."""

    def versions(self, prefix: str, after: object = None) -> tuple[list[StoredVersion], None]:
        """The objects of a prefix."""
        if prefix in self.deleted or not prefix.startswith("staged/items/"):
            return [], None
        return [
            StoredVersion(f"{prefix}{number}", "v", 9, True, datetime.now(UTC)) for number in range(90)
        ], None

    def delete_versions(self, versions: Sequence[StoredVersion]) -> dict[StoredVersion, str]:
        """Delete the objects of the prefix of these."""
        self.deleted.update(each.key.rpartition("/")[0] + "/" for each in versions)
        return {}


@pytest.mark.nightly
def test_the_time_of_an_erasure_grows_with_the_tasks_and_its_memory_does_not(
    pipeline: Pipeline,
) -> None:
    seconds, peaks = {}, {}
    for user, number in (("warm", 10), ("few", 100), ("many", 1_000)):
        pipeline.services.bucket = _Objects()
        insert_tasks(pipeline, user, number, statements=5)
        pipeline.execute("ANALYZE")
        tracemalloc.start()
        began = time.perf_counter()
        answer = erased(pipeline.services, user)
        seconds[user] = (time.perf_counter() - began) / number
        peaks[user] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert answer.removed.objects["staged"].objects == 90 * number
        assert answer.removed.rows["content_events"] == 77 * number
    assert seconds["many"] < 2 * seconds["few"], seconds
    assert peaks["many"] < 2 * peaks["few"], peaks
