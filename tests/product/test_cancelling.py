"""Cancelling takes effect within the time of one item, is not overwritten, and ends with a retry."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrations import use_time_zone
from roadmap_content.api.cancel import cancel_task
from roadmap_content.content.generation.generator import Generator
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.errors import NotCancellableError, TaskCancelledError, TaskNotFoundError
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.payloads import BatchRequest, Execution, RunInput, StateError
from roadmap_content.platform.aws.executions import ExecutionState
from roadmap_content.runs.retries.retry import RetryAnswer
from roadmap_content.runs.steps.finalize import FinalizeRequest, RunEnd, finalize_attempt, finalize_task
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.state.tasks.scope import Scope
from roadmap_content.state.tasks.task import lock_task
from tests.product.operations import perform
from tests.product.product import Product
from tests.product.running import deadline, heal, retry, run, sweep
from tests.support.factories import USER
from tests.support.pipeline import Pipeline, RecordedExecutions

pytestmark = pytest.mark.parametrize("form", ["create_all"], indirect=True)

CONCEPTS = [f"r-1:c-{number}" for number in range(1, 31)]


def cancel(product: Product) -> None:
    with product.engine.begin() as connection:
        perform(connection, "cancel a task", {"task_id": "t-1"})


class CancelledMeanwhile:
    """A generator; the product cancels the task during its third item."""

    def __init__(self, generator: Generator, product: Product) -> None:
        self._generator, self._product = generator, product
        self.asked = 0

    def generate(self, *arguments: object) -> object:
        self.asked += 1
        if self.asked == 3:
            cancel(self._product)
        return self._generator.generate(*arguments)  # type: ignore[arg-type]


def state_of(product: Product) -> tuple[str, str | None, str]:
    (task,) = product.rows("SELECT status, error_message, current_step FROM roadmap_tasks")
    return task["status"], task["error_message"], task["current_step"]


CANCELLED = ("cancelled", "Cancelled by the user", "content_generation")


def test_a_task_cancelled_during_a_run_starts_no_further_item(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    meanwhile = CancelledMeanwhile(pipeline.services.generator, adopted)
    monkeypatch.setattr("roadmap_content.runs.steps.generate.PARALLEL", 1)
    pipeline.services.generator = meanwhile  # type: ignore[assignment]

    run(pipeline.services, retry(pipeline.services))

    assert meanwhile.asked == 3
    assert state_of(adopted) == CANCELLED
    assert adopted.rows("SELECT 1 FROM tutorial_metadata") == []
    (task,) = adopted.rows("SELECT failed_concepts, execution_summary FROM roadmap_tasks")
    assert task["failed_concepts"]["count"] == 30
    codes = {item["error_code"] for item in task["failed_concepts"]["items"]}
    assert codes == {"Cancelled", "NotStaged"}
    assert task["execution_summary"]["quiz"] == {"total": 30, "completed": 0, "failed": 30}
    assert [repair for result in sweep(pipeline.services) for repair in result.repairs] == []

    pipeline.services.generator = meanwhile._generator  # noqa: SLF001
    answer = heal(pipeline.services)

    assert state_of(adopted) == ("completed", None, "completed")
    assert answer.attempt == 2


def test_staged_content_stays_staged_and_is_saved_by_a_retry(pipeline: Pipeline, adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS[:2])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    answer = retry(pipeline.services)
    execution = Execution(arn=answer.execution_arn or "")
    given = RunInput(task_id="t-1", attempt=answer.attempt)
    plan_batches(PlanRequest(input=given, execution=execution), pipeline.services, deadline())
    cancel(adopted)

    with pytest.raises(TaskCancelledError):
        plan_batches(PlanRequest(input=given, execution=execution), pipeline.services, deadline())

    assert state_of(adopted) == CANCELLED
    heal(pipeline.services)
    assert state_of(adopted)[0] == "completed"


def test_the_endpoint_cancels_and_stops_the_execution(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted.roadmap("r-1", CONCEPTS[:1])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    answer = retry(pipeline.services)
    assert answer.execution_arn is not None
    executions = pipeline.services.executions
    assert isinstance(executions, RecordedExecutions)
    executions.states[answer.execution_arn] = ExecutionState.RUNNING
    stopped: list[str] = []

    class Client:
        def stop_execution(self, **arguments: str) -> None:
            stopped.append(arguments["executionArn"])

    monkeypatch.setattr(type(executions), "_client", Client())

    cancelled = cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", "too long")

    assert (cancelled.status, cancelled.attempt) == ("cancelled", 1)
    assert [cancelled.stopped_execution] == stopped == [answer.execution_arn]
    assert state_of(adopted)[:2] == ("cancelled", f"Cancelled by user:{USER}: too long")


def test_completed_and_unknown_tasks_cannot_be_cancelled(pipeline: Pipeline, adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS[:1])
    adopted.task("t-1", "completed", roadmap_id="r-1")
    with pytest.raises(NotCancellableError):
        cancel_task(pipeline.services, "t-1", USER, deadline(), "user:u", None)
    with pytest.raises(TaskNotFoundError):
        cancel_task(pipeline.services, "t-1", "another", deadline(), "user:another", None)


def test_a_roadmap_deleted_during_a_run_gets_no_further_content(pipeline: Pipeline, adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS[:2])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    answer = retry(pipeline.services)
    pipeline.services.generator = DeletedMeanwhile(pipeline.services.generator, adopted)  # type: ignore[assignment]
    before = adopted.rows("SELECT CAST(framework_data AS text) AS f FROM roadmap_metadata")

    run(pipeline.services, answer)

    assert adopted.rows("SELECT CAST(framework_data AS text) AS f FROM roadmap_metadata") == before
    for content_type in ContentType:
        assert adopted.rows(f"SELECT 1 FROM {CONTENT_KINDS[content_type].table}") == []


class DeletedMeanwhile:
    """A generator; the user deletes the roadmap during its first item."""

    def __init__(self, generator: Generator, product: Product) -> None:
        self._generator, self._product = generator, product

    def generate(self, *arguments: object) -> object:
        self._product.execute("UPDATE roadmap_metadata SET deleted_at = coalesce(deleted_at, now())")
        return self._generator.generate(*arguments)  # type: ignore[arg-type]


def in_beijing_time(product: Product) -> None:
    """Read the product's timestamps as it writes them."""
    with product.engine.begin() as connection:
        use_time_zone(connection, "Asia/Shanghai")


