"""The sweep starts further attempts for tasks with items that failed for transient reasons."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from roadmap_content.api.cancel import cancel_task
from roadmap_content.capabilities.automatic_attempts import start
from roadmap_content.capabilities.automatic_attempts.plans import FIRST_PAUSE
from roadmap_content.capabilities.automatic_attempts.start import due_attempts
from roadmap_content.content.generation.model import ModelBusyError
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.payloads import RunInput, StateError
from roadmap_content.platform.aws.executions import ExecutionsUnavailableError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.generators import FakeModel
from tests.support.machine_model import Run
from tests.support.pipeline import SETTINGS, Pipeline
from tests.support.prepared import DENY_CLAIMS
from tests.support.requests_to_api import OPERATOR, Ask

LIMIT = 4


@pytest.fixture
def model(pipeline: Pipeline) -> FakeModel:
    """A model that was busy during the first run of a task without staged items."""
    pipeline.services.settings = Settings(SETTINGS | {"AUTOMATIC_ATTEMPTS": str(LIMIT)})
    failing = FakeModel(ModelBusyError("throttled"))
    pipeline.services.generator = failing
    pipeline.load(bundle_of(concept_ids(3)) | {"content": []})
    pipeline.run()
    return failing


def pause(pipeline: Pipeline) -> timedelta | None:
    """The time until the planned attempt, in whole minutes; `None` if none is planned."""
    rows = pipeline.rows("SELECT next_at FROM content_attempts WHERE next_at IS NOT NULL")
    if not rows:
        return None
    left = rows[0]["next_at"] - datetime.now(UTC)
    return timedelta(minutes=round(left / timedelta(minutes=1)))


def make_due(pipeline: Pipeline) -> None:
    pipeline.execute("UPDATE content_attempts SET next_at = next_at - interval '1 day'")


def run_started(pipeline: Pipeline) -> int:
    """Run the started executions; return their number."""
    executions = pipeline.executions
    started = list(zip(executions.names, executions.started, strict=True))
    executions.names.clear()
    executions.started.clear()
    for arn, (task_id, attempt) in started:
        run = Run(arn, RunInput(task_id=task_id, attempt=attempt))
        while run.outcome is None:
            try:
                run.step(pipeline.services, Deadline.after(600))
            except ContentError as error:
                run.catch(StateError(error=type(error).__name__, cause=str(error)))
    return len(started)


def start_due(pipeline: Pipeline) -> int:
    """Make the planned attempts due, sweep, and run the started executions; return their number."""
    make_due(pipeline)
    pipeline.sweep(
        time=datetime.now(UTC)
    )  # at once, a sweep would ask for the executions that it has started
    return run_started(pipeline)


def test_an_attempt_is_started_when_it_is_due_and_not_before(pipeline: Pipeline, model: FakeModel) -> None:
    assert pause(pipeline) == FIRST_PAUSE
    pipeline.sweep()
    assert run_started(pipeline) == 0
    model.error = None
    assert start_due(pipeline) == 1
    assert pipeline.task()["status"] == "completed"
    assert pipeline.rows("SELECT attempt, actor, cause FROM content_attempts ORDER BY attempt")[1] == {
        "attempt": 2,
        "actor": "auto",
        "cause": "automatic",
    }
    assert pause(pipeline) is None
    pipeline.sweep()
    assert run_started(pipeline) == 0


def test_plans_are_forgotten_when_automatic_attempts_are_turned_off(
    pipeline: Pipeline, model: FakeModel, ask: Ask
) -> None:
    pipeline.services.settings = Settings(SETTINGS | {"AUTOMATIC_ATTEMPTS": "0"})
    assert ask("GET", "/tasks/t-1", {"user_id": USER}).body["turn"]["who"] == "automatic"
    assert start_due(pipeline) == 0
    assert ask("GET", "/tasks/t-1", {"user_id": USER}).body["turn"]["who"] == "person"


def test_automatic_attempts_end_when_the_same_reason_recurs(pipeline: Pipeline, model: FakeModel) -> None:
    for _ in range(2):
        assert start_due(pipeline) == 1
    assert pause(pipeline) is None
    pipeline.sweep()
    assert run_started(pipeline) == 0
    assert pipeline.task()["attempt"] == 3


def test_the_same_reason_does_not_end_attempts_that_save_something(
    pipeline: Pipeline, model: FakeModel
) -> None:
    failing = set(concept_ids(3))
    model.fails = lambda item: item.concept_id in failing
    for concept_id in concept_ids(2):
        failing.remove(concept_id)
        assert start_due(pipeline) == 1
    assert pause(pipeline) == 4 * FIRST_PAUSE


@pytest.mark.parametrize("by", ["the API", "the product"])
def test_a_task_that_is_cancelled_before_its_automatic_attempt_stays_cancelled(
    pipeline: Pipeline, model: FakeModel, by: str
) -> None:
    if by == "the API":
        cancel_task(pipeline.services, pipeline.task_id, USER, Deadline.after(600), f"user:{USER}", None)
    else:
        pipeline.execute("UPDATE roadmap_tasks SET status = 'cancelled'")
    assert start_due(pipeline) == 0
    assert pipeline.task()["status"] == "cancelled"
    assert pipeline.rows("SELECT attempt FROM content_attempts WHERE next_at IS NOT NULL") == []


def test_a_task_cancelled_or_retried_meanwhile_is_not_changed(pipeline: Pipeline, model: FakeModel) -> None:
    make_due(pipeline)
    model.error = None
    pipeline.run()  # a user's retry completes it
    pipeline.sweep()
    assert run_started(pipeline) == 0
    assert pause(pipeline) is None


def test_a_plan_is_forgotten_when_another_task_has_saved_the_items(
    pipeline: Pipeline, model: FakeModel
) -> None:
    """Regression: the plan stayed due for ever, and fifty of them would have hidden all others."""
    pipeline.load(bundle_of(concept_ids(3), task_id="t-2"))
    pipeline.task_id = "t-2"
    pipeline.run()
    assert start_due(pipeline) == 0
    assert pipeline.rows("SELECT task_id FROM content_attempts WHERE next_at IS NOT NULL") == []
    pipeline.task_id = "t-1"
    assert pipeline.task()["status"] == "completed"


def test_a_plan_that_was_replaced_after_the_sweep_read_it_is_kept(
    pipeline: Pipeline, model: FakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the two, a user's retry fails: its automatic attempt is due later."""
    make_due(pipeline)
    with pipeline.engine.connect() as connection:
        due = due_attempts(connection, 50)
    pipeline.run()
    assert pause(pipeline) == FIRST_PAUSE
    monkeypatch.setattr(start, "due_attempts", lambda *_: due)
    pipeline.sweep()
    assert run_started(pipeline) == 0
    assert pipeline.rows("SELECT attempt FROM content_attempts WHERE next_at IS NOT NULL") == [{"attempt": 2}]
    assert pause(pipeline) == FIRST_PAUSE


