"""`GET` and `PUT /api/v1/capacity`: slots, the model's quota, the stop switch, and the queue by user."""

from sqlalchemy import Connection

from ..contracts.api.capacity import (
    MOST_CHANGES,
    MOST_USERS,
    CapacityAnswer,
    CapacityRequest,
)
from ..contracts.errors import ContentError, InvalidRequestError
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..state.queue.admission import admit_waiting
from ..state.queue.capacity import (
    change_capacity,
    granted_batches,
    latest_changes,
    queue_by_class,
    queue_by_key,
    read_capacity,
)
from ..state.services import Services

ADMIT_SECONDS = 8.0
"""The time that a request may take to start waiting attempts. The sweep starts the others."""


def describe_capacity(connection: Connection) -> CapacityAnswer:
    capacity = read_capacity(connection)
    return CapacityAnswer(
        slots=capacity.slots,
        most_grants=granted_batches(capacity.slots),
        tokens_per_minute=capacity.tokens_per_minute,
        stopped=capacity.stopped_reason is not None,
        stopped_reason=capacity.stopped_reason,
        classes=queue_by_class(connection),
        users=queue_by_key(connection, MOST_USERS),
        changes=latest_changes(connection, MOST_CHANGES),
    )


def set_capacity(services: Services, request: CapacityRequest, actor: str, deadline: Deadline) -> None:
    """Change the capacity, and start attempts that it now permits.

    Raises:
        InvalidRequestError: the request changes nothing.
        DatabaseUnavailableError: nothing was changed, or the same request may be sent again.
    """
    if set(request.model_dump(exclude={"reason"}).values()) == {None}:
        raise InvalidRequestError("body: slots, tokens_per_minute or stopped is required")

    changed = transact(
        services.engine, lambda connection: change_capacity(connection, actor, request), deadline
    )
    if not changed:
        return
    logger.warning("capacity_changed", actor=actor, **request.model_dump(mode="json"))
    try:
        admit_waiting(services, deadline.within(ADMIT_SECONDS))
    except ContentError as error:
        logger.warning("next_not_started", **error.why)
