"""`DELETE /api/v1/users/{user_id}/content`, and the register. Every row and object is compared as text."""

import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from roadmap_content.api.client_http import path_of
from roadmap_content.contracts.erasure import Removed
from roadmap_content.contracts.errors import ErasureRunningError, RoadmapLockedError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage import keys
from roadmap_content.platform.storage.bucket import Bucket, StoredVersion
from roadmap_content.runs.reconciliation import deleted
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.erasure import rows as rows_of_users
from roadmap_content.state.erasure.deleted import remove_deleted
from roadmap_content.state.erasure.rows import RuleMissingError, rules
from roadmap_content.state.queue.capacity import NOTHING
from roadmap_content.state.queue.claims import claim
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.task import read_task
from tests.support.erasing import QUIET, erased, rows_with
from tests.support.factories import CONTENT_TABLES, bundle_of, concept_ids
from tests.support.pipeline import S3, SETTINGS, Pipeline
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
        reply = ask("DELETE", path_of("users", user, "content"), query | after, **OPERATOR)
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
    task.services.bucket.delete(keys.staged_key(task.roadmap_id, Item(ids[1], ContentType.QUIZ)))
    task.execute(
        "INSERT INTO content_events (event_id, detail_type, task_id, detail) VALUES (:id, 'a', :id, '{}')",
        id=task.task_id,
    )
    return task


@pytest.fixture
def of_two_users(pipeline: Pipeline, s3: "S3Client") -> Pipeline:
    """A run with failures for each of two users, and a second one of the first user, who is an operator."""
    for user, number in (("alice", 1), ("bob", 1), ("alice", 2)):
        run_of(pipeline, user, number)
    pipeline.execute("UPDATE content_attempts SET actor = 'operator:alice' WHERE task_id LIKE '%-t-1'")
    pipeline.execute("UPDATE content_capacity SET changed_by = 'operator:alice'")
    pipeline.execute(
        "INSERT INTO content_recoveries (recovery_id, state, actor, reason, filter, rate_per_minute,"
        " concurrency, canary)"
        " VALUES ('x', 'completed', 'operator:op', 'why', '{\"user_id\": \"alice\"}', 1, 1, 0)"
    )
    pipeline.execute(
        "INSERT INTO content_events (event_id, detail_type, task_id, detail)"
        " VALUES ('e', 'a', 'bob-t-1', '{\"actor\": \"operator:alice\"}')"
    )
    return pipeline


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
        if table not in ("content_capacity", "content_recoveries")
    } | {"content_events": own["content_events"] - 1}
    assert Removed.model_validate(answer["receipt"]["removed"]) == removed
    once = ("content_attempts", "content_capacity", "content_events", "content_recoveries")
    assert removed.names == dict.fromkeys(once, 1)
    assert not erase(ask, "alice", dry_run="true", **wanted)["removed"]


def test_the_status_of_an_erased_user_s_task_is_the_receipt_until_the_next_claim(
    of_two_users: Pipeline, ask: Ask
) -> None:
    """Regression: it read like a task that only the product had processed."""

    def status(user: str) -> dict[str, Any]:
        answer = ask("GET", f"/tasks/{user}-t-1", **OPERATOR)
        assert answer.status == 200, answer
        return dict(answer.body)

    receipt = erase(ask, "alice")["receipt"]
    erased = status("alice")
    assert (erased["erased"], erased["attempt"], erased["execution_arn"]) == (receipt, 0, None)
    assert erased["erased"]["ended_at"] is not None
    assert status("bob")["erased"] is None

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


