"""At most one live attempt per task: with retries, redrives from any state, and late deliveries."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.errors import (
    ClaimRefusedError,
    InvalidContentError,
    NotRedrivableError,
    StaleAttemptError,
    TaskCancelledError,
    TaskNotFoundError,
)
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import Execution, FinalizeResult, RunInput, StateError
from roadmap_content.contracts.states import Cause
from roadmap_content.platform.aws.executions import Executions, ExecutionState, new_execution_name
from roadmap_content.platform.postgres.transactions import transact, transact_in_parts
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.retries.retry import redrive_task
from roadmap_content.runs.steps import finalize as finalizing
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, FinalizedOutcome, await_redrive
from roadmap_content.runs.steps.end_attempt import RunEnd, end_attempt
from roadmap_content.runs.steps.finalize import FinalizeRequest, record_run_end
from roadmap_content.runs.steps.plan import PlanRequest, PlanResult, plan_batches
from roadmap_content.state.queue.admission import admit_waiting
from roadmap_content.state.queue.capacity import TOKENS_PER_ITEM
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import AttemptStart, record_plan
from tests.support.commits import Commits, How, Strike, When
from tests.support.factories import CONTENT_TABLES, USER, bundle_of, concept_ids, counts
from tests.support.generators import FakeModel
from tests.support.machine_model import batch_requests
from tests.support.pipeline import Pipeline, services_for

IDS = concept_ids(3)


def loaded(pipeline: Pipeline) -> Pipeline:
    """A task with one list of resources that is not generated yet."""
    bundle = bundle_of(IDS)
    del bundle["content"][0]["resources"]
    pipeline.load(bundle)
    return pipeline


def redrive(pipeline: Pipeline) -> RetryAnswer:
    start = AttemptStart(f"user:{USER}", Cause.CHECKPOINT)
    return redrive_task(pipeline.services, pipeline.task_id, USER, Deadline.after(600), start)


def plan(pipeline: Pipeline, arn: str, attempt: int | None = None, redrives: int = 0) -> PlanResult:
    execution = Execution(arn=arn, redrive_count=redrives)
    request = PlanRequest(input=RunInput(task_id=pipeline.task_id, attempt=attempt), execution=execution)
    return plan_batches(request, pipeline.services, Deadline.after(600))


def finalize(pipeline: Pipeline, planned: PlanResult, run: Execution, attempt: int = 1) -> FinalizeResult:
    request = FinalizeRequest(
        input=RunInput(task_id=pipeline.task_id, attempt=attempt), execution=run, plan=planned.plan
    )
    return record_run_end(request, pipeline.services, Deadline.after(600))


def stopped_in_fan_out(pipeline: Pipeline) -> tuple[str, PlanResult]:
    """A run that was planned and then stopped, with its end recorded."""
    arn = loaded(pipeline).retry().execution_arn
    assert arn is not None
    pipeline.executions.states[arn] = ExecutionState.RUNNING
    planned = plan(pipeline, arn, 1)
    pipeline.executions.states[arn] = ExecutionState.OVER
    pipeline.sweep(detail=ExecutionEnd(execution_arn=arn, status="ABORTED"))
    assert pipeline.task()["status"] == "failed"
    return arn, planned


def test_a_function_without_a_tuple_of_capabilities_claims_nothing(pipeline: Pipeline) -> None:
    """Its claim would miss the exclusions of capabilities that it forgot."""
    services = Services(loaded(pipeline).services.settings)
    services.engine, services.executions = pipeline.services.engine, pipeline.executions
    request = PlanRequest(input=RunInput(task_id=pipeline.task_id), execution=Execution(arn="arn:run:1"))
    with pytest.raises(RuntimeError, match="without a tuple of capabilities"):
        plan_batches(request, services, Deadline.after(600))
    assert not pipeline.rows("SELECT attempt FROM content_attempts")


def test_a_redrive_over_the_api_sets_the_status_processing(pipeline: Pipeline) -> None:
    stopped_in_fan_out(pipeline)
    answer = redrive(pipeline)
    task = pipeline.task()
    assert (answer.attempt, answer.status) == (2, "processing")
    assert (task["attempt"], task["status"], task["completed_at"]) == (2, "processing", None)
    with pytest.raises(ClaimRefusedError):
        pipeline.retry()


def refuse_redrives(pipeline: Pipeline) -> None:
    """Let Step Functions refuse each redrive."""

    def refuse(_arn: str) -> None:
        raise NotRedrivableError("it is too old")

    pipeline.executions.redrive = refuse  # type: ignore[method-assign, assignment]


def test_after_a_refused_redrive_the_task_has_an_outcome(pipeline: Pipeline) -> None:
    stopped_in_fan_out(pipeline)
    refuse_redrives(pipeline)
    with pytest.raises(NotRedrivableError):
        redrive(pipeline)
    task = pipeline.task()
    assert task["status"] == "failed"
    assert task["completed_at"] is not None


def waiting_redrive(pipeline: Pipeline) -> str:
    """A redrive that waits because generation is stopped; returns its execution."""
    arn, _ = stopped_in_fan_out(pipeline)
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'a test'")
    answer = redrive(pipeline)
    assert answer.execution_arn is None
    assert answer.queue is not None
    assert (answer.queue.position, pipeline.executions.redriven) == (1, [])
    return arn


def charged(pipeline: Pipeline) -> float:
    """The counter of the user, and the estimates of the attempts that wait: they will be charged."""
    (row,) = pipeline.rows("SELECT virtual_time FROM content_queue_keys")
    return float(row["virtual_time"])


def admit_again(pipeline: Pipeline) -> None:
    pipeline.execute("UPDATE content_capacity SET stopped_reason = NULL")
    admit_waiting(pipeline.services, Deadline.after(600))


def test_a_redrive_over_the_api_waits_for_its_turn_and_is_charged_like_a_start(pipeline: Pipeline) -> None:
    arn = waiting_redrive(pipeline)
    with pytest.raises(ClaimRefusedError):
        pipeline.retry()
    with pytest.raises(StaleAttemptError):
        plan(pipeline, arn, 1)  # of the run that is over, delivered late
    before = charged(pipeline)
    admit_again(pipeline)
    assert (pipeline.executions.started, pipeline.executions.redriven) == ([("t-1", 1)], [arn])
    assert charged(pipeline) == before + 3 * len(CONTENT_TABLES) * TOKENS_PER_ITEM
    planned = plan(pipeline, arn, 1, redrives=1)
    pipeline.execute("UPDATE content_attempts SET tokens = 7 WHERE attempt = 2")
    finalize(pipeline, planned, Execution(arn=arn, redrive_count=1))
    assert charged(pipeline) >= before


def test_an_execution_that_the_console_redrives_does_not_wait_for_a_redrive_over_the_api(
    pipeline: Pipeline,
) -> None:
    arn = waiting_redrive(pipeline)
    before = charged(pipeline)
    pipeline.executions.states[arn] = ExecutionState.RUNNING
    assert plan(pipeline, arn, 1, redrives=1).plan.attempt == 2
    assert charged(pipeline) == before + 3 * len(CONTENT_TABLES) * TOKENS_PER_ITEM
    assert queue_state(pipeline) == "running"
    admit_again(pipeline)
    assert pipeline.executions.redriven == []


def test_the_sweep_ends_a_waiting_redrive_that_is_refused(pipeline: Pipeline) -> None:
    waiting_redrive(pipeline)
    refuse_redrives(pipeline)
    admit_again(pipeline)
    assert queue_state(pipeline) == "redriving"
    pipeline.execute("UPDATE content_queue SET admitted_at = admitted_at - interval '2 minutes'")
    pipeline.sweep()
    assert (pipeline.task()["status"], queue_state(pipeline)) == ("failed", "ended")


def queue_state(pipeline: Pipeline) -> str:
    (row,) = pipeline.rows("SELECT state FROM content_queue WHERE attempt = 2")
    return str(row["state"])


@pytest.mark.parametrize("redrives", [False, True])
def test_a_claim_whose_commit_is_not_answered_starts_its_execution(
    pipeline: Pipeline, database_url: str, redrives: bool
) -> None:
    arn, _ = stopped_in_fan_out(pipeline)
    pipeline.executions.started.clear()
    aside = services_for(database_url).engine
    commits = Commits(pipeline.services.engine, aside)
    with commits.struck(Strike(1, When.AFTER, How.CONNECTION)):
        answer = redrive(pipeline) if redrives else pipeline.retry()
    assert answer.attempt == 2
    aside.dispose()
    assert commits.strikes == 1
    found = pipeline.executions
    assert (found.started, found.redriven) == (([], [arn]) if redrives else ([("t-1", 2)], []))


def test_a_waiting_claim_whose_commit_is_not_answered_has_its_place(
    pipeline: Pipeline, database_url: str
) -> None:
    stopped_in_fan_out(pipeline)
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'the bill', stopped_since = now()")
    aside = services_for(database_url).engine
    commits = Commits(pipeline.services.engine, aside)
    with commits.struck(Strike(1, When.AFTER, How.CONNECTION)):
        answer = redrive(pipeline)
    aside.dispose()
    assert commits.strikes == 1
    assert answer.queue is not None
    assert answer.queue.position == 1


def test_a_claim_that_was_rolled_back_does_not_take_a_rival_s_for_its_own(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two redrives claim the same execution: only the transaction identifies the claim."""
    arn, _ = stopped_in_fan_out(pipeline)
    aside = services_for(database_url)
    aside.executions = pipeline.executions
    rivals: list[RetryAnswer] = []
    monkeypatch.setattr(time, "sleep", lambda _: rivals.append(redrive(Pipeline(aside))))
    commits = Commits(pipeline.services.engine, aside.engine)
    with commits.struck(Strike(1, When.BEFORE, How.CONNECTION)), pytest.raises(ClaimRefusedError):
        redrive(pipeline)
    aside.engine.dispose()
    assert [rival.attempt for rival in rivals] == [2]
    assert pipeline.executions.redriven == [arn]


