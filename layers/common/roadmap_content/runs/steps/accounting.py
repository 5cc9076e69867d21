"""Account for every missing item of an attempt: exactly one failure, with a reason."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from ...content.manifest import read_batch
from ...contracts.errors import StorageUnavailableError, code_of
from ...contracts.items import Failure, Item, Stage
from ...contracts.payloads import BatchReference, Payload, StateError
from ...platform.runtime.log import logger
from ...platform.storage.bucket import Bucket
from ...state.failures.failures import (
    expire_failures,
    failures_of_attempt,
    latest_failures,
    record_failures,
    withdraw_failures,
)
from ...state.tasks.scope import NO_ITEM, WHOLE_TASK, Scope

_UNEXPLAINED = StateError(error="NotReported", cause="the attempt ended without a result for this item")

_NOT_REQUESTED = StateError(error="NotRequested", cause="no attempt was started for this item")


class LostBatch(Payload):
    """A batch with failures that are not recorded yet."""

    batch: BatchReference
    error: StateError


def account_for(
    connection: Connection,
    task_id: str,
    attempt: int,
    missing: Sequence[Item],
    not_replaced: Sequence[Item],
    scope: Scope,
    explanations: Mapping[Item, StateError],
    error: StateError | None,
    *,
    cancelled: bool,
) -> dict[Item, Failure]:
    """Make the recorded failures of this attempt equal to the items that are missing or not replaced.

    An item without a recorded failure gets its explanation, or else the error that ended the run. In a
    cancelled attempt it was not started, which is no failure. An attempt that a recovery has withdrawn has no
    item: the earlier failures still apply.
    """
    recorded = failures_of_attempt(connection, task_id, attempt)
    withdraw_failures(connection, task_id, attempt, recorded.keys() - {*missing, *not_replaced})
    if cancelled and scope != NO_ITEM:
        return recorded
    inherited: dict[Item, Failure] = {}
    if scope != WHOLE_TASK:
        outside = [item for item in missing if item not in recorded and not scope.includes(item)]
        inherited = _inherit(connection, task_id, attempt, outside)
    unexplained = {
        item: Failure(item, Stage.WORKFLOW, code_of(cause.error), cause.reason, transient=True)
        for item in [*missing, *not_replaced]
        if item not in recorded and item not in inherited
        for cause in [explanations.get(item, error or _UNEXPLAINED)]
    }
    record_failures(connection, task_id, attempt, [*inherited.values(), *unexplained.values()], keep=True)
    expire_failures(connection, task_id, attempt)
    return recorded | inherited | unexplained


def _inherit(
    connection: Connection, task_id: str, attempt: int, outside: Sequence[Item]
) -> dict[Item, Failure]:
    """The failures of missing items outside the attempt's scope: those of earlier attempts still apply."""
    earlier = latest_failures(connection, task_id, attempt - 1) if outside else {}
    not_requested = _NOT_REQUESTED.error, _NOT_REQUESTED.reason
    return {
        item: earlier[item][1]
        if item in earlier
        else Failure(item, Stage.WORKFLOW, *not_requested, transient=False)
        for item in outside
    }


def explain_lost(bucket: Bucket, manifest: str, lost: Sequence[LostBatch]) -> dict[Item, StateError]:
    """The errors of lost batches, by item."""
    explanations: dict[Item, StateError] = {}
    for entry in lost:
        try:
            concepts = read_batch(bucket, manifest, entry.batch).concepts
        except StorageUnavailableError as error:
            logger.warning("lost_batch_unexplained", batch=entry.batch.number, reason=str(error))
            continue
        explanations |= dict.fromkeys(concepts, entry.error)
    return explanations
