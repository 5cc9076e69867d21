"""Each replacement of an item's content keeps the former one, and a restore makes it current again."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from roadmap_content.api.restores import Author, Restore
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.metadata import lock_roadmap
from roadmap_content.content.rows import merge_items
from roadmap_content.contracts.documents import MAX_STAGED
from roadmap_content.contracts.errors import ChangedSinceError, DatabaseUnavailableError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import replacement_key, text_key
from roadmap_content.runs.reconciliation.retention import remove_expired
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.scope import Scope
from tests.support.commits import Commits
from tests.support.factories import USER, bundle_of, concept_ids, tutorial
from tests.support.pipeline import Pipeline, services_for
from tests.support.prepared import prepare
from tests.support.requests_to_api import Ask, Reply

IDS = concept_ids(2)
FIRST = IDS[0]
KINDS = pytest.mark.parametrize("kind", list(ContentType))
TABLES = {content_type: kind.table for content_type, kind in CONTENT_KINDS.items()}


def save(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.run()


@pytest.fixture(autouse=True)
def saved(pipeline: Pipeline) -> None:
    prepare(pipeline, save)


class Items:
    """The API for one item."""

    def __init__(self, ask: Ask, kind: ContentType) -> None:
        self.ask = ask
        self.kind = kind

    def revisions(self) -> list[dict[str, Any]]:
        path = f"/tasks/t-1/items/{self.kind}/revisions"
        reply = self.ask("GET", path, {"concept_id": FIRST})
        assert reply.status == 200, reply.body
        found: list[dict[str, Any]] = reply.body["items"]
        return found

    def content(self, **query: str) -> Any:
        path = f"/tasks/t-1/content/{self.kind}"
        reply = self.ask("GET", path, {"concept_id": FIRST} | query)
        assert reply.status == 200, reply.body
        identity = {CONTENT_KINDS[self.kind].id_field, "content_version"}
        return {name: value for name, value in reply.body["content"].items() if name not in identity}

    def restore(self, revision_id: str) -> Reply:
        path = f"/tasks/t-1/items/{self.kind}/revisions/-/restore"
        query = {"concept_id": FIRST, "exact": revision_id, "reason": "a wrong key"}
        return self.ask("POST", path, query)


def regenerate(pipeline: Pipeline, kind: ContentType, attempt: int = 2) -> None:
    start = user_start(USER)._replace(scope=Scope(FIRST, kind, regenerate=True))
    retry_task(pipeline.services, "t-1", USER, Deadline.after(60), start)
    pipeline.execute(f"UPDATE roadmap_tasks SET execution_arn = 'arn:run-{attempt}'")
    pipeline.execute(
        f"UPDATE content_attempts SET execution_arn = 'arn:run-{attempt}' WHERE attempt = {attempt}"
    )
    pipeline.runs = attempt - 1
    pipeline.run()


def expire(pipeline: Pipeline, condition: str = "true") -> None:
    """Remove the former contents of the condition, and all origins that no content needs, as after a year."""
    pipeline.execute(
        f"UPDATE content_archive SET archived_at = archived_at - interval '400 days' WHERE {condition};"
        "UPDATE content_origins SET recorded_at = '2001-01-01';"
        "UPDATE content_attempts SET claimed_at = '2000-12-31';"
        "UPDATE content_recovery_tasks SET started_at = '2000-12-31'"
    )
    remove_expired(pipeline.services, Deadline.after(60))


@KINDS
def test_retention_keeps_the_revision_and_the_origin_of_current_content(
    pipeline: Pipeline, ask: Ask, kind: ContentType
) -> None:
    items = Items(ask, kind)
    for attempt in (2, 3):
        before, content = items.revisions()[0], items.content()
        expire(pipeline)
        after = items.revisions()[0]
        assert after["origin"].pop("recorded_at") < before["origin"].pop("recorded_at")
        assert after == before
        regenerate(pipeline, kind, attempt)
        assert items.content() != content


def test_a_staged_replacement_that_is_too_large_is_generated_again(pipeline: Pipeline, ask: Ask) -> None:
    """The attempt that reads it refuses it, and the next one rejects it."""
    items = Items(ask, ContentType.QUIZ)
    before = items.revisions()[0]["content_id"]
    key = replacement_key("r-1", Item(FIRST, ContentType.QUIZ), before)
    pipeline.bucket.put(key, b"x" * (MAX_STAGED + 1))
    for attempt in (2, 3):
        regenerate(pipeline, ContentType.QUIZ, attempt)
    assert items.revisions()[0]["content_id"] != before


@KINDS
def test_former_content_goes_after_its_retention_with_its_origin(
    pipeline: Pipeline, ask: Ask, kind: ContentType
) -> None:
    """Also that of content which the product has changed, twice: the next one is still known by its id."""
    items = Items(ask, kind)
    for summary in "12":
        pipeline.execute(
            PRODUCT_WRITES[kind].replace("theirs", summary).replace("[]", f"[{summary}]"), c=FIRST
        )
    current, second, first = items.revisions()
    expire(pipeline, "archive_id = (SELECT min(archive_id) FROM content_archive)")
    assert items.revisions() == [current, second]
    assert not pipeline.rows("SELECT 1 FROM content_origins WHERE content_id = :id", id=first["content_id"])
    expire(pipeline)
    assert items.revisions() == [current]
    answer = items.restore(second["revision_id"])
    assert (answer.status, answer.body["error"]) == (404, "ItemNotFound")
    assert "no longer kept" in answer.body["message"]
    pipeline.execute(f"DELETE FROM {TABLES[kind]} WHERE concept_id = :c", c=FIRST)
    (former,) = items.revisions()
    assert former["content_id"] == current["content_id"]
    expire(pipeline)
    assert pipeline.rows("SELECT 1 FROM content_archive") == []


@KINDS
def test_a_regenerated_item_is_restored_with_its_content_and_origin(
    pipeline: Pipeline, ask: Ask, kind: ContentType
) -> None:
    items = Items(ask, kind)
    before = items.content()
    (first,) = items.revisions()
    assert (first["current"], first["origin"]["generator"]) == (True, "product")
    assert first["size"] > 0
    regenerate(pipeline, kind)
    after = items.content()
    assert after != before
    current, former = items.revisions()
    assert (current["current"], former["current"]) == (True, False)
    assert (current["origin"]["generator"], former["origin"]["generator"]) == ("offline", "product")
    assert items.content(revision_id=former["revision_id"]) == before

    answer = items.restore(former["revision_id"])

    assert (answer.status, answer.body["restored"]) == (200, True)
    assert items.content() == before
    revisions = items.revisions()
    assert [each["current"] for each in revisions] == [True, False, False]
    assert revisions[0]["content_id"] == answer.body["content_id"]
    origin = revisions[0]["origin"]
    assert (origin["generator"], origin["actor"], origin["reason"], origin["restored_from"]) == (
        "product",
        f"user:{USER}",
        "a wrong key",
        former["content_id"],
    )
    (again,) = [each for each in revisions if each["origin"]["generator"] == "offline"]
    assert items.content(revision_id=again["revision_id"]) == after
    assert items.restore(again["revision_id"]).body["restored"] is True
    assert items.content() == after
    revisions = items.revisions()
    repeated = items.restore(again["revision_id"])
    assert (repeated.status, repeated.body["restored"]) == (200, False)
    assert repeated.body["content_id"] == revisions[0]["content_id"]
    assert items.revisions() == revisions
    (event, _) = pipeline.rows(
        "SELECT detail FROM content_events WHERE detail_type = 'Item Restored' ORDER BY position"
    )
    assert event["detail"]["data"]["restored_from"] == former["content_id"]
    assert pipeline.status().status == "completed"


def test_a_row_that_changes_before_its_restore_is_not_overwritten(pipeline: Pipeline, ask: Ask) -> None:
    """The id of a row that is replaced in place names the new content then, which is current already."""
    items = Items(ask, ContentType.QUIZ)
    (current,) = items.revisions()
    commits = Commits(pipeline.services.engine, pipeline.engine)
    with commits.meanwhile(0, lambda: pipeline.execute(PRODUCT_WRITES[ContentType.QUIZ], c=FIRST)):
        assert items.restore(current["revision_id"]).body["restored"] is False
    assert items.content()["questions"] == []


def test_an_equal_content_is_recorded_as_restored_in_the_transaction_that_has_compared_it(
    pipeline: Pipeline, ask: Ask
) -> None:
    """Only for an undo. Regression: after the COMMIT, an erasure may have deleted the roadmap's origins."""
    items = Items(ask, ContentType.QUIZ)
    regenerate(pipeline, ContentType.QUIZ)
    _, former = items.revisions()
    current = items.restore(former["revision_id"]).body["content_id"]
    subject = pipeline.services, Item(FIRST, ContentType.QUIZ), former["revision_id"], Author("op", "u")
    for replacing in (None, current):
        again = Restore(*subject, replacing)
        assert not again.of_task("t-1", USER, Deadline.after(60)).restored
    origins = pipeline.rows("SELECT content_id, restored_from FROM content_origins WHERE reason = 'u'")
    assert origins == [{"content_id": current, "restored_from": former["content_id"]}]


