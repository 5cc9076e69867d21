"""`GET` and `PUT /api/v1/capacity`: slots, the model's quota, the stop switch, and the queue by user.

Each change has a row in `content_capacity_changes`, with all three before and after it.
"""

from sqlalchemy import Connection, text

from ..content.generation.leases import change_quota, read_quota
from ..contracts.api.capacity import MOST_CHANGES, MOST_USERS, CapacityAnswer, CapacityChange, CapacityRequest
from ..contracts.errors import ContentError, InvalidRequestError
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..state.queue.admission import admit_waiting
from ..state.queue.capacity import (
    change_capacity,
    lock_capacity,
    queue_by_class,
    queue_by_key,
    read_capacity,
)
from ..state.services import Services

ADMIT_SECONDS = 8.0
"""The time that a request may take to start waiting attempts. The sweep starts the others."""


# Requires the lock of the capacity, so that changes are recorded in the order in which they apply.
RECORD = text("""
INSERT INTO content_capacity_changes (actor, reason, slots_before, slots, tokens_per_minute_before,
    tokens_per_minute, stopped_before, stopped)
VALUES (:actor, :reason, :slots_before, :slots, :tokens_per_minute_before,
    :tokens_per_minute, :stopped_before, :stopped)
""")

# Finds the latest changes.
CHANGES = text("""
SELECT changed_at AS at, actor, reason, slots_before, slots, tokens_per_minute_before, tokens_per_minute,
    stopped_before, stopped
FROM content_capacity_changes ORDER BY change_id DESC LIMIT :limit
""")


def describe_capacity(connection: Connection) -> CapacityAnswer:
    capacity = read_capacity(connection)
    changes = connection.execute(CHANGES, {"limit": MOST_CHANGES})
    return CapacityAnswer(
        slots=capacity.slots,
        tokens_per_minute=read_quota(connection),
        stopped=capacity.stopped_reason is not None,
        stopped_reason=capacity.stopped_reason,
        classes=queue_by_class(connection),
        users=queue_by_key(connection, MOST_USERS),
        changes=[CapacityChange.model_validate(row._mapping) for row in changes],
    )


def _change(connection: Connection, actor: str, request: CapacityRequest) -> bool:
    """Change the slots, the quota and the switch, and record one change; return whether anything changed.
    `None` keeps a value, and 0 tokens remove the quota.
    """
    lock_capacity(connection)
    before, quota_before = read_capacity(connection), read_quota(connection)
    slots, stopped_reason, quota = before.slots, before.stopped_reason, quota_before
    if request.slots is not None:
        slots = request.slots
    if request.stopped is not None:
        stopped_reason = request.reason if request.stopped else None
    if request.tokens_per_minute is not None:
        quota = request.tokens_per_minute or None
    record = {
        "slots_before": before.slots,
        "slots": slots,
        "stopped_before": before.stopped_reason is not None,
        "stopped": stopped_reason is not None,
        "tokens_per_minute_before": quota_before,
        "tokens_per_minute": quota,
    }
    if all(record[name] == record[f"{name}_before"] for name in ("slots", "stopped", "tokens_per_minute")):
        return False
    change_capacity(connection, slots, stopped_reason)
    change_quota(connection, quota)
    connection.execute(RECORD, {"actor": actor, "reason": request.reason, **record})
    return True


def set_capacity(services: Services, request: CapacityRequest, actor: str, deadline: Deadline) -> None:
    """Change the capacity, and start attempts that it now permits.

    Raises:
        InvalidRequestError: the request names no value. One that names the present values does nothing.
        DatabaseUnavailableError: nothing was changed, or the same request may be sent again.
    """
    if set(request.model_dump(exclude={"reason"}).values()) == {None}:
        raise InvalidRequestError("body: slots, tokens_per_minute or stopped is required")

    changed = transact(services.engine, _change, deadline, actor, request)
    if not changed:
        return
    logger.warning("capacity_changed", actor=actor, **request.model_dump(mode="json"))
    try:
        admit_waiting(services, deadline.within(ADMIT_SECONDS))
    except ContentError as error:
        logger.warning("next_not_started", **error.why)
