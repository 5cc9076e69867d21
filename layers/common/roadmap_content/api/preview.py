"""The preview of a retry: the staged items, the items to generate, and an estimate of tokens."""

from collections.abc import Collection

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from ..content.remedies import remedy_for, remedy_of_code
from ..content.rows import current_revisions
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
        if not items:
            require_usable(snapshot)
    roadmap_id = snapshot.task.roadmap_id or ""

    def read(connection: Connection) -> tuple[dict[Item, str], Refusals, float | None, Basis]:
        saved = set(items) - set(snapshot.missing)  # the items to replace
        return (
            current_revisions(connection, roadmap_id, saved),
            _rejections(connection, task_id),
            *_price(connection, task_id, roadmap_id),
        )

    replaces, rejections, tokens, basis = transact(engine, read, deadline)
    staging = Staging(services.bucket, roadmap_id, replaces, scope.instruction)
    staged = staging.staged_among(items)
    staged -= _rejected_among(staging, staged, rejections)
    to_generate = [item for item in items if item not in staged]
    estimate = None if tokens is None else round(tokens * len(to_generate))
    return RetryPreview(
        task_id=task_id,
        staged=count_by_type(staged),
        to_generate=count_by_type(to_generate),
        total_items=len(items),
        estimated_tokens=estimate if to_generate else 0,
        estimate_basis=basis,
    )


def _rejections(connection: Connection, task_id: str) -> Refusals:
    """The refusals of the task because of which a retry rejects content, by item."""
    refused = refused_items(connection, task_id)
    return {
        item: recorded
        for item, recorded in refusals(connection, task_id, refused).items()
        if NextAction.REJECT_AND_GENERATE in {remedy_of_code(failure.error_code) for _, failure in recorded}
    }


def _rejected_among(staging: Staging, staged: Collection[Item], rejections: Refusals) -> frozenset[Item]:
    """The staged items with content that the retry rejects: only content that was not replaced since."""
    items = [item for item in rejections if item in staged]
    if not items:
        return frozenset()
    fingerprints = in_parallel(staging.fingerprint, items)
    return frozenset(
        item
        for item, fingerprint in zip(items, fingerprints, strict=True)
        if remedy_for(fingerprint, rejections[item]).action is NextAction.REJECT_AND_GENERATE
    )


def _price(connection: Connection, task_id: str, roadmap_id: str) -> tuple[float | None, Basis]:
    """Tokens of one generated item, and the basis of this estimate."""
    bases: tuple[tuple[Basis, TextClause], ...] = (("task", OF_TASK), ("roadmap", OF_ROADMAP))
    for basis, statement in bases:
        found = connection.execute(statement, {"task_id": task_id, "roadmap_id": roadmap_id}).one()
        if found.items and found.tokens:
            return int(found.tokens) / int(found.items), basis
    return None, "none"