WAITING = text("""
SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE datname = current_database() AND NOT granted AND pg_stat_clear_snapshot() IS NOT NULL
""")


def test_a_restore_compares_the_current_content_when_nobody_changes_the_roadmap(
    pipeline: Pipeline, ask: Ask, database_url: str
) -> None:
    items = Items(ask, ContentType.QUIZ)
    regenerate(pipeline, ContentType.QUIZ)
    product = Pipeline(services_for(database_url))
    current, former = items.revisions()
    item, author = Item(FIRST, ContentType.QUIZ), Author("op", None)

    def restore() -> None:
        replacing = Restore(pipeline.services, item, former["revision_id"], author, current["content_id"])
        replacing.of_task("t-1", USER, Deadline.after(60))

    with ThreadPoolExecutor(2) as pool:
        with pipeline.engine.begin() as saving:
            lock_roadmap(saving, "r-1")
            restoring = pool.submit(restore)
            assert becomes_true(lambda: restoring.done() or bool(processes_waiting_for(saving)), 600)
            writing = pool.submit(product.execute, PRODUCT_WRITES[ContentType.QUIZ], c=FIRST)
            # It would wait for a restore that does not wait.
            assert becomes_true(lambda: writing.done() or saving.scalar(WAITING) == 2, 600)
        with pytest.raises(ChangedSinceError):
            restoring.result()
    product.engine.dispose()
    assert items.content()["questions"] == []


