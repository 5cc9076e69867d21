"""Decisions and repairs of retry, redrive and reconcile, without a state machine."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from local_stack.processes import becomes_true
from roadmap_content.contracts.errors import (
    ClaimRefusedError,
    ContentIncomplete,
    DatabaseUnavailableError,
    InvalidFrameworkError,
    NotRedrivableError,
    TaskNotFoundError,
)
from roadmap_content.contracts.payloads import Execution, FinalizeResult
from roadmap_content.platform.aws.executions import ExecutionState, ExecutionsUnavailableError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.reconcile import (
    ReconcileRequest,
    reconcile,
)
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.runs.steps.accounting import Account, account_for
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, FinalizedOutcome, await_redrive
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.scope import Scope
from tests.support.factories import USER, bundle_of, concept_ids, counts
from tests.support.pipeline import SETTINGS, Pipeline, RecordedExecutions, services_for

IDS = concept_ids(30)


def the_report(pipeline: Pipeline) -> None:
    """The state of the bug report: a duplicate key, half of the rows saved, no outcome recorded."""
    pipeline.load(bundle_of(IDS))
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.save(request)
    pipeline.execute("DELETE FROM quiz_metadata")
    pipeline.execute("DELETE FROM tutorial_metadata WHERE concept_id > :id", id=IDS[14])
    pipeline.execute(
        "UPDATE roadmap_tasks SET status = 'failed', attempt = 0, execution_arn = NULL, completed_at = now(),"
        " failed_concepts = NULL, error_message = 'duplicate key value violates unique constraint'"
    )


def test_missing_items_are_read_from_the_tables_and_not_from_the_framework(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    the_report(pipeline)
    saved = pipeline.rows("SELECT * FROM tutorial_metadata ORDER BY concept_id")
    answer = pipeline.retry()
    missing = sum(concept_id > IDS[14] for concept_id in IDS)
    assert dict(answer.items_to_retry) == counts(tutorial=missing, quiz=30)
    assert (answer.status, answer.attempt, answer.total_items) == ("processing", 1, 30 + missing)
    assert pipeline.executions.started == [("t-1", 1)]
    logged = {record.getMessage(): vars(record) for record in caplog.records}
    assert "no_failed_items_in_framework_checking_database" in logged
    found = logged["found_missing_concepts_in_database"]
    assert (found["missing_count"], found["missing_concepts"]) == (30, IDS)
    assert found["roadmap_id"] == pipeline.roadmap_id
    assert pipeline.rows("SELECT * FROM tutorial_metadata ORDER BY concept_id") == saved


def test_a_task_without_missing_items_is_finalized_at_once_by_a_retry(pipeline: Pipeline) -> None:
    the_report(pipeline)
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.save(request)
    pipeline.execute("UPDATE roadmap_tasks SET status = 'failed', attempt = 0, execution_arn = NULL")
    answer = pipeline.retry()
    assert (answer.status, answer.total_items) == ("completed", 0)
    task = pipeline.task()
    assert (task["status"], task["failed_concepts"], task["error_message"]) == ("completed", None, None)
    assert {concept["quiz_status"] for concept in pipeline.concepts().values()} == {"completed"}
    assert pipeline.executions.started == []

    before = pipeline.task()
    assert pipeline.retry().message == "None of the requested items is missing"
    assert pipeline.task() == before


def test_a_summary_of_the_product_does_not_prevent_a_retry(pipeline: Pipeline) -> None:
    """An ORM writes Python's `None` into a json column as JSON `null`, which differs from SQL NULL."""
    pipeline.load(bundle_of(IDS))
    for request in pipeline.requests(pipeline.plan()):
        pipeline.save(request)
    for summary in (
        *("null", "[]", '"attempt"', "3", "[" * 5_000 + "]" * 5_000),
        *('{"attempt": 0}', '{"attempt": 0, "duration_seconds": "long"}'),
    ):
        pipeline.execute(
            "UPDATE roadmap_tasks SET status = 'failed', attempt = 0, execution_arn = NULL,"
            " completed_at = now(), failed_concepts = CAST('null' AS json),"
            " execution_summary = CAST(:summary AS json)",
            summary=summary,
        )
        assert pipeline.retry().status == "completed"
        assert pipeline.task()["execution_summary"]["duration_seconds"] >= 0, summary