def test_a_refused_task_does_not_affect_the_others(pipeline: Pipeline, model: FakeModel) -> None:
    ids = concept_ids(1, "r-2")
    pipeline.load(bundle_of(ids, roadmap_id="r-2", task_id="t-2") | {"content": []})
    pipeline.task_id = "t-2"
    pipeline.run()
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now() WHERE roadmap_id = 'r-1'")
    model.error = None
    assert start_due(pipeline) == 1
    assert pipeline.task()["status"] == "completed"
    assert pipeline.rows("SELECT task_id FROM content_attempts WHERE next_at IS NOT NULL") == []


@pytest.mark.parametrize("is_denied", [False, True])
def test_an_attempt_that_could_not_be_started_is_started_later(
    pipeline: Pipeline, model: FakeModel, monkeypatch: pytest.MonkeyPatch, is_denied: bool
) -> None:
    make_due(pipeline)

    def unavailable(*_: Any) -> None:
        raise ExecutionsUnavailableError("not now")

    with monkeypatch.context() as patched:
        if is_denied:
            pipeline.execute(DENY_CLAIMS)
        else:
            patched.setattr(pipeline.services.executions, "new_arn", unavailable)
        pipeline.sweep()
    pipeline.execute("DROP TRIGGER IF EXISTS denied ON roadmap_tasks")
    assert pause(pipeline) == FIRST_PAUSE
    model.error = None
    assert start_due(pipeline) == 1
    assert pipeline.task()["status"] == "completed"


