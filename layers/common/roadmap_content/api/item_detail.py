"""`GET /api/v1/tasks/{task_id}/items/{content_type}`: one item with all its data."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ..content.remedies import remedy_for
from ..content.rows import current_row
from ..contracts.api.items import (
    MAX_TEXT_BYTES,
    ItemDetail,
    ItemFailure,
    RejectedContent,
    SavedContent,
    StagedContent,
)
from ..contracts.items import Item
from ..contracts.reasons import sentence_of
from ..contracts.states import ItemState, NextAction
from ..contracts.times import utc
from ..platform.storage.bucket import Bucket, ObjectTooLargeError
from ..platform.storage.keys import rejected_prefix, staged_key
from ..platform.storage.staging import Staging
from ..state.failures.failures import failures_of_item, refusals
from ..state.services import Services
from ..state.tasks.next_actions import Advice, action_of, advice, advice_for
from ..state.tasks.snapshot import TaskSnapshot
from .origins import read_origin

MAX_REJECTED = 20


def read_item(
    connection: Connection, services: Services, snapshot: TaskSnapshot, item: Item, *, live: bool
) -> ItemDetail:
    """Read one item of a task.

    Raises:
        ItemNotFoundError: the roadmap has no such concept.
        StorageUnavailableError: S3 did not respond.
    """
    snapshot.framework.require(item.concept_id)
    task = snapshot.task
    roadmap_id = task.roadmap_id or ""
    concept = snapshot.framework.concept(item.concept_id)
    saved = current_row(connection, roadmap_id, item)
    failures = [
        ItemFailure.model_validate(
            {
                **row._mapping,  # noqa: SLF001
                "occurred_at": utc(row.occurred_at),
                "sentence": sentence_of(row.error_code),
            }
        )
        for row in failures_of_item(connection, task.task_id, item)
    ]
    refused = refusals(connection, task.task_id, [item]).get(item, [])
    staged = services.bucket.describe(staged_key(roadmap_id, item))
    staged_fingerprint = None if staged is None else Staging(services.bucket, roadmap_id).fingerprint(item)
    rejected = _rejected(services, roadmap_id, item, failures)
    remedy, _ = remedy_for(staged_fingerprint, refused)
    current = failures[0] if failures and failures[0].attempt == task.attempt else None
    state, next_advice = _state(
        saved=saved is not None,
        live=live,
        staged=staged is not None,
        rejected=bool(rejected),
        remedy_action=action_of(remedy),
        failure=current,
    )
    return ItemDetail(
        concept_id=item.concept_id,
        name=concept.name,
        content_type=item.content_type,
        stage=concept.stage,
        module=concept.module,
        state=state,
        next_action=next_advice.action,
        next_action_text=next_advice.text,
        needs_person=next_advice.needs_person,
        failures=failures,
        staged=None
        if staged is None or staged_fingerprint is None
        else StagedContent(
            size=staged.size,
            stored_at=staged.stored_at,
            fingerprint=staged_fingerprint,
            text=_text(services.bucket, staged.key) if saved is None else None,
        ),
        rejected=rejected,
        saved=None
        if saved is None
        else SavedContent(
            id=saved["revision"],
            version=saved.get("content_version"),
            generated_at=utc(saved.get("generated_at")),
            origin=read_origin(connection, roadmap_id, item, saved["revision"]),
        ),
    )


def _state(
    *,
    saved: bool,
    live: bool,
    staged: bool,
    rejected: bool,
    remedy_action: NextAction,
    failure: ItemFailure | None,
) -> tuple[ItemState, Advice]:
    """The item's state, and the next attempt's action for it."""
    if saved:
        return ItemState.SAVED, advice(NextAction.NONE)
    if live and failure is None:
        return ItemState.GENERATING, advice(NextAction.WAIT)
    person = failure is not None and advice_for(failure.error_code, failure.stage).needs_person
    if person and failure is not None:
        found = ItemState.STAGED if staged else ItemState.MISSING
        return found, advice_for(failure.error_code, failure.stage)
    if staged:
        refused = remedy_action is NextAction.REJECT_AND_GENERATE
        return ItemState.REJECTED if refused else ItemState.STAGED, advice(remedy_action)
    return ItemState.REJECTED if rejected else ItemState.MISSING, advice(NextAction.GENERATE)


def _rejected(
    services: Services, roadmap_id: str, item: Item, failures: Sequence[ItemFailure]
) -> list[RejectedContent]:
    """The item's rejected content, the latest first, with the failures that caused it."""
    reasons = {failure.attempt: failure for failure in failures}
    found = []
    entries = services.bucket.entries(rejected_prefix(roadmap_id, item))[-MAX_REJECTED:]
    latest = max((entry.stored_at for entry in entries), default=None)
    for entry in entries:
        attempt = entry.key.rsplit("/", 1)[-1].partition("-")[0]
        reason = reasons.get(int(attempt)) if attempt.isdecimal() else None
        found.append(
            RejectedContent(
                key=entry.key,
                attempt=int(attempt) if attempt.isdecimal() else 0,
                error_code=reason and reason.error_code,
                reason=reason and reason.reason,
                size=entry.size,
                stored_at=entry.stored_at,
                text=_text(services.bucket, entry.key) if entry.stored_at == latest else None,
            )
        )
    return sorted(found, key=lambda content: content.stored_at, reverse=True)


def _text(bucket: Bucket, key: str) -> str | None:
    """An object as text; `None` if it is too large for an answer, or does not exist any more."""
    try:
        stored = bucket.get(key, limit=MAX_TEXT_BYTES)
    except ObjectTooLargeError:
        return None
    return None if stored is None else stored.body.decode(errors="replace")
