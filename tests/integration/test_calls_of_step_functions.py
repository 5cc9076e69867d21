"""A scheduled sweep describes few executions: their quota is small."""

from datetime import UTC, datetime

import pytest

from roadmap_content.platform.aws.executions import ExecutionState
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.pipeline import Pipeline, RecordedExecutions

IDS = concept_ids(2)


class Counted(RecordedExecutions):
    """Every execution that was started runs; the descriptions are recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.described: list[str] = []

    def state(self, execution_arn: str) -> ExecutionState:
        self.described.append(execution_arn)
        return self.states.get(execution_arn, ExecutionState.RUNNING)


@pytest.fixture
def executions(pipeline: Pipeline) -> Counted:
    pipeline.services.executions = executions = Counted()
    return executions


def test_a_scheduled_sweep_describes_a_page_and_reaches_a_run_that_died(
    pipeline: Pipeline, executions: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if more runs than a page are older, as long as these make progress."""
    monkeypatch.setattr("roadmap_content.runs.reconciliation.reconcile.PAGE", page := 10)
    pipeline.load(bundle_of(IDS))
    pipeline.retry()
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, attempt, execution_arn, created_at,"
        " updated_at) SELECT 'other-' || n, :user, 'r-1', 'processing', 1, 'arn:' || n, now(), now()"
        " FROM generate_series(1, :tasks) n",
        user=USER,
        tasks=page + 5,
    )
    pipeline.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, step)"
        " SELECT task_id, 1, 'console', 'first_run', 'working' FROM roadmap_tasks WHERE task_id <> 't-1'"
    )
    pipeline.execute(
        "UPDATE roadmap_tasks SET updated_at = content_now()"
        " - CASE task_id WHEN 't-1' THEN interval '1 hour' ELSE interval '2 hours' END"
    )
    pipeline.execute("UPDATE content_events SET recorded_at = recorded_at - interval '1 hour'")
    pipeline.execute(
        "INSERT INTO content_events (event_id, detail_type, task_id, detail)"
        " SELECT task_id, 'Item Saved', task_id, '{}' FROM roadmap_tasks WHERE task_id <> 't-1'"
    )
    (died,) = executions.names
    executions.states[died] = ExecutionState.OVER
    executions.described.clear()
    pipeline.sweep(time=datetime.now(UTC))
    assert len(executions.described) <= page
    assert pipeline.rows("SELECT status FROM roadmap_tasks WHERE task_id = 't-1'") == [{"status": "failed"}]


def test_a_sweep_describes_no_execution_of_a_finished_task(pipeline: Pipeline, executions: Counted) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.run()
    executions.described.clear()
    result = pipeline.sweep()
    assert (result.checked, executions.described) == (1, [])


def test_a_sweep_leaves_a_cancelled_task_s_attempt_open_until_its_run_has_ended(
    pipeline: Pipeline, executions: Counted
) -> None:
    """Otherwise the run would take itself for redriven, and claim another attempt of the cancelled task."""
    pipeline.load(bundle_of(IDS))
    pipeline.retry()
    pipeline.execute("UPDATE roadmap_tasks SET status = 'cancelled', completed_at = now()")
    open_attempts = "SELECT attempt FROM content_attempts WHERE ended_at IS NULL"
    pipeline.sweep()
    assert pipeline.rows(open_attempts) == [{"attempt": 1}]
    (run,) = executions.names
    executions.states[run] = ExecutionState.OVER
    pipeline.sweep()
    assert pipeline.rows(open_attempts) == []
    assert pipeline.task()["status"] == "cancelled"
