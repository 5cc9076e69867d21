"""The items of a task.

- `GET /api/v1/tasks/{task_id}/items`: the state of every item, one letter each, in framework order
- `GET /api/v1/tasks/{task_id}/items/{content_type}`: one item with all its data
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby, islice, product, starmap
from typing import NamedTuple

from sqlalchemy import Connection

from ..content.remedies import remedy_for
from ..content.roadmaps.framework import Concept, Framework
from ..content.rows import current_row
from ..contracts.api.items import (
    FAILED,
    LETTERS,
    MAX_TEXT_BYTES,
    ItemDetail,
    ItemFailure,
    ItemMap,
    ModuleMap,
    ReasonRow,
    RejectedContent,
    SavedContent,
    StagedContent,
    StageMap,
)
from ..contracts.items import ContentType, Failure, Item, RecordedFailure
from ..contracts.reasons import sentence_of
from ..contracts.states import ItemState, NextAction
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.storage.bucket import Bucket, ObjectTooLargeError
from ..platform.storage.keys import fingerprint, rejected_prefix, staged_key
from ..platform.storage.staging import Staging
from ..state.failures.failures import failures_of_attempt, failures_of_item, refusals
from ..state.failures.groups import GroupKey, group_of
from ..state.queue.capacity import read_capacity
from ..state.services import Services
from ..state.tasks.attempts import read_scope
from ..state.tasks.next_actions import Advice, advice, advice_for
from ..state.tasks.scope import Scope
from ..state.tasks.task import Task, TaskSnapshot, read_snapshot, read_task
from .pages import Integer, Text, decode_cursor, encode_cursor, first_that_fit
from .preview import rejected_among
from .revisions import read_origin

MAX_REJECTED = 20


class ItemStates(NamedTuple):
    """The states of concepts' items; by index, the failures of some, and the items that may be staged."""

    states: list[str]
    """`ItemState`, or `FAILED`."""

    failures: dict[int, Failure]
    maybe_staged: dict[int, Item]
    """Items that count as missing until S3 is asked."""