@pytest.mark.parametrize("redrives", [0, 1])
def test_a_task_cancelled_before_its_first_step_is_not_started(
    pipeline: Pipeline, adopted: Product, redrives: int
) -> None:
    """The run claims its attempt itself, and was started, or redriven, before the user cancelled the task."""
    in_beijing_time(adopted)
    adopted.roadmap("r-1", CONCEPTS[:2])
    adopted.task("t-1", "failed", roadmap_id="r-1")
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
    finalize_task(FinalizeRequest(input=given, execution=started), pipeline.services, deadline())

    assert adopted.everything() == before
    redriven = started.model_copy(update={"redrive_count": redrives + 1, "redrive_time": now + minute})
    plan_batches(PlanRequest(input=given, execution=redriven), pipeline.services, deadline())
    assert state_of(adopted)[0] == "processing"


def test_a_cancelled_task_can_be_started_manually(pipeline: Pipeline, adopted: Product) -> None:
    in_beijing_time(adopted)
    adopted.roadmap("r-1", CONCEPTS[:2])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    cancel(adopted)
    started = Execution(arn="arn:by-hand", start_time=datetime.now(UTC) + timedelta(minutes=1))

    plan_batches(PlanRequest(input=RunInput(task_id="t-1"), execution=started), pipeline.services, deadline())

    assert state_of(adopted)[0] == "processing"


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
    answer = regenerating(pipeline, adopted)
    execution = Execution(arn=answer.execution_arn or "")
    given = RunInput(task_id="t-1", attempt=1)
    planned = plan_batches(PlanRequest(input=given, execution=execution), pipeline.services, deadline())
    request = BatchRequest(plan=planned.plan, batch=planned.batches[0], execution_arn=execution.arn)
    before = adopted.rows("SELECT * FROM tutorial_metadata ORDER BY tutorial_id")
    generate_content(request, pipeline.services, deadline())

    cancelled = cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)

    assert (cancelled.status, cancelled.attempt) == ("completed", 1)
    assert state_of(adopted) == ("completed", None, "completed")
    # A batch of the run that is still working stops, as for any cancelled task.
    save_batch(request, pipeline.services, deadline())
    assert adopted.rows("SELECT * FROM tutorial_metadata ORDER BY tutorial_id") == before
    sweep(pipeline.services)
    assert state_of(adopted) == ("completed", None, "completed")
    (attempt,) = adopted.rows("SELECT outcome, ended_at IS NOT NULL AS ended FROM content_attempts")
    assert attempt == {"outcome": "cancelled", "ended": True}


def test_generate_stops_after_a_regeneration_was_cancelled(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = regenerating(pipeline, adopted)
    monkeypatch.setattr("roadmap_content.runs.steps.generate.PARALLEL", 1)

    class CancelledByUser(CancelledMeanwhile):
        def generate(self, *arguments: object) -> object:
            self.asked += 1
            if self.asked == 2:
                cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)
            return self._generator.generate(*arguments)  # type: ignore[arg-type]

    meanwhile = CancelledByUser(pipeline.services.generator, adopted)
    pipeline.services.generator = meanwhile  # type: ignore[assignment]

    run(pipeline.services, answer)

    assert meanwhile.asked == 2
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
    adopted.roadmap("r-1", CONCEPTS[:1])
    adopted.task("t-1", "failed", roadmap_id="r-1")
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


def test_the_items_of_a_cancelled_run_fail_as_cancelled(pipeline: Pipeline, adopted: Product) -> None:
    """Not with the error with which Step Functions ended the run."""
    adopted.roadmap("r-1", CONCEPTS[:1])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    answer = retry(pipeline.services)
    cancel(adopted)
    lost = StateError(error="States.Timeout", cause="the run was too long")

    finalize_attempt(pipeline.services, "t-1", answer.attempt, RunEnd(error=lost), deadline())

    (task,) = adopted.rows("SELECT failed_concepts FROM roadmap_tasks")
    assert {item["error_code"] for item in task["failed_concepts"]["items"]} == {"Cancelled"}
