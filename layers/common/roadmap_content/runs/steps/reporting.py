"""Report a saved batch and a recorded outcome: events in the outbox, and the product's log entries."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from ...content.product import concept_completed_entry, concept_failed_entry, task_finished_entry, write_log
from ...content.rows import complete_concepts
from ...contracts.events import AttemptEvents, Event
from ...contracts.items import ContentType, Failure, Item, count_by_type
from ...contracts.payloads import BatchRequest
from ...state.failures.failures import times_of_failures
from ...state.outbox import record_events
from ...state.services import Services
from ...state.tasks.outcome import Outcome
from ...state.tasks.task import Task


def report_batch(
    services: Services,
    connection: Connection,
    request: BatchRequest,
    saved: Mapping[Item, str],
    saved_by_others: Sequence[Item],
    failures: Sequence[Failure],
) -> None:
    """Record the events of a batch and of the concepts that it completes. `saved` has the concepts' names. A
    page that fills itself also needs the items that others have saved.
    """
    plan, batch = request.plan, request.batch
    not_saved = count_by_type(failure.item for failure in failures)
    names = {item.concept_id: name for item, name in saved.items()}
    complete = complete_concepts(connection, plan.roadmap_id, list(names))
    completed = [(concept_id, names[concept_id]) for concept_id in complete]
    subject = AttemptEvents(plan.task_id, plan.roadmap_id, plan.attempt)
    events = [
        *(subject.item_saved(item) for item in [*saved, *saved_by_others]),
        *(subject.item_failed(failure) for failure in failures),
        *(subject.concept_completed(*concept) for concept in completed),
        *(
            subject.batch_saved(batch.number, name, number - not_saved[name], not_saved[name])
            for name, number in batch.items.items()
        ),
    ]
    record_events(services, connection, events)
    types = list(ContentType)
    write_log(
        connection, [concept_completed_entry(*subject, *concept, completed=types) for concept in completed]
    )


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
    subject = task.events
    by_concept: dict[str, list[Failure]] = {}
    for failure in failures:
        by_concept.setdefault(failure.item.concept_id, []).append(failure)
    occurred_at = times_of_failures(connection, task.task_id, task.attempt) if by_concept else {}
    # No time: the failures belong to the attempt before a redrive for which nothing is left to do.
    failed = [
        subject.concept_failed(concept_id, alike, occurred_at.get(concept_id, ""))
        for concept_id, alike in by_concept.items()
    ]
    record_events(services, connection, [*failed, finalized])
    statistics = {}
    if outcome.total:
        statistics["tutorials_generated"] = outcome.counts[ContentType.TUTORIAL]["completed"]
        statistics["failed_concepts"] = (outcome.failed_concepts or {"count": 0})["count"]
    finished = task_finished_entry(*subject, finalized.data["status"], message, statistics)
    entries = (
        concept_failed_entry(*subject, event.data["concept_id"], event.data["items"]) for event in failed
    )
    write_log(connection, [*entries, finished])