def read_item_map(
    services: Services,
    task_id: str,
    user_id: str | None,
    cursor: str | None,
    limit: int,
    deadline: Deadline,
    *,
    with_stages: bool,
) -> ItemMap:
    """Read the items of a page of at most `limit` concepts, as many as fit into an answer, `with_stages` with
    their names. S3 is only asked about items of which the tables have neither a row nor a failure.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError: there are no items.
        InvalidCursorError: the cursor belongs to another list.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    list_name = f"items {task_id}"
    key = decode_cursor(list_name, cursor, tuple[Text, Integer])

    def read(connection: Connection) -> tuple[TaskSnapshot, dict[Item, Failure], Scope, bool]:
        snapshot, scope, is_running = _read_snapshot(connection, task_id, user_id)
        failures = failures_of_attempt(connection, task_id, snapshot.task.attempt)
        return snapshot, failures, scope, is_running

    snapshot, failures, scope, is_running = transact(services.reading_engine, read, deadline)
    task, framework = snapshot.task, snapshot.framework
    concept_ids = list(framework.nodes)
    start = 0 if key is None else _position_after(concept_ids, *key)

    def as_json(concept_id: str) -> list[str]:
        return [concept_id, framework.concept(concept_id).name, *framework.places[concept_id]]

    shown = list(first_that_fit(concept_ids[start : start + limit], as_json))
    end = start + len(shown)

    items = item_states(shown, snapshot.saved, failures, live=is_running, scope=scope)
    if items.maybe_staged:
        staging = Staging(services.bucket, task.roadmap_id or "")
        staged = staging.staged_among(list(items.maybe_staged.values()))
        refused = transact(services.reading_engine, refusals, deadline, task_id, staged) if staged else {}
        rejected = rejected_among(staging, staged, refused)
        for index, item in items.maybe_staged.items():
            items.states[index] = unsaved_state(is_staged=item in staged, is_refused=item in rejected)
    reasons, reason_of = _reasons(items.failures)
    return ItemMap(
        task_id=task_id,
        roadmap_id=task.roadmap_id,
        concepts=len(concept_ids),
        stages=_stages(framework, range(start, end)) if with_stages else None,
        states="".join(LETTERS[state] for state in items.states),
        reasons=reasons,
        reason_of=reason_of,
        next_cursor=encode_cursor(list_name, [_digest(concept_ids[end - 1]), end])
        if end < len(concept_ids)
        else None,
    )


def _read_snapshot(
    connection: Connection, task_id: str, user_id: str | None
) -> tuple[TaskSnapshot, Scope, bool]:
    """A task's items, its attempt's scope, and whether the attempt works on them now: not while it waits, or
    while generation is stopped.
    """
    snapshot = read_snapshot(connection, read_task(connection, task_id, user_id))
    task = snapshot.task
    is_running = task.is_live and not task.is_waiting and read_capacity(connection).stop is None
    return snapshot, read_scope(connection, task_id, task.attempt).scope, is_running


def _position_after(concept_ids: list[str], last: str, index: int) -> int:
    """The position after the concept with the digest `last`, which was before `index` in the previous page:
    the framework may have changed since. If the concept is gone, `index`.
    """
    if 0 < index <= len(concept_ids) and _digest(concept_ids[index - 1]) == last:
        return index
    digests = map(_digest, concept_ids)
    found = (position for position, digest in enumerate(digests, 1) if digest == last)
    return next(found, min(index, len(concept_ids)))


def _digest(concept_id: str) -> str:
    """A concept in a cursor. The address of a request has a limit, which an id may exceed."""
    return fingerprint(concept_id.encode("utf-8", "surrogatepass"))


def item_states(
    concept_ids: Sequence[str],
    saved: Mapping[ContentType, frozenset[str]],
    failures: Mapping[Item, Failure],
    *,
    live: bool,
    scope: Scope,
) -> ItemStates:
    """The states of all items of these concepts, as far as the tables have them. No I/O.

    `failures` are those of the task's latest attempt: content that an earlier one refused may have been
    generated again since. While an attempt runs (`live`), an item of its scope without a failure counts as
    being generated.
    """
    items = ItemStates([], {}, {})
    for index, item in enumerate(starmap(Item, product(concept_ids, ContentType))):
        failure = failures.get(item)
        if item.concept_id in saved[item.content_type]:
            items.states.append(ItemState.SAVED)
        elif failure is not None:
            items.failures[index] = failure
            action = advice_for(failure.error_code, failure.stage).action
            refused = action is NextAction.REJECT_AND_GENERATE
            items.states.append(ItemState.REJECTED if refused else FAILED)
        elif live and scope.includes(item):
            items.states.append(ItemState.GENERATING)
        else:
            items.maybe_staged[index] = item
            items.states.append(ItemState.MISSING)
    return items


def unsaved_state(*, is_staged: bool, is_refused: bool) -> ItemState:
    """The state of an item that is neither saved nor being generated. `is_refused`: an attempt has refused
    the content that is staged now, because of the content itself.
    """
    if not is_staged:
        return ItemState.MISSING
    return ItemState.REJECTED if is_refused else ItemState.STAGED


def _reasons(failures: Mapping[int, Failure]) -> tuple[list[ReasonRow], list[tuple[int, int]]]:
    """The distinct reasons of failures, and for each failure `(its index, that of its reason)`."""
    keys = {index: group_of(failure) for index, failure in failures.items()}
    groups: dict[GroupKey, Counter[ContentType]] = {}
    for index, key in keys.items():
        groups.setdefault(key, Counter())[failures[index].item.content_type] += 1
    numbers = {key: number for number, key in enumerate(groups)}
    reasons = [_reason(key, by_type) for key, by_type in groups.items()]
    return reasons, [(index, numbers[key]) for index, key in keys.items()]


def _reason(key: GroupKey, by_type: Counter[ContentType]) -> ReasonRow:
    advice = advice_for(key.error_code, key.stage)
    return ReasonRow(
        **key._asdict(),
        sentence=sentence_of(key.error_code),
        remedy=advice.action,
        remedy_text=advice.text,
        items=by_type.total(),
        by_type=by_type,
    )


def _stages(framework: Framework, page: range) -> list[StageMap]:
    """The concepts at these positions, in their modules and stages."""
    shown = islice(framework.nodes, page.start, page.stop)
    return [
        StageMap(
            name=stage,
            modules=[
                ModuleMap(
                    name=module,
                    concepts=[(concept_id, framework.concept(concept_id).name) for concept_id in of_module],
                )
                for module, of_module in groupby(of_stage, key=lambda each: framework.places[each][1])
            ],
        )
        for stage, of_stage in groupby(shown, key=lambda each: framework.places[each][0])
    ]


def read_one_item(
    services: Services, task_id: str, user_id: str | None, item: Item, deadline: Deadline
) -> ItemDetail:
    """Read one item with all its data: first the tables, then S3.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError, ItemNotFoundError: there is none.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    records = transact(services.reading_engine, _read_records, deadline, task_id, user_id, item)
    task, concept, saved, failures = records.task, records.concept, records.saved, records.failures
    roadmap_id, bucket = task.roadmap_id or "", services.bucket
    staged = bucket.describe(staged_key(roadmap_id, item))
    staged_fingerprint = None if staged is None else Staging(bucket, roadmap_id).fingerprint(item)
    state, next_advice = _state(
        saved=saved is not None,
        live=records.is_running,
        staged=staged is not None,
        remedy=remedy_for(staged_fingerprint, records.refusals).action,
        failure=failures[0] if failures and failures[0].attempt == task.attempt else None,
    )
    return ItemDetail(
        **item._asdict(),
        name=concept.name,
        stage=concept.stage,
        module=concept.module,
        state=state,
        next_action=next_advice.action,
        next_action_text=next_advice.text,
        failures=failures,
        staged=None
        if staged is None or staged_fingerprint is None
        else StagedContent(
            size=staged.size,
            stored_at=staged.stored_at,
            fingerprint=staged_fingerprint,
            text=_text(bucket, staged.key) if saved is None else None,
        ),
        rejected=_rejected(bucket, roadmap_id, item, failures),
        saved=saved,
    )