def test_a_run_that_is_redriven_after_its_cancellation_claims_when_its_attempt_has_ended(
    pipeline: Pipeline,
) -> None:
    """However late the outcome of the cancelled attempt is recorded, the redrive was requested before it."""
    arn = loaded(pipeline).retry().execution_arn
    assert arn is not None
    pipeline.executions.states[arn] = ExecutionState.RUNNING
    planned = plan(pipeline, arn, 1)
    pipeline.execute(
        "UPDATE roadmap_tasks SET status = 'cancelled', completed_at = content_now() - interval '1 hour'"
    )
    redriven = Execution(arn=arn, redrive_count=1, redrive_time=datetime.now(UTC) - timedelta(minutes=1))
    request = PlanRequest(input=RunInput(task_id=pipeline.task_id, attempt=1), execution=redriven)
    with pytest.raises(TaskCancelledError):
        plan_batches(request, pipeline.services, Deadline.after(600))
    finalize(pipeline, planned, redriven)
    assert plan_batches(request, pipeline.services, Deadline.after(600)).plan.attempt == 2


@pytest.mark.parametrize("by", ["the API", "the console"])
def test_redriven_inside_fan_out_a_run_generates_nothing_before_its_claim(
    pipeline: Pipeline, by: str
) -> None:
    arn, planned = stopped_in_fan_out(pipeline)
    if by == "the API":
        redrive(pipeline)
    else:
        pipeline.executions.states[arn] = ExecutionState.RUNNING
    for request in batch_requests(planned, arn):
        with pytest.raises(StaleAttemptError):
            pipeline.generate(request)
        pipeline.save(request)
    execution = Execution(arn=arn, redrive_count=1)
    outcome = finalize(pipeline, planned, execution)
    assert outcome.missing == counts(resources=1)
    again = await_redrive(
        AwaitRedriveRequest(
            outcome=FinalizedOutcome(**outcome.model_dump(), planned_redrive_count=0), execution=execution
        ),
        pipeline.services,
        Deadline.after(600),
    )
    assert (again.replan, again.attempt) == (True, 2)
    planned = plan(pipeline, arn, again.attempt, redrives=1)
    for request in batch_requests(planned, arn):
        pipeline.generate(request)
        pipeline.save(request)
    assert finalize(pipeline, planned, execution, attempt=2).complete
    assert pipeline.task()["status"] == "completed"


