"""Tests of the oracle: a valid task violates no invariant, and each injected violation is detected."""

import json
from collections.abc import Callable, Iterator

import pytest

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import manifest_key
from tests.faults.world import Scene, World
from tests.support.evidence import Log
from tests.support.factories import bundle_of, concept_ids
from tests.support.oracle import Broken, Oracle
from tests.support.pipeline import S3, SETTINGS, Pipeline
from tests.support.product_schema import CONCEPT_METADATA

IDS = concept_ids(3)
BUNDLE = bundle_of(IDS)


class Watched:
    """A pipeline with an oracle."""

    def __init__(self, pipeline: Pipeline, *, lost: bool) -> None:
        neighbour = Pipeline(pipeline.services, "t-2", pipeline.engine)
        neighbour.load(bundle_of(["elsewhere"], roadmap_id="r-2", task_id="t-2", user_id="somebody else"))
        neighbour.run()
        pipeline.load(BUNDLE)
        self.pipeline = pipeline
        self.log = Log()
        self.oracle = Oracle(pipeline.engine, S3.client, "content", BUNDLE, self.log)
        planned = pipeline.plan()
        for request in pipeline.requests(planned):
            pipeline.save(request)
        if lost:
            pipeline.execute("DELETE FROM quiz_metadata WHERE roadmap_id = :id", id=pipeline.roadmap_id)
        pipeline.finalize(planned)
        self.log.recorded.add(1)

    def broken(self) -> list[Broken]:
        return [*self.oracle.at_any_time(), *self.oracle.at_rest(), *self.oracle.healed()]


@pytest.fixture
def complete(pipeline: Pipeline) -> Watched:
    """A task with all items saved."""
    return Watched(pipeline, lost=False)


@pytest.fixture
def partial(pipeline: Pipeline) -> Watched:
    """A task with missing quizzes and a correct outcome."""
    return Watched(pipeline, lost=True)


def test_a_valid_task_breaks_no_invariant(complete: Watched) -> None:
    assert complete.broken() == []
    complete.oracle.require(complete.broken())


BY_HAND = {
    "I1 an item is failed and completed": (
        "I1",
        (
            "INSERT INTO content_failures VALUES"
            " ('t-1', 1, :concept, 'tutorial', 'save', 'X', '', false, now())"
        ),
    ),
    "I1 an item of the plan is neither": ("I1", "DELETE FROM content_failures WHERE concept_id = :concept"),
    "I1 the counts are wrong": ("I1", "UPDATE roadmap_tasks SET execution_summary = '{}'"),
    "I2 status": ("I2", "UPDATE roadmap_tasks SET status = 'failed'"),
    "I2 completed_at": ("I2", "UPDATE roadmap_tasks SET completed_at = NULL"),
    "I2 failed_concepts is null": ("I2", "UPDATE roadmap_tasks SET failed_concepts = NULL"),
    "I2 a reason is another's": ("I2", "UPDATE content_failures SET reason = 'another'"),
    "I2 error_message": ("I2", "UPDATE roadmap_tasks SET error_message = NULL"),
    "I2 framework_data says completed": (
        "I2",
        """UPDATE roadmap_metadata SET framework_data = CAST(replace(CAST(framework_data AS text),
            '"quiz_status": "failed"', '"quiz_status": "completed"') AS json)""",
    ),
    "I2 framework_data has no ids": (
        "I2",
        """UPDATE roadmap_metadata SET framework_data = CAST(replace(CAST(framework_data AS text),
            '"resources_id"', '"no_id"') AS json)""",
    ),
    "I2 a key of the product's is lost": (
        "I2",
        """UPDATE roadmap_metadata SET framework_data = CAST(replace(CAST(framework_data AS text),
            ', "aardvark": null', '') AS json)""",
    ),
    "I3 two latest": (
        "I3",
        """ALTER TABLE tutorial_metadata DISABLE TRIGGER USER;
        INSERT INTO tutorial_metadata SELECT 'second', concept_id, roadmap_id, title, summary, content_url,
            content_status, 2, true FROM tutorial_metadata WHERE concept_id = 'r-1:c-1-1-1'""",
    ),
    "I3 the latest is not the highest": (
        "I3",
        """INSERT INTO tutorial_metadata SELECT 'second', concept_id, roadmap_id, title, summary, content_url,
            content_status, 2, false FROM tutorial_metadata WHERE concept_id = :concept""",
    ),
    "I4 a row is gone": ("I4", "DELETE FROM resource_recommendation_metadata WHERE concept_id = :concept"),
    "I4 a row changed": ("I4", "UPDATE tutorial_metadata SET title = 'x' WHERE concept_id = :concept"),
    "I4 a text was never there": ("I4", "UPDATE tutorial_metadata SET content_url = 'nowhere'"),
    "I5 attempts went back": ("I5", "UPDATE roadmap_tasks SET attempt = 0"),
    "I5 an attempt changed hands": ("I5", "UPDATE roadmap_tasks SET execution_arn = 'arn:another'"),
    "I6 another's task changed": ("I6", "UPDATE roadmap_tasks SET updated_at = now() WHERE task_id = 't-2'"),
    "I6 another's row changed": ("I6", "UPDATE quiz_metadata SET total_questions = 9"),
    "I9 an attempt has no row": ("I9", "DELETE FROM content_attempts"),
    "I9 an attempt has no end": ("I9", "UPDATE content_attempts SET ended_at = NULL, step = 'working'"),
    "I9 the counts of an attempt do not add up": (
        "I9",
        "UPDATE content_attempts SET saved = (SELECT json_object_agg(key, 0) FROM json_each(planned))",
    ),
    "I9 no failure is current": ("I9", "DELETE FROM content_task_failures"),
    "I7 something is missing": ("I7", "DELETE FROM tutorial_metadata WHERE concept_id = :concept"),
}