class _Records(NamedTuple):
    """The data of one item in the tables."""

    task: Task
    concept: Concept
    is_running: bool
    """Whether the task's attempt works on the item now."""

    saved: SavedContent | None
    failures: list[ItemFailure]
    refusals: Sequence[RecordedFailure]


def _read_records(connection: Connection, task_id: str, user_id: str | None, item: Item) -> _Records:
    """Read the records of an item. Raises as `read_one_item`."""
    snapshot, scope, is_running = _read_snapshot(connection, task_id, user_id)
    snapshot.framework.require(item.concept_id)
    roadmap_id = snapshot.task.roadmap_id or ""
    saved = None
    if row := current_row(connection, roadmap_id, item):
        saved = SavedContent(
            id=row["revision"],
            version=row.get("content_version"),
            generated_at=row.get("generated_at"),
            origin=read_origin(connection, roadmap_id, item, row["revision"]),
        )
    failures = [
        ItemFailure.model_validate({**row._mapping, "sentence": sentence_of(row.error_code)})
        for row in failures_of_item(connection, task_id, item)
    ]
    refused = refusals(connection, task_id, [item]).get(item, [])
    concept = snapshot.framework.concept(item.concept_id)
    return _Records(snapshot.task, concept, is_running and scope.includes(item), saved, failures, refused)


def _state(
    *, saved: bool, live: bool, staged: bool, remedy: NextAction, failure: ItemFailure | None
) -> tuple[ItemState, Advice]:
    """The state of an item, and what happens to it next. `failure` is that of the last attempt; `remedy`
    applies to the staged content.
    """
    if saved:
        return ItemState.SAVED, advice(NextAction.NONE)
    if live and failure is None:
        return ItemState.GENERATING, advice(NextAction.WAIT)
    state = unsaved_state(is_staged=staged, is_refused=remedy is NextAction.REJECT_AND_GENERATE)
    if failure is not None:
        advised = advice_for(failure.error_code, failure.stage)
        if advised.needs_person:  # until then, the next attempt fails in the same way, whatever is staged
            return state, advised
    return state, advice(remedy)


def _rejected(
    bucket: Bucket, roadmap_id: str, item: Item, failures: Sequence[ItemFailure]
) -> list[RejectedContent]:
    """The item's latest rejected contents, the latest first, with the failures that caused them."""
    failure_of = {failure.attempt: failure for failure in failures}
    found = bucket.entries(rejected_prefix(roadmap_id, item))
    entries = sorted(found, key=lambda entry: entry.stored_at, reverse=True)[:MAX_REJECTED]
    rejected = []
    for entry in entries:
        number = entry.key.rsplit("/", 1)[-1].partition("-")[0]  # as `rejected_key` writes it
        attempt = int(number) if number.isdecimal() else 0
        failure = failure_of.get(attempt)
        rejected.append(
            RejectedContent(
                key=entry.key,
                attempt=attempt,
                error_code=failure and failure.error_code,
                reason=failure and failure.reason,
                size=entry.size,
                stored_at=entry.stored_at,
                text=_text(bucket, entry.key) if entry is entries[0] else None,
            )
        )
    return rejected


def _text(bucket: Bucket, key: str) -> str | None:
    """An object as text; `None` if it is too large for an answer, or does not exist any more."""
    try:
        stored = bucket.get(key, limit=MAX_TEXT_BYTES)
    except ObjectTooLargeError:
        return None
    return None if stored is None else stored.body.decode(errors="replace")
