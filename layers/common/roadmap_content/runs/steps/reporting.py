"""Report a saved batch and a recorded outcome: events in the outbox, and in the product's log."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.product_log import log_completed, log_exists, log_outcome
from ...content.registry import CONTENT_KINDS
from ...content.rows import complete_concepts
from ...contracts.events import AttemptEvents, Event, Part
from ...contracts.items import ContentType, Failure, Item
from ...contracts.payloads import BatchRequest
from ...state.failures.failures import times_of_failures
from ...state.outbox import changes_of_batches, record_events
from ...state.services import Services
from ...state.tasks.outcome import Outcome
from ...state.tasks.task import Task


class Saved(NamedTuple):
    """The results of one transaction for the items of a batch."""

    names: Mapping[Item, str]
    """The saved items, with their concepts' names."""

    by_others: Sequence[Item]
    """Items that others have saved. A page that fills itself also needs these."""

    failures: Sequence[Failure]
    may_be_known: bool
    """Whether an earlier transaction of the attempt may have reported some of these."""


def report_batch(
    services: Services, connection: Connection, request: BatchRequest, saved: Saved, *, has_log: bool
) -> None:
    """Record the events of a batch and of the concepts that it completes, each change once: one event for
    each content type, with a part for each change. A completed concept has no content type, and is a part of
    the last event. `has_log`: the product's log exists.
    """
    plan, batch = request.plan, request.batch
    subject = AttemptEvents(plan.task_id, plan.roadmap_id, plan.attempt, request.execution_arn)
    completed = _completed(connection, plan.roadmap_id, saved.names)
    parts: list[tuple[ContentType | None, Part]] = [
        *((item.content_type, Part.saved(item)) for item in [*saved.names, *saved.by_others]),
        *((failure.item.content_type, Part.failed(failure)) for failure in saved.failures),
        *((None, Part.completed(*concept)) for concept in completed.items()),
    ]
    if saved.may_be_known:
        changes = changes_of_batches(connection, plan.task_id, plan.attempt)
        reported = {_key(change.data.get("content_type"), change.type, change.data) for change in changes}
        parts = [(of_type, part) for of_type, part in parts if _key(of_type, *part) not in reported]
    last_type = list(batch.items)[-1]
    events: list[Event] = []
    for content_type in batch.items:
        of_event = [part for of_type, part in parts if (of_type or last_type) == content_type]
        if of_event:
            events += subject.batch_saved(batch.number, content_type, of_event)
    record_events(services, connection, events)
    if has_log:
        new = [part.data["concept_id"] for of_type, part in parts if of_type is None]
        log_completed(connection, subject, {concept_id: completed[concept_id] for concept_id in new})


def _completed(connection: Connection, roadmap_id: str, names: Mapping[Item, str]) -> dict[str, str]:
    """Of the concepts of saved items, those that have all of their content now, with their names. The
    database is asked about those of which not all items have just been saved.
    """
    concepts = {item.concept_id: name for item, name in names.items()}
    saved = Counter(item.concept_id for item in names)
    partly = [concept_id for concept_id in concepts if saved[concept_id] < len(CONTENT_KINDS)]
    incomplete = {*partly} - {*complete_concepts(connection, roadmap_id, partly)}
    return {concept_id: name for concept_id, name in concepts.items() if concept_id not in incomplete}


def _key(content_type: str | None, kind: str, data: Mapping[str, str]) -> tuple[str | None, ...]:
    """The values that distinguish a change of a batch from others of its attempt."""
    return content_type, kind, data.get("concept_id"), data.get("stage"), data.get("error_code")


def report_outcome(
    services: Services,
    connection: Connection,
    task: Task,
    ended: Sequence[Event],
    failures: Sequence[Failure],
    outcome: Outcome,
    message: str | None,
) -> None:
    """Record the events of the failed concepts, and those of the end (`ended`, of which the first has the
    outcome), in the outbox and in the product's log; not of a task that was never claimed.
    """
    if task.attempt == 0:
        return
    subject = task.events
    by_concept: dict[str, list[Failure]] = {}
    for failure in failures:
        by_concept.setdefault(failure.item.concept_id, []).append(failure)
    occurred_at = times_of_failures(connection, task.task_id, task.attempt) if by_concept else {}
    failed = [
        # Without a time, the failures belong to the attempt before a redrive for which nothing is left to do.
        subject.concept_failed(concept_id, of_concept, occurred_at.get(concept_id, ""))
        for concept_id, of_concept in by_concept.items()
    ]
    record_events(services, connection, [*failed, *ended])
    if not log_exists(connection):
        return
    statistics = {}
    if outcome.total:
        statistics["tutorials_generated"] = outcome.counts[ContentType.TUTORIAL]["completed"]
        statistics["failed_concepts"] = (outcome.failed_concepts or {"count": 0})["count"]
    concepts, status = [event.data for event in failed], ended[0].data["status"]
    log_outcome(connection, subject, concepts, status, message, statistics)