def test_a_task_of_another_user_is_not_found(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    with pytest.raises(TaskNotFoundError):
        pipeline.retry("somebody else")


def test_a_task_whose_execution_runs_is_not_retried(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.plan()
    pipeline.executions.states["arn:run-1"] = ExecutionState.RUNNING
    for status in ("processing", "cancelled", "partial_failure"):
        pipeline.execute("UPDATE roadmap_tasks SET status = :status", status=status)
        with pytest.raises(ClaimRefusedError) as caught:
            pipeline.retry()
        assert caught.value.attempt == 1


@pytest.mark.parametrize("status", ["processing", "cancelled", "failed", "pending"])
def test_a_task_with_an_ended_execution_is_retried_in_every_status(pipeline: Pipeline, status: str) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.plan()
    pipeline.execute("UPDATE roadmap_tasks SET status = :status", status=status)
    assert pipeline.retry().attempt == 2


def test_a_retry_of_a_saved_item_lifts_no_cancellation_of_a_task_that_misses_others(
    pipeline: Pipeline,
) -> None:
    pipeline.load(bundle_of(["a", "b"]))
    pipeline.run()
    pipeline.execute("DELETE FROM quiz_metadata WHERE concept_id = 'b'")
    pipeline.execute("UPDATE roadmap_tasks SET status = 'cancelled'")
    start = user_start(USER)._replace(scope=Scope("a"))
    answer = retry_task(pipeline.services, "t-1", USER, Deadline.after(600), start)
    assert (answer.status, pipeline.task()["status"]) == ("cancelled", "cancelled")


def test_an_attempt_that_was_claimed_and_not_started_is_not_retried(pipeline: Pipeline) -> None:
    """However long ago: the sweep starts it."""
    pipeline.load(bundle_of(IDS))
    answer = pipeline.retry()
    assert answer.execution_arn is not None
    pipeline.executions.states[answer.execution_arn] = ExecutionState.UNKNOWN
    pipeline.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 day'")
    with pytest.raises(ClaimRefusedError):
        pipeline.retry()


def test_a_task_that_was_never_run_has_nothing_to_redrive(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    with pytest.raises(NotRedrivableError):
        redrive_task(pipeline.services, "t-1", USER, Deadline.after(600), user_start(USER))


def incomplete(pipeline: Pipeline) -> FinalizeResult:
    """A run that saved nothing and recorded this outcome."""
    pipeline.load(bundle_of(IDS))
    return pipeline.finalize(pipeline.plan())


def awaiting(outcome: FinalizeResult, *, planned: int, seen: int) -> AwaitRedriveRequest:
    return AwaitRedriveRequest(
        outcome=FinalizedOutcome(**outcome.model_dump(), planned_redrive_count=planned),
        execution=Execution(arn="arn:run-1", redrive_count=seen),
    )


def test_an_execution_that_was_not_redriven_since_its_plan_fails(pipeline: Pipeline) -> None:
    outcome = incomplete(pipeline)
    for planned, seen in ((0, 0), (1, 1), (3, 3), (3, 2)):
        request = awaiting(outcome, planned=planned, seen=seen)
        with pytest.raises(ContentIncomplete, match="missing: 30 tutorial, 30 resources, 30 quiz"):
            await_redrive(request, pipeline.services, Deadline.after(600))
        assert pipeline.task()["attempt"] == 1


def test_a_redriven_run_claims_the_next_attempt_once(pipeline: Pipeline) -> None:
    request = awaiting(incomplete(pipeline), planned=0, seen=1)
    pipeline.executions.states["arn:run-1"] = ExecutionState.RUNNING
    first = await_redrive(request, pipeline.services, Deadline.after(600))
    assert (first.replan, first.attempt) == (True, 2)
    assert await_redrive(request, pipeline.services, Deadline.after(600)) == first


def test_a_redriven_execution_with_nothing_missing_writes_nothing(pipeline: Pipeline) -> None:
    request = awaiting(incomplete(pipeline), planned=0, seen=1)
    assert pipeline.run().complete
    before = pipeline.task()
    assert await_redrive(request, pipeline.services, Deadline.after(600)).replan is False
    assert pipeline.task() == before


def test_an_execution_that_is_redriven_during_a_retry_loses_the_claim(pipeline: Pipeline) -> None:
    request = awaiting(incomplete(pipeline), planned=0, seen=1)
    answer = pipeline.retry()
    assert answer.execution_arn is not None
    pipeline.executions.states[answer.execution_arn] = ExecutionState.RUNNING
    with pytest.raises(ClaimRefusedError, match="attempt 2"):
        await_redrive(request, pipeline.services, Deadline.after(600))


def test_the_end_of_an_execution_without_finalize_is_recorded(pipeline: Pipeline) -> None:
    pipeline.services.settings = Settings(SETTINGS | {"BATCH_SIZE": "1"})
    pipeline.load(bundle_of(IDS))
    for request in pipeline.requests(pipeline.plan())[:2]:
        pipeline.save(request)
    end = ExecutionEnd(execution_arn="arn:run-1", status="ABORTED")
    result = pipeline.sweep(detail=end)
    assert [(repair.task_id, repair.status) for repair in result.repairs] == [("t-1", "partial_failure")]
    task = pipeline.task()
    assert task["error_message"] == "ABORTED: the execution ended ABORTED"
    assert {item["error_code"] for item in task["failed_concepts"]["items"]} == {"ABORTED"}
    assert pipeline.sweep(detail=end).repairs == []


def test_no_claim_comes_between_the_account_of_an_end_and_its_record(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: the new attempt lost its failures, and another one was planned after the old one."""
    pipeline.load(bundle_of(IDS))
    pipeline.plan()
    free: list[object] = []

    def account(*arguments: Any) -> Account:
        with pipeline.engine.connect() as other:
            free.append(other.scalar(text("SELECT task_id FROM roadmap_tasks FOR UPDATE SKIP LOCKED")))
        return account_for(*arguments)

    monkeypatch.setattr("roadmap_content.runs.steps.end_attempt.account_for", account)
    pipeline.sweep(detail=ExecutionEnd(execution_arn="arn:run-1", status="ABORTED"))
    assert free == [None]


def test_the_end_of_an_execution_without_a_claim_is_recorded_for_the_task_in_its_input(
    pipeline: Pipeline,
) -> None:
    pipeline.load(bundle_of(IDS))
    end = ExecutionEnd(execution_arn="arn:run-1", status="TIMED_OUT", input='{"task_id": "t-1"}')
    assert [(repair.task_id, repair.status) for repair in pipeline.sweep(detail=end).repairs] == [
        ("t-1", "failed")
    ]
    task = pipeline.task()
    assert (task["attempt"], task["execution_arn"]) == (1, "arn:run-1")
    assert task["error_message"] == "TIMED_OUT: the execution ended TIMED_OUT"
    assert pipeline.sweep(detail=end).repairs == []


def test_an_input_without_a_valid_task_is_ignored(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    for run_input in (None, "", "[]", '{"task_id": 7}', '{"task_id": "another"}'):
        end = ExecutionEnd(execution_arn="arn:run-1", status="FAILED", input=run_input)
        assert pipeline.sweep(detail=end).checked == 0
        assert pipeline.task()["status"] == "pending"


def test_the_end_of_another_execution_is_not_compared_with_a_claimed_task(pipeline: Pipeline) -> None:
    """Two were started by hand; the other one lost the claim."""
    pipeline.load(bundle_of(IDS))
    pipeline.run()
    end = ExecutionEnd(execution_arn="arn:another", status="FAILED", input='{"task_id": "t-1"}')
    assert pipeline.sweep(detail=end).checked == 0


def test_a_running_execution_is_not_changed(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.plan()
    pipeline.executions.states["arn:run-1"] = ExecutionState.RUNNING
    before = pipeline.task()
    assert pipeline.sweep(detail=ExecutionEnd(execution_arn="arn:run-1", status="FAILED")).repairs == []
    assert pipeline.task() == before


@pytest.mark.parametrize("ahead", [timedelta(minutes=-2), timedelta(hours=8), timedelta(days=1)])
def test_the_sweep_starts_an_attempt_that_was_claimed_and_never_started(
    pipeline: Pipeline, ahead: timedelta
) -> None:
    """A wrong clock or zone of the database's owner has no influence on the queue."""
    pipeline.load(bundle_of(IDS))
    answer = pipeline.retry()
    assert answer.execution_arn is not None
    pipeline.executions.states[answer.execution_arn] = ExecutionState.UNKNOWN
    pipeline.executions.started.clear()
    assert (pipeline.sweep().repairs, pipeline.executions.started) == ([], [])
    pipeline.execute("UPDATE roadmap_tasks SET updated_at = updated_at + :ahead", ahead=ahead)
    pipeline.execute("UPDATE content_queue SET admitted_at = admitted_at - interval '2 minutes'")
    assert pipeline.sweep().repairs == []
    assert pipeline.executions.started == [("t-1", 1)]
    assert pipeline.executions.names[-1] == answer.execution_arn
    assert pipeline.task()["status"] == "processing"


def test_a_dry_run_starts_no_waiting_attempt(pipeline: Pipeline) -> None:
    """The queue has room; a sweep would record the end of the first run and start the second task's."""
    for number in (1, 2):
        pipeline.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number}", task_id=f"t-{number}"))
        pipeline.retry(task_id=f"t-{number}")
    pipeline.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
    pipeline.execute("UPDATE content_queue SET state = 'waiting' WHERE task_id = 't-2'")
    pipeline.execute("UPDATE content_queue_keys SET waiting = true")
    pipeline.execute("UPDATE content_queue SET state = 'running' WHERE task_id = 't-1'")
    pipeline.executions.started.clear()
    assert [repair.task_id for repair in pipeline.sweep(dry_run=True).repairs] == ["t-1"]
    assert pipeline.executions.started == []


@pytest.mark.slow
def test_the_end_of_a_run_is_recorded_when_its_blocked_save_releases_its_locks(
    pipeline: Pipeline, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep would skip the task; the event is delivered once, so it waits for the roadmap's lock."""
    monkeypatch.setattr("roadmap_content.runs.reconciliation.task_repair.TASK_SECONDS", 0.0)
    monkeypatch.setattr("roadmap_content.platform.postgres.engine.LOCK_TIMEOUT", 1)
    pipeline.load(bundle_of(["c"]))
    pipeline.plan()
    end = ReconcileRequest(detail=ExecutionEnd(execution_arn=pipeline.execution().arn, status="ABORTED"))
    patient = services_for(database_url)
    waiting = text(
        "SELECT query_start FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
    waits: set[object] = set()

    def has_come_back(holder: Connection) -> bool:
        holder.execute(text("SELECT pg_stat_clear_snapshot()"))
        waits.update(holder.scalars(waiting))
        return len(waits) > 1

    with ThreadPoolExecutor(1) as pool:
        with pipeline.engine.begin() as holder:
            holder.execute(text("SELECT FROM roadmap_metadata FOR NO KEY UPDATE"))
            recorded = pool.submit(reconcile, end, patient, Deadline.after(60))
            assert becomes_true(lambda: has_come_back(holder) or recorded.done(), 600)
        assert [repair.status for repair in recorded.result().repairs] == ["failed"]
    patient.engine.dispose()


def test_a_sweep_checks_every_finished_task_and_then_waits(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadmap_content.runs.reconciliation.reconcile.PAGE", 3)
    for number in range(7):
        pipeline.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number}", task_id=f"t-{number}"))
    pipeline.execute("UPDATE roadmap_tasks SET status = 'completed', attempt = 1, completed_at = now()")
    now = "2026-01-01T00:00:00Z"  # a scheduled sweep; a manual sweep checks all of them at any time
    found = [repair.task_id for repair in pipeline.sweep(time=now).repairs]
    assert sorted(found) == sorted(f"t-{number}" for number in range(7))
    assert pipeline.sweep(time=now).checked == 7  # the repairs are changes
    assert pipeline.sweep(time=now).checked == 0
    assert pipeline.sweep().checked == 7


def test_a_sweep_reads_the_ids_of_all_tasks_before_it_checks_one(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: an error of the second read lost the report of the tasks that were repaired before."""
    pipeline.load(bundle_of(IDS))
    pipeline.plan()

    def fail(_connection: Connection) -> None:
        raise DatabaseUnavailableError("gone")

    monkeypatch.setattr("roadmap_content.runs.reconciliation.reconcile.finished_tasks", fail)
    with pytest.raises(DatabaseUnavailableError):
        pipeline.sweep()
    assert pipeline.task()["status"] == "processing"


def test_new_tasks_do_not_delay_waiting_tasks_of_a_sweep(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep has time for one task, and another task finishes before each sweep. The longest waiting task is
    next.
    """
    monkeypatch.setattr("roadmap_content.runs.reconciliation.task_repair.TASK_SECONDS", 10**6)
    for number in range(6):
        pipeline.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number}", task_id=f"t-{number}"))
    pipeline.execute("UPDATE roadmap_tasks SET status = 'completed', attempt = 1, completed_at = now()")
    for number in range(6, 12):
        assert pipeline.sweep(time="2026-01-01T00:00:00Z").checked == 1  # there is no time for another task
        pipeline.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number}", task_id=f"a-{number}"))
        pipeline.execute(
            "UPDATE roadmap_tasks SET status = 'completed', attempt = 1 WHERE status = 'pending'"
        )
    checked = {
        row["task_id"]
        for row in pipeline.rows("SELECT task_id FROM content_checks WHERE checked_at IS NOT NULL")
    }
    assert checked == {f"t-{number}" for number in range(6)}


def test_a_sweep_skips_locked_tasks_and_retries_them_at_its_end(
    pipeline: Pipeline, database_url: str
) -> None:
    """With a lock timeout for each task, a sweep would end before the last one."""
    swept = Pipeline(services_for(database_url))
    for number in range(26):
        pipeline.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number:02}", task_id=f"t-{number:02}"))
    pipeline.execute(
        "UPDATE roadmap_tasks SET status = 'processing', attempt = 1, updated_at = now() - interval '2 hours'"
        " + make_interval(secs => CAST(right(task_id, 2) AS integer))"
    )
    with pipeline.engine.begin() as holder:
        holder.execute(text("SELECT FROM roadmap_metadata WHERE roadmap_id < 'r-20' FOR UPDATE"))
        holder.execute(text("SELECT FROM roadmap_tasks WHERE task_id BETWEEN 't-20' AND 't-24' FOR UPDATE"))
        result = swept.sweep()
    assert result.locked == [f"t-{number:02}" for number in range(25)]
    found = pipeline.rows("SELECT task_id FROM roadmap_tasks WHERE status = 'failed'")
    assert [row["task_id"] for row in found] == ["t-25"]
    named = pipeline.rows("SELECT DISTINCT error_code FROM content_checks WHERE error_code IS NOT NULL")
    assert [row["error_code"] for row in named] == ["RoadmapLocked"]
    assert len(swept.sweep().repairs) == 25
    swept.engine.dispose()


class StartsWithoutAnAnswer(RecordedExecutions):
    """StartExecution starts the execution, but its response is lost."""

    def start(self, execution_arn: str, task_id: str, attempt: int) -> None:
        """Start the execution, but raise an error."""
        super().start(execution_arn, task_id, attempt)
        self.states[execution_arn] = ExecutionState.RUNNING
        raise ExecutionsUnavailableError("StartExecution: no answer")


def test_a_start_with_a_lost_response_is_not_repeated_as_another_attempt(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.services.executions = StartsWithoutAnAnswer()
    assert pipeline.retry().status == "processing"
    with pytest.raises(ClaimRefusedError) as caught:
        pipeline.retry()
    assert caught.value.attempt == 1
    assert pipeline.executions.started == [("t-1", 1)]


@pytest.mark.parametrize("levels", [200, 960, 5_000])
def test_every_reader_refuses_a_framework_that_is_nested_too_deep(pipeline: Pipeline, levels: int) -> None:
    pipeline.load(bundle_of(IDS))
    nested = "[" * levels + "]" * levels
    pipeline.execute(
        "UPDATE roadmap_metadata SET framework_data = CAST(replace("
        "CAST(framework_data AS text), '\"title\":', CAST(:deep AS text)) AS json)",
        deep=f'"deep": {nested}, "title":',
    )
    message = "framework_data is nested deeper than 100 levels"
    assert pipeline.run().status == "failed"
    assert pipeline.task()["error_message"] == f"InvalidFramework: {message}"
    with pytest.raises(InvalidFrameworkError, match=message):
        pipeline.retry()
    assert pipeline.status().status == "failed"
    pipeline.execute("UPDATE roadmap_tasks SET status = 'processing', updated_at = now() - interval '1 hour'")
    assert [repair.status for repair in pipeline.sweep().repairs] == ["failed"]