def test_redriven_at_finalize_a_run_with_nothing_missing_completes_the_claimed_attempt(
    pipeline: Pipeline,
) -> None:
    arn, planned = stopped_in_fan_out(pipeline)
    bundle = bundle_of(IDS)
    pipeline.load(bundle)
    redrive(pipeline)
    for request in batch_requests(planned, arn):
        pipeline.save(request)
    result = finalize(pipeline, planned, Execution(arn=arn, redrive_count=1))
    task = pipeline.task()
    assert result.complete
    assert (task["attempt"], task["status"]) == (2, "completed")
    assert task["completed_at"] is not None


@pytest.mark.parametrize(
    ("outcome", "failed"), [("superseded", counts(3, tutorial=0)), ("cancelled", counts(resources=1))]
)
def test_an_attempt_without_a_recorded_end_ends_at_the_next_claim_and_is_counted_by_the_sweep(
    pipeline: Pipeline, outcome: str, failed: dict[str, int]
) -> None:
    """It was stopped without an event, and no sweep came before the retry."""
    arn = loaded(pipeline).retry().execution_arn
    assert arn is not None
    pipeline.executions.states[arn] = ExecutionState.RUNNING
    planned = plan(pipeline, arn, 1)
    for request in batch_requests(planned, arn):
        pipeline.save(request)
    for table in CONTENT_TABLES:
        if table != "tutorial_metadata":
            pipeline.execute(f"DELETE FROM {table}")
    pipeline.executions.states[arn] = ExecutionState.OVER
    if outcome == "cancelled":  # a regeneration, which leaves its task completed
        pipeline.execute("UPDATE content_attempts SET outcome = 'cancelled'")
    assert pipeline.retry().attempt == 2
    (ended,) = pipeline.rows("SELECT * FROM content_attempts WHERE attempt = 1")
    assert (ended["outcome"], ended["step"], ended["saved"]) == (outcome, "ended", None)
    pipeline.sweep()
    (first,) = pipeline.rows("SELECT * FROM content_attempts WHERE attempt = 1")
    assert (first["outcome"], first["ended_at"]) == (outcome, ended["ended_at"])
    assert first["planned"] == counts(3)
    assert first["saved"] == counts(tutorial=3)
    assert first["failed"] == failed