def test_an_end_that_is_recorded_again_has_the_same_turn(pipeline: Pipeline, model: FakeModel) -> None:
    """Regression: the product set the task to `processing`, and the second event called a person."""
    pipeline.execute("UPDATE roadmap_tasks SET status = 'processing', updated_at = now() - interval '1 hour'")
    (planned,) = pipeline.rows("SELECT next_at FROM content_attempts")
    pipeline.sweep()
    finalized = "SELECT detail FROM content_events WHERE detail_type = 'Task Finalized' ORDER BY position"
    first, again = (row["detail"]["data"]["turn"] for row in pipeline.rows(finalized))
    assert (first["who"], again) == ("automatic", first)
    assert pipeline.rows("SELECT next_at FROM content_attempts") == [planned]


def test_until_it_is_due_every_answer_says_when(
    pipeline: Pipeline, model: FakeModel, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: doctor and failures asked a person for a decision about a failure that healed itself."""
    (row,) = pipeline.rows("SELECT next_at FROM content_attempts WHERE next_at IS NOT NULL")
    due = f"{row['next_at']:%Y-%m-%dT%H:%M:%S.%fZ}"

    def turns() -> list[tuple[str, str | None]]:
        status = ask("GET", "/tasks/t-1", {"user_id": USER}).body
        (listed,) = ask("GET", "/tasks", {"user_id": USER}).body["items"]
        (group,) = ask("GET", "/failures", **OPERATOR).body["items"]
        return [(each["turn"]["who"], each["turn"]["at"]) for each in (status, listed, group)]

    health = ask("GET", "/health", **OPERATOR).body
    assert turns() == [("automatic", due)] * 3
    assert health["automatic"] == {"tasks": 1, "next_at": due}
    assert (health["failure_groups"]["new"], health["failure_groups_ringing"]) == (1, 0)
    assert "failure_groups" not in [found["what"] for found in health["attention"]]

    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now()")
    assert turns() == [("nobody", None)] * 3
    assert ask("GET", "/health", **OPERATOR).body["automatic"] == {"tasks": 0, "next_at": None}
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = NULL")

    pipeline.execute("UPDATE content_attempts SET next_at = NULL")
    assert turns() == [("person", None)] * 3
    health = ask("GET", "/health", **OPERATOR).body
    assert health["automatic"] == {"tasks": 0, "next_at": None}
    assert "failure_groups" in [found["what"] for found in health["attention"]]


def test_the_end_of_a_run_says_who_acts_next_as_the_api_does(
    pipeline: Pipeline, model: FakeModel, caplog: pytest.LogCaptureFixture
) -> None:
    """In its event and in its log line: so that an alarm may be made from either."""
    caplog.set_level("INFO")

    def turn() -> Any:
        finalized = "SELECT detail FROM content_events WHERE detail_type = 'Task Finalized' ORDER BY position"
        reported = pipeline.rows(finalized)[-1]["detail"]["data"]["turn"]
        logged = [vars(line) for line in caplog.records if line.msg == "task_finalized"]
        assert logged[-1]["turn"] == reported
        assert pipeline.status().turn.model_dump(mode="json") == reported
        return reported

    start_due(pipeline)
    (planned,) = pipeline.rows("SELECT next_at FROM content_attempts WHERE next_at IS NOT NULL")
    waits = turn()
    assert (waits["who"], datetime.fromisoformat(waits["at"])) == ("automatic", planned["next_at"])
    start_due(pipeline)
    assert (turn()["who"], turn()["at"]) == ("person", None)
    model.error = None
    pipeline.retry()
    run_started(pipeline)
    assert turn()["who"] == "nobody"