# For a later type: an empty document, which follows the id.
PRODUCT_WRITES = {
    content_type: f"UPDATE {kind.table} SET {kind.sql.fields[1]} = '[]' WHERE concept_id = :c"
    for content_type, kind in CONTENT_KINDS.items()
} | {
    ContentType.TUTORIAL: "UPDATE tutorial_metadata SET summary = 'theirs' WHERE concept_id = :c",
}


@KINDS
def test_a_row_that_the_product_changes_is_kept_and_has_no_origin_of_ours(
    pipeline: Pipeline, ask: Ask, kind: ContentType
) -> None:
    items = Items(ask, kind)
    before = items.content()
    pipeline.execute(PRODUCT_WRITES[kind], c=FIRST)
    current, former = items.revisions()
    assert (current["origin"], former["origin"]["generator"]) == (None, "product")
    assert former["reason"] == "the row was changed"
    assert items.restore(former["revision_id"]).status == 200
    assert items.content() == before
    pipeline.execute(f"UPDATE {TABLES[kind]} SET generated_at = generated_at + interval '1 second'")
    assert len(items.revisions()) == 3


@KINDS
def test_a_row_that_the_product_deletes_is_restored_and_the_task_is_complete_again(
    pipeline: Pipeline, ask: Ask, kind: ContentType
) -> None:
    items = Items(ask, kind)
    before = items.content()
    pipeline.execute(f"DELETE FROM {TABLES[kind]} WHERE concept_id = :c", c=FIRST)
    pipeline.execute("UPDATE roadmap_tasks SET status = 'partial_failure'")
    (former,) = items.revisions()
    assert (former["current"], former["reason"]) == (False, "the row was deleted")
    answer = items.restore(former["revision_id"])
    assert (answer.status, answer.body["restored"]) == (200, True)
    assert items.content() == before
    assert pipeline.status().status == "completed"
    field = f"{kind}_id"
    assert pipeline.concepts()[FIRST][field] == answer.body["content_id"]