def test_an_attempt_that_ends_as_the_one_before_it_has_an_end(pipeline: Pipeline) -> None:
    """The product has cancelled each of them, so that the second end changes nothing in the task's row."""
    loaded(pipeline)
    for attempt in (1, 2):
        assert pipeline.retry().attempt == attempt
        pipeline.execute("UPDATE roadmap_tasks SET status = 'cancelled', completed_at = content_now()")
        pipeline.execute("UPDATE content_queue SET admitted_at = admitted_at - interval '2 minutes'")
        pipeline.sweep()
        (recorded,) = pipeline.rows("SELECT * FROM content_attempts WHERE attempt = :a", a=attempt)
        assert (recorded["step"], recorded["outcome"]) == ("ended", "cancelled")
        assert recorded["failed"] is not None


@pytest.mark.parametrize("attempt", [1, None])
def test_a_plan_delivered_after_the_end_of_its_attempt_plans_nothing(
    pipeline: Pipeline, attempt: int | None
) -> None:
    pipeline.load(bundle_of(IDS))
    arn = pipeline.retry().execution_arn
    assert arn is not None
    planned = plan(pipeline, arn, 1)
    for request in batch_requests(planned, arn):
        pipeline.save(request)
    assert finalize(pipeline, planned, Execution(arn=arn)).complete
    pipeline.executions.states[arn] = ExecutionState.SUCCEEDED
    before = pipeline.task()
    with pytest.raises(StaleAttemptError):
        plan(pipeline, arn, attempt)
    assert pipeline.task() == before


def test_an_end_and_a_plan_that_come_late_change_nothing(pipeline: Pipeline) -> None:
    """An attempt with a higher number is one of the task's life before an erasure."""
    loaded(pipeline).run()
    before = pipeline.rows("SELECT * FROM content_attempts")
    deadline, task_id = Deadline.after(600), pipeline.task_id
    with pytest.raises(TaskNotFoundError):
        transact(pipeline.services.engine, end_attempt, deadline, pipeline.services, task_id, 2, RunEnd())
    transact(pipeline.services.engine, record_plan, deadline, task_id, 1, {ContentType.QUIZ: 1}, {})
    assert pipeline.rows("SELECT * FROM content_attempts") == before


def begin_later_life(pipeline: Pipeline) -> None:
    """The product deletes the task's row and makes it again; a retry claims attempt 1 again."""
    pipeline.execute(
        "CREATE TABLE kept AS SELECT * FROM roadmap_tasks; DELETE FROM roadmap_tasks;"
        "INSERT INTO roadmap_tasks SELECT * FROM kept;"
        "UPDATE roadmap_tasks SET attempt = 0, execution_arn = NULL, status = 'pending'"
    )
    pipeline.retry()


