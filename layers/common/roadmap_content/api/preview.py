"""The preview of a retry: the staged items, the items to generate, and an estimate of tokens."""

from collections.abc import Collection
from itertools import compress
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from ..content.remedies import remedy_for, remedy_of_code
from ..content.rows import current_revisions
from ..content.stored_texts import highest_versions, may_adopt, newest_text
from ..contracts.api.tasks import Basis, RetryPreview
from ..contracts.items import Item, RecordedFailure, count_by_type
from ..contracts.states import NextAction
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.storage.bucket import in_parallel
from ..platform.storage.staging import Staging
from ..runs.retries.retry import plan_redrive, plan_retry, require_usable
from ..state.failures.failures import refusals, refused_items
from ..state.services import Services
from ..state.tasks.attempt_reading import COST
from ..state.tasks.listing import of_roadmap
from ..state.tasks.scope import WHOLE_TASK, Scope

Refusals = dict[Item, list[RecordedFailure]]

# Sum the tokens and the generated items of past attempts: of the task, and of all tasks of its roadmap.
OF_TASK = text(f"{COST} WHERE a.task_id = :task_id")
OF_ROADMAP = text(f"""
{COST} WHERE a.task_id IN (
    SELECT task_id FROM roadmap_tasks t WHERE {of_roadmap("t", ":roadmap_id")})
""")


def preview_retry(
    services: Services,
    task_id: str,
    user_id: str | None,
    deadline: Deadline,
    scope: Scope = WHOLE_TASK,
    *,
    take_over: bool = False,
    force_checkpoint: bool = False,
) -> RetryPreview:
    """Preview the retry of the items in a scope, or with `force_checkpoint` the redrive.

    Raises:
        ContentError: the request is refused, exactly as without the preview.
        StorageUnavailableError: a preview may succeed later.
    """
    engine = services.reading_engine
    if force_checkpoint:
        snapshot, _ = plan_redrive(services, engine, task_id, user_id, deadline)
        items = list(snapshot.missing)
    else:
        snapshot, items = plan_retry(services, engine, task_id, user_id, deadline, scope, take_over=take_over)
        if not items:  # a retry is refused for concepts without a usable id
            require_usable(snapshot)
    roadmap_id = snapshot.task.roadmap_id or ""

    def read(connection: Connection) -> tuple[_Records, float | None, Basis]:
        saved = set(items) - set(snapshot.missing)  # the items to replace
        records = _Records(
            current_revisions(connection, roadmap_id, saved),
            refusals(connection, task_id, refused_items(connection, task_id)),
            highest_versions(connection, roadmap_id, items),
        )
        return records, *_price(connection, task_id, roadmap_id)

    records, tokens, basis = transact(engine, read, deadline)
    staging = Staging(services.bucket, roadmap_id, records.replaces, scope.instruction)
    staged = staging.staged_among(items)
    rejected = rejected_among(staging, staged, records.refusals)
    adoptable = [
        item
        for item in items
        if item not in staged and may_adopt(item, records.refusals, records.replaces, scope.instruction)
    ]

    def is_adopted(item: Item) -> bool:
        newest = newest_text(services.bucket, roadmap_id, item, records.versions.get(item, 0))
        return newest.draft(snapshot.framework.concept(item.concept_id).name) is not None

    adopted = compress(adoptable, in_parallel(is_adopted, adoptable))
    to_save = staged.difference(rejected).union(adopted)
    to_generate = [item for item in items if item not in to_save]
    estimate = None if tokens is None else round(tokens * len(to_generate))
    return RetryPreview(
        task_id=task_id,
        staged=count_by_type(to_save),
        to_generate=count_by_type(to_generate),
        total_items=len(items),
        estimated_tokens=estimate if to_generate else 0,
        estimate_basis=basis,
    )


class _Records(NamedTuple):
    """The data of the items in the tables, as Generate reads it."""

    replaces: dict[Item, str]
    refusals: Refusals
    versions: dict[Item, int]


def rejected_among(staging: Staging, staged: Collection[Item], refused: Refusals) -> frozenset[Item]:
    """The staged items with content that the next attempt rejects: only content that was not replaced since
    its refusal.
    """
    rejects = NextAction.REJECT_AND_GENERATE
    # S3 is asked only about items of which a content may be rejected.
    items = [
        item
        for item, recorded in refused.items()
        if item in staged and rejects in {remedy_of_code(failure.error_code) for _, failure in recorded}
    ]
    fingerprints = in_parallel(staging.fingerprint, items)
    return frozenset(
        item
        for item, fingerprint in zip(items, fingerprints, strict=True)
        if remedy_for(fingerprint, refused[item]).action is rejects
    )


def _price(connection: Connection, task_id: str, roadmap_id: str) -> tuple[float | None, Basis]:
    """Tokens of one generated item, and the basis of this estimate."""
    bases: tuple[tuple[Basis, TextClause], ...] = (("task", OF_TASK), ("roadmap", OF_ROADMAP))
    for basis, statement in bases:
        found = connection.execute(statement, {"task_id": task_id, "roadmap_id": roadmap_id}).one()
        if found.items and found.tokens:
            return int(found.tokens) / int(found.items), basis
    return None, "none"
