"""An execution ended: finalize its task, if Finalize did not.

A state machine cannot catch its own timeout, an abort or a failure of Finalize. EventBridge reports them.
"""

from datetime import datetime
from functools import partial
from typing import Annotated

from pydantic import Field, ValidationError

from ...contracts.payloads import Payload, RunInput, StateError
from ...platform.aws.executions import CANCELLED
from ...platform.postgres.transactions import transact, transact_in_parts
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.metrics import Metric, emit
from ...state.queue.claims import claim_to_record, is_at_work
from ...state.services import Services
from ...state.tasks.task import Task, read_task, tasks_of_execution
from ..steps.end_attempt import end_attempt
from .task_repair import Repair, Repairs, after_end, may_be_compared, repair_each, run_end_of


class ExecutionEnd(Payload):
    """The `detail` of EventBridge's "Step Functions Execution Status Change"."""

    execution_arn: Annotated[str, Field(alias="executionArn")]
    status: str
    error: str | None = None
    cause: str | None = None
    input: str | None = None
    started_at: Annotated[datetime | None, Field(alias="startDate")] = None
    """EventBridge sends milliseconds."""

    @property
    def unclaimed_task(self) -> str | None:
        """The task in the execution's input, if the execution had to claim its attempt itself; `None` also if
        there is no valid input.
        """
        try:
            run = RunInput.model_validate_json(self.input or "")
        except ValidationError:
            return None
        return run.task_id if run.attempt is None else None


def record_execution_end(end: ExecutionEnd, services: Services, deadline: Deadline) -> Repairs:
    """Finalize the task of the ended execution. The event concerns one task, so there is time to wait: a Save
    of the run may still hold its locks.
    """
    subject = end.execution_arn, end.unclaimed_task, end.started_at
    task_ids = transact(services.engine, tasks_of_execution, deadline, *subject)
    return repair_each(task_ids, partial(_finalize, services, end, deadline), deadline)


def _finalize(services: Services, end: ExecutionEnd, deadline: Deadline, task_id: str) -> Repair | None:
    """Finalize a task of the ended execution; `None` if nothing is changed, or others work on the task. If
    the execution ended before its claim, the task's first attempt is claimed to record the end.
    """
    task = transact(services.engine, read_task, deadline, task_id)
    if _was_stopped(end, task):
        emit({Metric.RUNS_ABORTED: 1})
    if is_at_work(services.executions, task):
        return None  # the event is late: the next attempt has started
    task = claim_to_record(services, task, end.execution_arn, deadline)
    if not may_be_compared(services, task, deadline):
        return None  # not ours, or the product works on it
    error = StateError(error=end.error or end.status, cause=end.cause or f"the execution ended {end.status}")
    run_end = run_end_of(task, error)  # uses the error only if no outcome was recorded
    subject = task_id, task.attempt, run_end, task.execution_arn
    result = transact_in_parts(services.engine, end_attempt, deadline, services, *subject)
    return after_end(services, task, run_end, result, deadline)


def _was_stopped(end: ExecutionEnd, task: Task) -> bool:
    """Whether a run was stopped other than by the cancellation of its task. Step Functions' own metric does
    not distinguish them. Both are checked: that the event contains the error of StopExecution was not seen on
    AWS, and a task that was retried after its cancellation is not `cancelled` any more.
    """
    return end.status == "ABORTED" and end.error != CANCELLED and task.status != "cancelled"
