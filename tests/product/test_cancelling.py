"""Cancelling takes effect within the time of one item, is not overwritten, and ends with a retry."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrations import use_time_zone
from roadmap_content.api.callers import Caller
from roadmap_content.api.cancel import cancel_task
from roadmap_content.api.history import list_attempts
from roadmap_content.api.status import read_detail
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.errors import (
    AtWorkElsewhereError,
    ContentError,
    NotCancellableError,
    TaskCancelledError,
    TaskNotFoundError,
)
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage
from roadmap_content.contracts.payloads import Execution, RunInput, StateError
from roadmap_content.contracts.states import Role
from roadmap_content.platform.aws.executions import ExecutionState, ExecutionsUnavailableError
from roadmap_content.runs.steps.end_attempt import RunEnd, end_attempt
from roadmap_content.runs.steps.finalize import FinalizeRequest, record_run_end
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches
from roadmap_content.state.failures.failures import record_failures
from roadmap_content.state.tasks.scope import Scope
from roadmap_content.state.tasks.task import lock_task
from tests.integration.test_metrics import counted
from tests.product.operations import perform
from tests.product.product import NOW, Product
from tests.product.running import deadline, heal, planned, retry, run, sweep
from tests.support.factories import USER
from tests.support.generators import Meanwhile
from tests.support.pipeline import Pipeline

CONCEPTS = [f"r-1:c-{number}" for number in range(1, 31)]


def cancel(product: Product) -> None:
    perform(product.engine, "cancel a task", {"task_id": "t-1"})


def state_of(product: Product) -> tuple[str, str | None, str]:
    (task,) = product.rows("SELECT status, error_message, current_step FROM roadmap_tasks")
    return task["status"], task["error_message"], task["current_step"]


CANCELLED = ("cancelled", "Cancelled by the user", "content_generation")


def test_a_task_cancelled_during_a_run_starts_no_further_item(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted.failed(CONCEPTS)
    meanwhile = pipeline.services.generator = Meanwhile(3, lambda: cancel(adopted))
    monkeypatch.setattr("roadmap_content.runs.steps.generate.PARALLEL", 1)

    run(pipeline.services, retry(pipeline.services))

    assert len(meanwhile.asked) == 3
    assert state_of(adopted) == CANCELLED
    assert adopted.rows("SELECT 1 FROM tutorial_metadata") == []
    (task,) = adopted.rows("SELECT failed_concepts, execution_summary FROM roadmap_tasks")
    assert task["failed_concepts"] is None
    assert task["execution_summary"]["quiz"] == {"total": 30, "completed": 0, "failed": 0}
    assert [repair for result in sweep(pipeline.services) for repair in result.repairs] == []

    pipeline.services.generator = OfflineGenerator()
    answer = heal(pipeline.services)

    assert state_of(adopted) == ("completed", None, "completed")
    assert answer.attempt == 2


def test_staged_content_stays_staged_and_is_saved_by_a_retry(pipeline: Pipeline, adopted: Product) -> None:
    adopted.failed(CONCEPTS[:2])
    execution = planned(pipeline.services, retry(pipeline.services))
    cancel(adopted)

    with pytest.raises(TaskCancelledError):
        plan_batches(execution.plan_request(), pipeline.services, deadline())

    assert state_of(adopted) == CANCELLED
    heal(pipeline.services)
    assert state_of(adopted)[0] == "completed"


def test_the_endpoint_cancels_and_stops_the_execution(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted.failed(CONCEPTS[:1])
    answer = retry(pipeline.services)
    assert answer.execution_arn is not None
    executions = pipeline.executions
    executions.states[answer.execution_arn] = ExecutionState.RUNNING
    stopped: list[str] = []

    class Client:
        def stop_execution(self, **arguments: str) -> None:
            stopped.append(arguments["executionArn"])

    monkeypatch.setattr(type(executions), "_client", Client())

    cancelled = cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", "too long")

    assert (cancelled.status, cancelled.attempt) == ("cancelled", 1)
    assert [cancelled.stopped_execution] == stopped == [answer.execution_arn]
    assert state_of(adopted)[:2] == ("cancelled", "Cancelled by user: too long")


@pytest.mark.parametrize("misses_an_item", [True, False])
def test_a_cancel_answers_what_was_done_when_the_execution_cannot_be_stopped(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch, misses_an_item: bool
) -> None:
    """Regression: it answered 503 after it had cancelled the task."""
    adopted.failed(CONCEPTS[:1])
    answer = retry(pipeline.services)
    assert answer.execution_arn is not None
    if not misses_an_item:
        adopted.complete("r-1", CONCEPTS[0])

    def throttled(_: str) -> bool:
        raise ExecutionsUnavailableError("DescribeExecution: ThrottlingException")

    with monkeypatch.context() as outage:
        outage.setattr(pipeline.executions, "stop", throttled)
        cancelled = cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)
    status = "cancelled" if misses_an_item else "completed"
    assert (cancelled.status, cancelled.stopped_execution) == (status, None)
    assert state_of(adopted)[0] == status
    if misses_an_item:  # a repeated cancel stops the execution
        monkeypatch.setattr(pipeline.executions, "stop", lambda arn: arn == answer.execution_arn)
        again = cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)
        assert again.stopped_execution == answer.execution_arn
        events = adopted.rows("SELECT detail_type FROM content_events WHERE detail_type LIKE '%Cancelled'")
        assert len(events) == 1


def test_completed_and_unknown_tasks_cannot_be_cancelled(pipeline: Pipeline, adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS[:1])
    adopted.complete("r-1", CONCEPTS[0])
    adopted.task("t-1", "completed", roadmap_id="r-1")
    for user, error in ((USER, NotCancellableError), ("another", TaskNotFoundError)):
        with pytest.raises(error):
            cancel_task(pipeline.services, "t-1", user, deadline(), f"user:{user}", None)
    adopted.execute("UPDATE roadmap_tasks SET status = 'pending'")
    # No attempt of ours works on it, so that nothing is lost is no outcome of ours.
    assert cancel_task(pipeline.services, "t-1", USER, deadline(), "user:u", None).status == "cancelled"


@pytest.mark.parametrize("redrives", [0, 1])
def test_a_task_cancelled_before_its_first_step_is_not_started(
    pipeline: Pipeline, adopted: Product, redrives: int
) -> None:
    """The run claims its attempt itself, and was started, or redriven, before the user cancelled the task.
    One that was afterwards goes on.
    """
    with adopted.engine.begin() as connection:
        use_time_zone(connection, "Asia/Shanghai")
    adopted.failed(CONCEPTS[:2])
    given = RunInput(task_id="t-1")
    minute = timedelta(minutes=1)
    now = datetime.now(UTC)
    started = Execution(
        arn="arn:by-hand", start_time=now - minute, redrive_count=redrives, redrive_time=now - minute
    )
    cancel(adopted)
    before = adopted.everything()

    with pytest.raises(TaskCancelledError):
        plan_batches(PlanRequest(input=given, execution=started), pipeline.services, deadline())
    record_run_end(FinalizeRequest(input=given, execution=started), pipeline.services, deadline())

    assert adopted.everything() == before
    later = {"redrive_count": 2, "redrive_time": now + minute} if redrives else {"start_time": now + minute}
    again = started.model_copy(update=later)
    plan_batches(PlanRequest(input=given, execution=again), pipeline.services, deadline())
    assert state_of(adopted)[0] == "processing"


def being_cancelled_while_waiting(pipeline: Pipeline, adopted: Product) -> None:
    adopted.execute("UPDATE content_capacity SET stopped_reason = 'a test'")
    assert retry(pipeline.services).queue is not None
    cancel(adopted)


def with_a_run_that_is_ending(pipeline: Pipeline, adopted: Product) -> None:
    """Its outcome is recorded, and the execution goes on to AwaitRedrive."""
    arn = retry(pipeline.services).execution_arn or ""
    with pipeline.services.engine.begin() as connection:
        end_attempt(connection, pipeline.services, "t-1", 1, RunEnd(execution_arn=arn))
    pipeline.executions.states[arn] = ExecutionState.RUNNING


def with_a_run_that_the_product_has_cancelled(pipeline: Pipeline, adopted: Product) -> None:
    arn = retry(pipeline.services).execution_arn or ""
    pipeline.executions.states[arn] = ExecutionState.RUNNING
    cancel(adopted)


def in_an_earlier_step(_: Pipeline, adopted: Product) -> None:
    adopted.execute("UPDATE roadmap_tasks SET current_step = 'curriculum_design'")


def without_a_roadmap(_: Pipeline, adopted: Product) -> None:
    adopted.execute(f"UPDATE roadmap_metadata SET deleted_at = {NOW}")


@pytest.mark.parametrize(
    ("situation", "is_offered"),
    [
        (being_cancelled_while_waiting, True),
        (with_a_run_that_is_ending, True),
        (with_a_run_that_the_product_has_cancelled, False),
        (in_an_earlier_step, False),
        (without_a_roadmap, False),
    ],
)
def test_the_status_offers_a_retry_exactly_if_it_is_accepted(
    pipeline: Pipeline,
    adopted: Product,
    situation: Callable[[Pipeline, Product], None],
    is_offered: bool,
) -> None:
    adopted.failed(CONCEPTS[:1])
    situation(pipeline, adopted)
    caller = Caller(USER, frozenset({Role.OWNER}))

    with pipeline.services.reading_engine.connect() as connection:
        detail = read_detail(connection, pipeline.services, "t-1", USER, caller)

    assert (detail.actions.retry, detail.actions.narrow) == (is_offered, is_offered)
    with nullcontext() if is_offered else pytest.raises(ContentError):
        assert retry(pipeline.services).attempt == detail.attempt + 1


def test_a_waiting_attempt_leaves_the_queue_when_the_product_cancels_its_task(
    pipeline: Pipeline, adopted: Product
) -> None:
    adopted.failed(CONCEPTS[:1])
    being_cancelled_while_waiting(pipeline, adopted)
    assert pipeline.status().queue is None

    pipeline.sweep(time=datetime.now(UTC))

    assert adopted.rows("SELECT state FROM content_queue") == [{"state": "ended"}]
    assert adopted.rows("SELECT outcome, ended_at IS NOT NULL AS ended FROM content_attempts") == [
        {"outcome": "cancelled", "ended": True}
    ]
    assert state_of(adopted) == CANCELLED


def test_a_cancel_changes_nothing_of_a_task_that_the_product_has_taken_over(
    pipeline: Pipeline, adopted: Product
) -> None:
    adopted.failed(CONCEPTS[:1])
    heal(pipeline.services)
    adopted.execute("UPDATE roadmap_tasks SET status = 'processing', celery_task_id = 'celery-1'")
    before = adopted.everything()

    with pytest.raises(AtWorkElsewhereError):
        cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)

    assert adopted.everything() == before


def regenerating(pipeline: Pipeline, adopted: Product) -> RetryAnswer:
    """A complete task with an attempt that replaces its saved items."""
    adopted.roadmap("r-1", CONCEPTS[:2])
    for concept_id in CONCEPTS[:2]:
        adopted.complete("r-1", concept_id)
    adopted.task("t-1", "completed", roadmap_id="r-1")
    answer = retry(pipeline.services, scope=Scope(regenerate=True))
    assert answer.attempt == 1
    return answer


def test_a_cancelled_regeneration_leaves_the_task_completed(pipeline: Pipeline, adopted: Product) -> None:
    execution = planned(pipeline.services, regenerating(pipeline, adopted))
    before = adopted.rows("SELECT * FROM tutorial_metadata ORDER BY tutorial_id")
    pipeline.generate(execution.requests[0])

    cancelled = cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)

    assert (cancelled.status, cancelled.attempt) == ("completed", 1)
    assert state_of(adopted) == ("completed", None, "completed")
    # A batch of the run that is still working stops, as for any cancelled task.
    pipeline.save(execution.requests[0])
    assert adopted.rows("SELECT * FROM tutorial_metadata ORDER BY tutorial_id") == before
    sweep(pipeline.services)
    assert state_of(adopted) == ("completed", None, "completed")
    assert adopted.rows("SELECT outcome, ended_at IS NOT NULL AS ended FROM content_attempts") == [
        {"outcome": "cancelled", "ended": True}
    ]


def test_generate_stops_after_a_regeneration_was_cancelled(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = regenerating(pipeline, adopted)
    monkeypatch.setattr("roadmap_content.runs.steps.generate.PARALLEL", 1)

    arguments = pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None
    meanwhile = pipeline.services.generator = Meanwhile(2, lambda: cancel_task(*arguments))

    run(pipeline.services, answer)

    assert len(meanwhile.asked) == 2
    assert state_of(adopted)[0] == "completed"


def test_a_retry_completes_a_cancelled_task_that_misses_nothing(pipeline: Pipeline, adopted: Product) -> None:
    """Its row is as its answer."""
    run(pipeline.services, regenerating(pipeline, adopted))
    adopted.execute("UPDATE roadmap_tasks SET status = 'cancelled', error_message = 'Cancelled by the user'")
    sweep(pipeline.services)
    assert state_of(adopted)[0] == "cancelled", "without a request, a cancelled task stays cancelled"

    answer = retry(pipeline.services)

    assert (answer.status, answer.total_items) == ("completed", 0)
    assert state_of(adopted) == ("completed", None, "completed")
    assert "status" in answer.message


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_the_answer_of_a_cancel_that_came_too_late_is_what_happened(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """Finalize, or another cancel, commits between the read and the lock."""
    adopted.failed(CONCEPTS[:1])
    retry(pipeline.services)

    def meanwhile(*arguments: Any) -> None:
        adopted.execute(f"UPDATE roadmap_tasks SET status = '{status}'")
        lock_task(*arguments)

    monkeypatch.setattr("roadmap_content.api.cancel.lock_task", meanwhile)
    if status == "completed":
        with pytest.raises(NotCancellableError):
            cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)
    else:
        assert cancel_task(pipeline.services, "t-1", USER, deadline(), "user:u", None).status == "cancelled"
    assert state_of(adopted)[0] == status


@pytest.mark.parametrize("ending", ["recorded", "superseded"])
def test_the_items_of_a_cancelled_attempt_are_not_started(
    pipeline: Pipeline, adopted: Product, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    """They make no failure, no group and no event, with any error of the run. One had failed before."""
    adopted.failed(CONCEPTS[:2])
    execution = planned(pipeline.services, retry(pipeline.services))
    failed = Failure(Item(CONCEPTS[0], ContentType.QUIZ), Stage.GENERATE, "ModelBusy", "busy", transient=True)
    with adopted.engine.begin() as connection:
        record_failures(connection, "t-1", 1, [failed])
    cancel(adopted)
    for request in execution.requests:
        report = pipeline.save(request)
        assert (report.saved, report.failed, report.not_started) == (0, 0, request.batch.total)

    if ending == "recorded":
        execution.error = StateError(error="States.Timeout", cause="the run was too long")
        end = record_run_end(execution.finalize_request(), pipeline.services, deadline())
        assert end.status == "cancelled"
        groups = adopted.rows("SELECT error_code, items FROM content_task_failures")
        assert groups == [{"error_code": "ModelBusy", "items": 1}]
    else:
        retry(pipeline.services)
        pipeline.sweep(time=datetime.now(UTC))

    assert adopted.rows("SELECT error_code FROM content_failures") == [{"error_code": "ModelBusy"}]
    with adopted.engine.begin() as connection:
        row = list_attempts(connection, "t-1", None, None, 10).items[-1]
    counts = row.planned, row.saved, row.failed, row.not_started
    total = 2 * len(ContentType)
    assert row.outcome == "cancelled"
    assert [sum((count or {}).values()) for count in counts] == [total, 0, 1, total - 1]
    reported = "SELECT 1 FROM content_events WHERE detail_type = 'Batch Saved'"
    assert adopted.rows(reported) == []
    sums = counted(capsys)
    names = "TasksIncomplete", "ItemsMissing", "ItemsNotSaved", "BatchesUnsaved"
    assert sum(count for (name, _), count in sums.items() if name in names) == 0