@pytest.mark.parametrize(("invariant", "change"), BY_HAND.values(), ids=BY_HAND.keys())
def test_an_invalid_change_of_the_tables_is_detected(partial: Watched, invariant: str, change: str) -> None:
    partial.oracle.require(partial.oracle.at_any_time())
    theirs = "t-2" in change or "total_questions = 9" in change
    for statement in change.split(";"):
        guarded = statement
        if "UPDATE roadmap_tasks" in statement and not theirs:
            guarded += " WHERE task_id = 't-1'"
        partial.pipeline.execute(guarded, **({"concept": IDS[0]} if ":concept" in guarded else {}))
    assert invariant in {broken.invariant for broken in partial.broken()}


def delete_text(bucket: Bucket) -> None:
    bucket.delete(bucket.keys(f"r-1/concepts/{IDS[0]}/", "")[0])


def overwrite_text(bucket: Bucket) -> None:
    bucket.put(bucket.keys(f"r-1/concepts/{IDS[0]}/", "")[0], b"another")


def overwrite_quarantined(bucket: Bucket) -> None:
    bucket.put("rejected/items/r-1/quiz/c/1.json", b"another")


@pytest.mark.parametrize("change", [delete_text, overwrite_text, overwrite_quarantined])
def test_an_invalid_change_of_the_bucket_is_detected(
    complete: Watched, change: Callable[[Bucket], None]
) -> None:
    complete.pipeline.bucket.put("rejected/items/r-1/quiz/c/1.json", b"refused")
    complete.oracle.require(complete.broken())
    change(complete.pipeline.bucket)
    assert {broken.invariant for broken in complete.broken()} == {"I4"}


def forgotten(log: Log, bucket: Bucket) -> None:
    """The manifest contained an item of the roadmap that is neither completed nor failed."""
    log.recorded.add(7)
    line = [{"concept": {"concept_id": IDS[0]}, "missing": ["quiz"]}]
    body = json.dumps(line).encode()
    bucket.put(manifest_key("t-1", 7, "arn:1", body), body)


def two_live(log: Log, bucket: Bucket) -> None:
    log.live |= {"arn:1": 1, "arn:2": 2}


def generated_for_nothing(log: Log, bucket: Bucket) -> None:
    log.generated.append((IDS[0], "quiz"))


