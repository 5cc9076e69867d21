"""Ownership: whether this system or the product may start a task. No I/O.

A task is ours after its first claim. After our attempt has ended, the product may queue the task in its own
workers again: then the product is processing it, and we are not. While the product is processing one task of
a roadmap, it generates content for the roadmap, so no other task of the roadmap may be started.
"""

from collections.abc import Sequence

from ...contracts.errors import AtWorkElsewhereError, ContentError, NotAtContentStageError
from .task import QUEUE_UNKNOWN, ProductWork, Task

STEPS_BEFORE_CONTENT = frozenset(
    {
        "intent_analysis",
        "curriculum_design",
        "structure_validation",
        "validation_edit_plan_analysis",
        "edit_plan_analysis",
        "roadmap_edit",
        "human_review",
    }
)
"""The product's steps that create or change a roadmap, before its content is generated."""


def is_at_work_elsewhere(work: ProductWork) -> bool:
    """Whether the product is processing a task, or has it in its queue. If its queue is unknown, each task
    that may be in it counts.
    """
    is_ours = work.attempt > 0 and not (work.attempt_ended and work.queue_id)
    is_queued = work.status == "pending" and work.queue_id is not None
    return not is_ours and (work.status == "processing" or is_queued)


def reached_content(task: Task) -> bool:
    """Whether a task has a roadmap and has completed all steps before content generation."""
    if task.roadmap_id is None or task.status == "human_review_pending":
        return False
    # The step of a task that was claimed or completed is no step of the product's any more.
    return task.attempt > 0 or task.status == "completed" or task.current_step not in STEPS_BEFORE_CONTENT


def why_not_startable(
    task: Task, work: ProductWork, work_on_others: Sequence[ProductWork], *, take_over: bool
) -> ContentError | None:
    """The reason why no attempt of a task may be started. `work` has the signs of the product's work on the
    task, `work_on_others` those on the other tasks of its roadmap; `take_over` ignores both.
    """
    if not reached_content(task):
        return NotAtContentStageError(
            f"task {task.task_id} has not reached content generation: it is {task.status} "
            f"at {task.current_step}",
            task.current_step,
        )
    at_work = next(filter(is_at_work_elsewhere, [work, *work_on_others]), None)
    if at_work is None or take_over:
        return None
    of_roadmap = "" if at_work is work else ", of the same roadmap,"
    where = "in the product's workers"
    if at_work.queue_id == QUEUE_UNKNOWN:
        where = f"and perhaps {where} ({QUEUE_UNKNOWN})"
    return AtWorkElsewhereError(
        f"task {at_work.task_id}{of_roadmap} is {at_work.status} {where}; "
        "take_over=true starts an attempt anyway"
    )