def test_a_restore_waits_for_the_lock_of_its_task_before_that_of_its_events(
    pipeline: Pipeline, ask: Ask, database_url: str
) -> None:
    """Also while an attempt runs: its end locks the task first: the two would deadlock."""
    item = Item(FIRST, ContentType.QUIZ)
    regenerate(pipeline, ContentType.QUIZ)
    former = Items(ask, ContentType.QUIZ).revisions()[-1]["revision_id"]
    pipeline.execute("UPDATE content_queue SET state = 'running', ended_at = NULL WHERE attempt = 2")
    pipeline.execute("UPDATE content_attempts SET ended_at = NULL, step = 'working' WHERE attempt = 2")
    other = create_engine(database_url, poolclass=NullPool)
    with other.connect() as ending:
        ending.execute(text("SELECT FROM roadmap_tasks FOR UPDATE"))
        restore = Restore(pipeline.services, item, former, Author("auto", None))
        with pytest.raises(DatabaseUnavailableError):
            restore.of_task("t-1", None, Deadline.after(4))
    assert restore.of_task("t-1", None, Deadline.after(60)).restored
    attempt = pipeline.rows("SELECT ended_at FROM content_attempts WHERE attempt = 2")
    assert attempt == [{"ended_at": None}], "a running attempt records its own end"


def test_a_restored_item_has_no_duplicate_that_hides_it(pipeline: Pipeline, ask: Ask) -> None:
    """Also of a task of the product, of which no end of an attempt merges rows."""
    items = Items(ask, ContentType.QUIZ)
    before = items.content()
    pipeline.execute(PRODUCT_WRITES[ContentType.QUIZ], c=FIRST)
    former = items.revisions()[1]["revision_id"]
    pipeline.execute("UPDATE roadmap_tasks SET attempt = 0")
    later = '{"quiz_id": "later", "generated_at": "2099-01-01"}'
    pipeline.execute(
        "SET LOCAL session_replication_role = replica; INSERT INTO quiz_metadata"
        f" SELECT (json_populate_record(q, '{later}')).* FROM quiz_metadata q WHERE concept_id = '{FIRST}'"
    )
    assert items.restore(former).status == 200
    assert items.content() == before
    (_,) = pipeline.rows("SELECT 1 FROM quiz_metadata WHERE concept_id = :c", c=FIRST)


def test_a_content_that_moves_to_another_row_keeps_its_origin(pipeline: Pipeline, ask: Ask) -> None:
    """A merge keeps the row to which an attempt of a learner refers, and gives it the newest content."""
    items = Items(ask, ContentType.QUIZ)
    (before,) = items.revisions()
    older = '{"quiz_id": "attempted", "generated_at": "2001-01-01"}'
    pipeline.execute(
        "CREATE TABLE quiz_attempts (quiz_id text); INSERT INTO quiz_attempts VALUES ('attempted');"
        "SET LOCAL session_replication_role = replica; INSERT INTO quiz_metadata"
        f" SELECT (json_populate_record(q, '{older}')).* FROM quiz_metadata q WHERE concept_id = '{FIRST}'"
    )
    with pipeline.engine.begin() as connection:
        assert merge_items(connection, "r-1") == 1
    expire(pipeline)
    (after,) = items.revisions()
    assert (after["revision_id"], after["content_id"]) == ("attempted", before["content_id"])
    assert after["origin"]["generator"] == "product"


def test_an_attempted_quiz_keeps_its_id(pipeline: Pipeline, ask: Ask) -> None:
    items = Items(ask, ContentType.QUIZ)
    (row,) = pipeline.rows("SELECT quiz_id FROM quiz_metadata WHERE concept_id = :c", c=FIRST)
    pipeline.execute("CREATE TABLE quiz_attempts (quiz_id text REFERENCES quiz_metadata)")
    pipeline.execute("INSERT INTO quiz_attempts VALUES (:q)", q=row["quiz_id"])
    regenerate(pipeline, ContentType.QUIZ)
    assert items.restore(items.revisions()[1]["revision_id"]).status == 200
    assert pipeline.rows("SELECT quiz_id FROM quiz_metadata WHERE concept_id = :c", c=FIRST) == [row]


