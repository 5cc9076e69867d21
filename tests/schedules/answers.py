"""The rules that hold directly after a schedule, before anything heals, for answers, tasks and attempts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.api.tasks import CancelAnswer
from roadmap_content.contracts.states import Cause
from roadmap_content.runs.steps.await_redrive import AwaitRedriveResult
from tests.faults.world import World
from tests.schedules.process import Process
from tests.support.oracle import Broken

Attempts = Mapping[int, Mapping[str, Any]]
"""The rows of the audit trail, by number."""

_WORK = re.compile(r"PutObject staged/|INSERT INTO (?!content_)\w+_metadata")
"""The first step by which a batch generates or saves."""

_SEES_CANCELLATIONS = ("SELECT roadmap_tasks", "SELECT guard FOR UPDATE")
"""A batch that reads the task, or locks the roadmap to save, sees a cancellation before it goes on."""

_PLACES = """
SELECT attempt, a.execution_arn, q.state, q.state = 'ended' AS left, a.ended_at IS NOT NULL AS over
FROM content_queue q JOIN content_attempts a USING (task_id, attempt) WHERE task_id = :id
"""


def attempts_of(world: World) -> Attempts:
    """The attempts of the task."""
    rows = world.pipeline.rows("SELECT * FROM content_attempts WHERE task_id = :id", id=world.task_id)
    return {row["attempt"]: row for row in rows}


def accepted(processes: Sequence[Process]) -> list[int]:
    """The attempts that were accepted: 202."""
    return sorted(
        process.answer.attempt
        for process in processes
        if isinstance(process.answer, RetryAnswer) and process.answer.status == "processing"
    )


def answered(processes: Sequence[Process]) -> list[str]:
    """The statuses and the errors that were answered."""
    found = [getattr(process.answer, "status", process.answer) for process in processes]
    return [status for status in found if isinstance(status, str)]


def broken_at_once(world: World, processes: Sequence[Process], before: Attempts) -> Iterator[Broken]:
    """Compare the answers of the processes with the task, and its attempts with those before the schedule."""
    attempts, task = attempts_of(world), world.pipeline.task()
    yield from _starts(world, processes, attempts)
    yield from _cancelled_attempts(processes, attempts)
    if task["celery_task_id"] is None:
        yield from _status(world, processes, attempts, task)
    for attempt, row in attempts.items():
        if (row["step"] == "ended") != (row["ended_at"] is not None):
            yield Broken("I9", f"attempt {attempt} is {row['step']}, and ended at {row['ended_at']}")
        planned = before.get(attempt, row)["planned"]
        if planned is not None and row["planned"] != planned:
            yield Broken("I9", f"attempt {attempt} had planned {planned}, and now {row['planned']}")
    if any(process.killed for process in processes):
        return
    running = {run.arn for run in world.runs if run.running}
    # Step Functions cannot stop only the life of an execution that was cancelled: a redrive that is requested
    # between the COMMIT of a cancellation and StopExecution is stopped, too. Its end is recorded.
    answers = [process.answer for process in processes]
    running |= {answer.stopped_execution or "" for answer in answers if isinstance(answer, CancelAnswer)}
    for row in world.pipeline.rows(_PLACES, id=world.task_id):
        if row["left"] != row["over"]:
            over = "has ended" if row["over"] else "has not ended"
            yield Broken("I12", f"attempt {row['attempt']} {over}, and its place is {row['state']}")
        is_new = row["attempt"] not in before and task["status"] == "processing"
        if is_new and row["state"] == "running" and row["execution_arn"] not in running:
            yield Broken("I12", f"attempt {row['attempt']} was claimed for an execution that is over")
    counted = sum(sum((row["generated"] or {}).values()) for row in attempts.values())
    if counted != len(world.log.generated):
        yield Broken("I9", f"{counted} items were counted, and {len(world.log.generated)} were generated")


def _starts(world: World, processes: Sequence[Process], attempts: Attempts) -> Iterator[Broken]:
    started = accepted(processes)
    for attempt in started:
        if attempt not in attempts:
            yield Broken("I5", f"attempt {attempt} was accepted, and is not in the audit trail")
        elif attempts[attempt]["outcome"] == "superseded" and not _was_cancelled(processes, attempt):
            yield Broken("I5", f"attempt {attempt} was accepted, and another one has superseded it")
    for answer in (process.answer for process in processes):
        if isinstance(answer, AwaitRedriveResult) and answer.replan and answer.attempt is not None:
            row = attempts[answer.attempt]
            allowed = (
                ("cancelled", "superseded") if _was_cancelled(processes, answer.attempt) else ("cancelled",)
            )
            if row["ended_at"] is not None and row["outcome"] not in allowed:
                yield Broken(
                    "I5", f"attempt {answer.attempt} was ended, and its execution goes on to plan it"
                )
    if len(started) > len(set(started)):
        yield Broken("I5", "two requests were answered with the same attempt")
    arns = [arn for process in processes for arn in process.started]
    live = [run.arn for run in world.runs if run.running and run.arn in arns]
    if len(live) > 1:
        yield Broken("I5", "more than one execution was started", tuple(live))


def _was_cancelled(processes: Sequence[Process], attempt: int) -> bool:
    """Whether a cancel of this attempt was answered, or the product has cancelled the task.

    Such an attempt has no outcome until its execution has ended. A retry before that supersedes it.
    """
    answers = [process.answer for process in processes]
    ours = [answer.attempt for answer in answers if isinstance(answer, CancelAnswer)]
    return attempt in ours or "cancelled" in answers


def broken_in_order(processes: Sequence[Process]) -> Iterator[Broken]:
    """Compare the order of the steps with the answers: no batch goes on if it could see a cancellation."""
    if accepted(processes):
        return
    cancelled = [process.ended_at for process in processes if _has_cancelled(process)]
    for process in processes:
        steps = list(zip(process.positions, process.steps, strict=True))
        begun, work = next((step for step in steps if _WORK.match(step[1])), (0, ""))
        seen = [at for at, label in steps if label in _SEES_CANCELLATIONS and at < begun]
        if any(end is not None and end <= at for end in cancelled for at in seen):
            yield Broken("I4", f"the task was cancelled, and {process.name} went on: {work}")


def _has_cancelled(process: Process) -> bool:
    return isinstance(process.answer, CancelAnswer) or process.answer == "cancelled"


def _cancelled_attempts(processes: Sequence[Process], attempts: Attempts) -> Iterator[Broken]:
    for answer in (process.answer for process in processes):
        if isinstance(answer, CancelAnswer) and answer.status == "completed":
            outcome = attempts[answer.attempt]["outcome"]
            if outcome != "cancelled":
                yield Broken("I4", f"attempt {answer.attempt} was cancelled, and its outcome is {outcome}")


def _status(
    world: World, processes: Sequence[Process], attempts: Attempts, task: Mapping[str, Any]
) -> Iterator[Broken]:
    status, message = task["status"], task["error_message"] or ""
    now = attempts.get(
        task["attempt"], {"actor": "", "cause": Cause.RETRY, "outcome": "none", "ended_at": None}
    )
    # A recovery retries what its operator has selected, also cancelled tasks.
    by_request = (bool(accepted(processes)) and now["cause"] != Cause.AUTOMATIC) or now["actor"].startswith(
        "recovery:"
    )
    if status == "completed":  # a retry completes a cancelled task if no item is missing
        answers = [process.answer for process in processes]
        by_request |= any(isinstance(each, RetryAnswer) and each.status == status for each in answers)
    if "cancelled" in answered(processes) and not by_request:
        if status != "cancelled":
            yield Broken("I4", f"the task was cancelled, and is {status}")
        elif not message.startswith("Cancelled by"):
            yield Broken("I4", f"the message of the cancellation was replaced: {message}")
        if any(isinstance(process.answer, CancelAnswer) for process in processes):
            # An execution may be started after the answer: its first step ends it.
            started = {arn for process in processes for arn in process.started}
            runs = [run.arn for run in world.runs if run.running and run.arn not in started]
            if task["execution_arn"] in runs:
                yield Broken("I4", "the task was cancelled, and its execution was not stopped")
    if status == "cancelled" and message.startswith("Cancelled by user") and now["outcome"] == "completed":
        yield Broken("I4", f"attempt {task['attempt']} completed the task, and a cancel has changed it")
    if now["outcome"] is None and status not in ("processing", "cancelled"):
        yield Broken("I12", f"attempt {task['attempt']} has no outcome, and the task is {status}")
    if now["ended_at"] is not None and status == "processing":
        yield Broken("I12", f"attempt {task['attempt']} has ended, and the task is {status}")