def test_an_interrupted_erasure_is_repeated(
    of_two_users: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request has time for one page of one roadmap or task; the second client begins anew."""
    monkeypatch.setattr("roadmap_content.api.erasure.PAGE", 1)
    preview = erase(ask, "alice", dry_run="true")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(rows_of_users, "erase_rows", once(rows_of_users.erase_rows))
        with pytest.raises(RuntimeError):
            erase(ask, "alice")
    assert erase(ask, "alice")["complete"]
    (entry,) = of_two_users.rows("SELECT removed, user_id FROM content_erasures")
    assert Removed.model_validate(entry["removed"]).rows == preview["removed"].rows
    assert entry["user_id"] is None


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
    run_of(of_two_users, "alice", 3)  # the user came back
    (due,) = ask("POST", "/erasures/due", **OPERATOR).body["due"]
    assert (due["user_id"], due["product_rows"]) == ("alice", False)
    assert erase(ask, "alice", replay=due["erasure_id"])["complete"]
    (left,) = named(of_two_users, "alice")["content_attempts"]
    assert "alice-t-3" in left
    assert len({key for key, _ in versions(s3, keys.ERASURES)}) == 1
    (entry,) = of_two_users.rows("SELECT user_hash, user_id, ended_at FROM content_erasures")
    assert entry["user_id"] is None
    assert entry["ended_at"] is not None
    assert "alice" not in entry["user_hash"]
    of_two_users.services.erasure_key = "the key of another stack"
    assert ask("POST", "/erasures/due", **OPERATOR).body == {"registered": 1, "of_another_key": 1, "due": []}


def swept(pipeline: Pipeline) -> None:
    """A sweep, for which everything is old enough."""
    pipeline.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    reconcile(ReconcileRequest(time=datetime.now(UTC)), pipeline.services, Deadline.after(600))


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
    of_two_users.execute("UPDATE content_attempts SET ended_at = NULL WHERE roadmap_id = 'alice-r-1'")
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


def test_many_deleted_tasks_and_texts_go_in_steps_also_after_an_interruption(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = pipeline.services.bucket
    monkeypatch.setattr(S3, "page", 200)
    for number in range(201):
        bucket.put(keys.text_key("r", "c", b"%d" % number), b"unnamed")
        bucket.put(keys.manifest_key(f"alice-t-{number}", 1, b""), b"")
    for statement in TASKS.split(";")[:3]:
        pipeline.execute(statement, u="alice", **({"n": 200} if ":n)" in statement else {}))
    pipeline.execute("UPDATE content_attempts SET ended_at = now() - interval '1 day'")
    pipeline.execute("DELETE FROM roadmap_tasks WHERE task_id <> 'alice-t-7'")
    monkeypatch.setattr(deleted, "TASKS", 120)
    monkeypatch.setattr(deleted, "PAGES", 1)
    left = []
    for interrupted in (False, False, True, False, False):
        with monkeypatch.context() as patch:
            if interrupted:
                patch.setattr(deleted, "remove_deleted", once(remove_deleted))
            swept(pipeline)
        (attempts,) = pipeline.rows("SELECT count(*) AS rows FROM content_attempts")
        left.append((attempts["rows"], len(bucket.keys("r/", ""))))
    # Two pages of tasks are marked. A page of manifests leads past all of them; two of texts follow.
    assert left == [(200, 200), (200, 1), (200 - deleted.STEP, 0), (60, 0), (1, 0)]
    assert bucket.keys(keys.MANIFESTS, "") == [
        keys.manifest_key(f"alice-t-{number}", 1, b"") for number in (0, 7)
    ]


def test_exactly_the_user_of_the_path_is_erased(pipeline: Pipeline, ask: Ask) -> None:
    """API Gateway passes the path as it was sent, which is encoded once."""
    users = ["a/b", "a%2Fb", "a%252Fb", "a b", "a+b", "a%20b", "a%", "%", "é漢", "?x#y", "a&b=c", 'a"b']
    for user in users:
        for statement in TASKS.split(";")[:3]:
            pipeline.execute(statement, u=user, **({"n": 1} if ":n)" in statement else {}))
    pipeline.execute("UPDATE content_attempts SET ended_at = now() - interval '1 day'")
    for number, user in enumerate(users, 1):
        assert erase(ask, user)["removed"].rows["content_attempts"] == 1
        left = pipeline.rows("SELECT user_id FROM content_attempts")
        assert sorted(row["user_id"] for row in left) == sorted(users[number:])


def test_only_an_operator_erases(ask: Ask, pipeline: Pipeline) -> None:
    assert ask("DELETE", "/users/alice/content").status == 403
    assert ask("POST", "/erasures/due", roles="owner,viewer").status == 403
    assert ask("DELETE", "/users/alice/content", {"after": "x"}, **OPERATOR).status == 422
    assert ask("DELETE", "/users/alice/content", {"replay": "x"}, **OPERATOR).status == 422


def test_a_table_without_a_rule_is_refused(pipeline: Pipeline) -> None:
    with pipeline.engine.connect() as connection:
        assert {rule.table for rule in rules(connection)} > {"content_archive", "roadmap_tasks"}
        connection.exec_driver_sql("CREATE TABLE content_new (task_id text, who text)")
        assert "content_new" in {rule.table for rule in rules(connection)}
        connection.exec_driver_sql("CREATE TABLE content_newer (who text)")
        with pytest.raises(RuleMissingError, match="content_newer"):
            rules(connection)


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
        return [StoredVersion(f"{prefix}{number}", "v", 9, True) for number in range(90)], None

    def delete_versions(self, versions: Sequence[StoredVersion]) -> None:
        """Delete the objects of the prefix of these."""
        self.deleted.update(each.key.rpartition("/")[0] + "/" for each in versions)


@pytest.mark.nightly
def test_the_time_of_an_erasure_grows_with_the_tasks_and_its_memory_does_not(
    pipeline: Pipeline,
) -> None:
    seconds, peaks = {}, {}
    for user, number in (("warm", 10), ("few", 100), ("many", 1_000)):
        pipeline.services.bucket = _Objects()
        for statement in TASKS.split(";"):
            pipeline.execute(statement, u=user, **({"n": number} if ":n)" in statement else {}))
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