@pytest.mark.parametrize(
    "rule",
    [
        "CHECK (generated_at < '2020-01-01')",
        "FOREIGN KEY (total_questions) REFERENCES allowed DEFERRABLE INITIALLY DEFERRED",
    ],
    ids=["at once", "at the commit"],
)
def test_a_restore_that_the_database_refuses_changes_nothing_and_says_why(
    pipeline: Pipeline, ask: Ask, rule: str
) -> None:
    items = Items(ask, ContentType.QUIZ)
    regenerate(pipeline, ContentType.QUIZ)
    revisions = items.revisions()
    pipeline.execute("CREATE TABLE allowed (total integer PRIMARY KEY)")
    pipeline.execute(f"ALTER TABLE quiz_metadata ADD CONSTRAINT own_rule {rule} NOT VALID")
    answer = items.restore(revisions[1]["revision_id"])
    assert (answer.status, answer.body["error"]) == (409, "RestoreRefused")
    assert "own_rule" in answer.body["message"]
    assert items.revisions() == revisions


@pytest.mark.parametrize("text", [None, b"another text"])
def test_a_tutorial_without_its_text_is_not_restored(
    pipeline: Pipeline, ask: Ask, text: bytes | None
) -> None:
    items = Items(ask, ContentType.TUTORIAL)
    regenerate(pipeline, ContentType.TUTORIAL)
    former = items.revisions()[1]
    key = text_key("r-1", FIRST, tutorial(FIRST)["markdown"].encode())
    pipeline.bucket.delete(key)
    if text is not None:
        pipeline.bucket.put(key, text)
    before = items.revisions()
    answer = items.restore(former["revision_id"])
    assert (answer.status, answer.body["error"]) == (409, "RestoreRefused")
    assert ("does not exist" if text is None else "was overwritten") in answer.body["message"]
    assert items.revisions() == before
    path = "/tasks/t-1/content/tutorial"
    shown = ask("GET", path, {"concept_id": FIRST, "revision_id": former["revision_id"]})
    assert (shown.status, shown.body["error"]) == (404, "ItemNotFound")


def test_a_revision_of_another_item_is_unknown(pipeline: Pipeline, ask: Ask) -> None:
    regenerate(pipeline, ContentType.QUIZ)
    former = Items(ask, ContentType.QUIZ).revisions()[1]["revision_id"]
    for kind in (ContentType.RESOURCES, ContentType.TUTORIAL):
        assert Items(ask, kind).restore(former).status == 404
    other = f"/tasks/t-1/items/quiz/revisions/{former}/restore"
    assert ask("POST", other, {"concept_id": IDS[1]}).status == 404


def test_a_row_that_pg_cannot_decode_is_listed(pipeline: Pipeline, ask: Ask) -> None:
    """The product's column is `json`, which accepts an escaped NUL character."""
    pipeline.execute(
        "UPDATE quiz_metadata SET questions = CAST(:q AS json) WHERE concept_id = :c",
        q='[{"question": "\\u0000"}]',
        c=FIRST,
    )
    pipeline.execute("UPDATE quiz_metadata SET questions = '[]' WHERE concept_id = :c", c=FIRST)
    items = Items(ask, ContentType.QUIZ)
    assert len(items.revisions()) == 3
    answers = [items.restore(each["revision_id"]).status for each in items.revisions()]
    assert set(answers) <= {200, 409}


def test_an_archive_that_fails_does_not_fail_the_product_s_write(pipeline: Pipeline) -> None:
    pipeline.execute("ALTER TABLE content_archive ADD CHECK (false) NOT VALID")
    pipeline.execute(PRODUCT_WRITES[ContentType.QUIZ], c=FIRST)
    pipeline.execute("DELETE FROM quiz_metadata WHERE concept_id = :c", c=FIRST)
    assert pipeline.rows("SELECT 1 FROM quiz_metadata WHERE concept_id = :c", c=FIRST) == []


def test_the_archive_of_a_deleted_roadmap_is_deleted(pipeline: Pipeline) -> None:
    for kind in ContentType:
        pipeline.execute(PRODUCT_WRITES[kind], c=FIRST)
    assert pipeline.rows("SELECT 1 FROM content_archive")
    with pipeline.engine.begin() as connection:
        for table in TABLES.values():
            connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text("DELETE FROM roadmap_metadata"))
    assert pipeline.rows("SELECT 1 FROM content_archive") == []