@pytest.mark.parametrize(
    ("invariant", "event"),
    [("I1", forgotten), ("I5", two_live), ("I7", generated_for_nothing)],
)
def test_an_invalid_event_in_the_log_is_detected(
    partial: Watched, invariant: str, event: Callable[[Log, Bucket], None]
) -> None:
    event(partial.log, partial.pipeline.bucket)
    found = [*partial.oracle.at_any_time(), *partial.oracle.at_rest()]
    assert {broken.invariant for broken in found} == {invariant}


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM concept_metadata WHERE concept_id = :id",
        "UPDATE concept_metadata SET quiz_status = 'pending' WHERE concept_id = :id",
        "UPDATE concept_metadata SET tutorial_id = 'stale' WHERE concept_id = :id",
        "UPDATE concept_metadata SET overall_status = 'partial_failed' WHERE concept_id = :id",
        "UPDATE concept_metadata SET resources_completed_at = NULL WHERE concept_id = :id",
    ],
)
def test_a_wrong_row_of_concept_metadata_is_detected(pipeline: Pipeline, change: str) -> None:
    with pipeline.engine.begin() as connection:
        connection.exec_driver_sql(f"{CONCEPT_METADATA}; GRANT ALL ON concept_metadata TO PUBLIC")
    watched = Watched(pipeline, lost=False)
    assert watched.broken() == []

    pipeline.execute(change, id=IDS[1])

    assert {(broken.invariant, *broken.items) for broken in watched.broken()} == {("I2", IDS[1])}


@pytest.fixture
def recovered(database_url: str) -> Iterator[World]:
    """A task that a recovery has completed, with all events delivered."""
    scene = Scene(database_url, "content")
    world = World(scene, bundle_of(IDS))
    world.services.settings = Settings(SETTINGS | {"EVENT_BUS": "bus"})
    world.pipeline.stage(Item(IDS[0], ContentType.QUIZ), b"{")
    world.run_to_its_end(world.start_by_hand())
    world.recover()
    for run in world.runs:
        if run.running:
            world.run_to_its_end(run)
    for _ in range(2):  # the second sweep delivers the events of the first
        world.reconcile()
    world.oracle.require(world.oracle.at_rest(), world.oracle.accounted())
    yield world
    world.close()
    scene.close()


UNACCOUNTED = {
    "I9 a recovery does not end": ("I9", "UPDATE content_recoveries SET ended_at = NULL"),
    "I9 a task has no result": ("I9", "UPDATE content_recovery_tasks SET result = 'waiting'"),
    "I9 a task is still running": ("I9", "UPDATE content_recovery_tasks SET result = 'running'"),
    "I9 the attempt is another one": ("I9", "UPDATE content_recovery_tasks SET attempt = 9"),
    "I9 an attempt is not the task's": ("I9", "UPDATE content_attempts SET actor = 'auto'"),
    "I10 a start has no event": ("I10", "DELETE FROM content_events WHERE detail_type = 'Attempt Started'"),
    "I10 an outcome has no event": ("I10", "DELETE FROM content_events WHERE detail_type = 'Task Finalized'"),
    "I10 an end has no event": ("I10", "DELETE FROM content_events WHERE detail_type = 'Recovery Ended'"),
    "I10 an end has two events": (
        "I10",
        """
        INSERT INTO content_events (event_id, detail_type, detail, task_id)
        SELECT 'another', detail_type, detail, task_id FROM content_events
        WHERE detail_type = 'Recovery Ended'
        """,
    ),
}


@pytest.mark.parametrize(("invariant", "change"), UNACCOUNTED.values(), ids=UNACCOUNTED.keys())
def test_an_unaccounted_task_or_event_is_detected(recovered: World, invariant: str, change: str) -> None:
    recovered.pipeline.execute(change)
    assert invariant in {broken.invariant for broken in recovered.oracle.accounted()}


def test_an_undelivered_and_an_invented_event_are_detected(recovered: World) -> None:
    lost = recovered.log.delivered.pop()
    assert {broken.invariant for broken in recovered.oracle.accounted()} == {"I10"}
    recovered.log.delivered.append(lost)
    assert recovered.oracle.accounted() == []
    recovered.log.delivered.append("of a change that was rolled back")
    assert {broken.invariant for broken in recovered.oracle.accounted()} == {"I10"}