def test_generate_records_nothing_in_a_later_life(pipeline: Pipeline) -> None:
    """It begins while the model makes an answer that is not valid."""
    arn = loaded(pipeline).retry().execution_arn
    assert arn is not None
    (request,) = batch_requests(plan(pipeline, arn, 1), arn)

    def fails(_item: Item) -> bool:
        begin_later_life(pipeline)
        return True

    model = FakeModel(InvalidContentError("not valid"))
    model.fails = fails
    pipeline.services.generator = model
    with pytest.raises(StaleAttemptError):
        pipeline.generate(request)
    for table in ("content_failures", "content_origins"):
        assert pipeline.rows(f"SELECT * FROM {table}") == []


def test_the_end_of_a_run_without_a_plan_ends_no_attempt_of_a_later_life(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product deletes the row and makes it again while Finalize has read it and not locked it."""
    loaded(pipeline)
    run = pipeline.retry()
    assert run.execution_arn is not None

    def later(*arguments: Any) -> Any:
        begin_later_life(pipeline)
        return transact_in_parts(*arguments)

    monkeypatch.setattr(finalizing, "transact_in_parts", later)
    request = FinalizeRequest(
        input=RunInput(task_id="t-1", attempt=1),
        execution=Execution(arn=run.execution_arn),
        error=StateError(error="States.Timeout"),
    )
    result = record_run_end(request, pipeline.services, Deadline.after(600))
    assert (result.status, pipeline.task()["status"]) == ("unrecorded", "processing")


def test_a_restored_database_starts_another_execution(pipeline: Pipeline) -> None:
    """Step Functions keeps names that are not in the restored rows."""
    loaded(pipeline)
    pipeline.retry()
    pipeline.execute("UPDATE roadmap_tasks SET attempt = 0, execution_arn = NULL, status = 'pending'")
    pipeline.execute("DELETE FROM content_attempts")
    pipeline.retry()
    assert pipeline.executions.started == [("t-1", 1), ("t-1", 1)]
    assert len(set(pipeline.executions.names)) == 2


def test_a_task_s_row_that_was_restored_alone_has_attempts_again(pipeline: Pipeline) -> None:
    """Its later attempts are in our tables only. The next one has the number of the first of them."""
    loaded(pipeline)
    pipeline.run()
    pipeline.execute("CREATE TABLE kept AS SELECT * FROM roadmap_tasks")
    for lost in ("quiz_metadata", "resource_recommendation_metadata"):
        pipeline.execute(f"DELETE FROM {lost}")
        pipeline.run()
    pipeline.execute("DELETE FROM quiz_metadata")
    pipeline.execute("DELETE FROM roadmap_tasks")
    pipeline.execute("INSERT INTO roadmap_tasks SELECT * FROM kept")
    assert pipeline.run().status == "completed"
    attempts = pipeline.rows("SELECT attempt, execution_arn, saved FROM content_attempts ORDER BY attempt")
    assert [(row["attempt"], row["execution_arn"]) for row in attempts] == [
        (1, "arn:run-1"),
        (2, "arn:run-4"),
    ]
    assert attempts[1]["saved"] == counts(quiz=3)


@pytest.mark.parametrize("label", ["r1", "r99999", "by-hand"])
def test_the_longest_task_id_makes_a_name_that_step_functions_takes(label: str) -> None:
    names = {new_execution_name("x" * 64, label) for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) <= 80 for name in names)


class Denied(Executions):
    """Step Functions with a role that has no permissions for executions of another state machine."""

    def __init__(self) -> None:
        super().__init__("arn:aws:states:us-east-1:123456789012:stateMachine:renamed")

    @property
    def _client(self) -> object:  # type: ignore[override]
        import boto3
        from botocore.stub import Stubber

        client = boto3.client("stepfunctions", region_name="us-east-1")
        stubber = Stubber(client)
        stubber.add_client_error("describe_execution", "AccessDeniedException", http_status_code=400)
        stubber.activate()
        return client


def test_an_execution_of_a_stack_that_was_renamed_is_unknown(bucket_name: str) -> None:
    state = Denied().state("arn:aws:states:us-east-1:123456789012:execution:before:t-1-r1-0")
    assert state is ExecutionState.UNKNOWN
