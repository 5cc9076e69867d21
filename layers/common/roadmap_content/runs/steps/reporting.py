"""Report a recorded outcome: events in the outbox, and the product's log entries."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ...content.product.execution_logs import concept_failed_entry, task_finished_entry, write_log
from ...contracts.events import Event, concept_failed
from ...contracts.items import ContentType, Failure
from ...state.failures.failures import times_of_failures
from ...state.outbox import record_events
from ...state.services import Services
from ...state.tasks.outcome import Outcome
from ...state.tasks.task import Task


def report_outcome(
    services: Services,
    connection: Connection,
    task: Task,
    finalized: Event,
    failures: Sequence[Failure],
    outcome: Outcome,
    message: str | None,
) -> None:
    """Record the events of the outcome and of the failed concepts, if the attempt is ours."""
    if task.attempt == 0:
        return
    by_concept: dict[str, list[Failure]] = {}
    for failure in failures:
        by_concept.setdefault(failure.item.concept_id, []).append(failure)
    occurred_at = times_of_failures(connection, task.task_id, task.attempt) if by_concept else {}
    # No time: the failures belong to the attempt before a redrive for which nothing is left to do.
    failed = [
        concept_failed(
            task.task_id, task.roadmap_id, task.attempt, concept_id, failures, occurred_at.get(concept_id, "")
        )
        for concept_id, failures in by_concept.items()
    ]
    record_events(services, connection, [*failed, finalized])
    write_log(
        connection,
        [
            *(
                concept_failed_entry(
                    task.task_id,
                    task.roadmap_id,
                    task.attempt,
                    event.data["concept_id"],
                    event.data["items"],
                )
                for event in failed
            ),
            task_finished_entry(
                task.task_id,
                task.roadmap_id,
                task.attempt,
                finalized.data["status"],
                message,
                tutorials=outcome.counts[ContentType.TUTORIAL]["completed"],
                failed_concepts=(outcome.failed_concepts or {"count": 0})["count"],
            ),
        ],
    )
