"""Map errors of this system to HTTP responses. This is the only place."""

from collections.abc import Mapping
from http import HTTPStatus

from ..contracts.api.system import Refusal
from ..contracts.errors import (
    AtWorkElsewhereError,
    ClaimRefusedError,
    ContentError,
    ErasureRefusedError,
    ErasureRunningError,
    FailureGroupNotFoundError,
    ForbiddenError,
    InvalidFrameworkError,
    InvalidRequestError,
    ItemNotFoundError,
    NotAtContentStageError,
    NotCancellableError,
    NotRedrivableError,
    RecoveryNotFoundError,
    RecoveryStateError,
    RestoreRefusedError,
    RoadmapNotFoundError,
    TaskCancelledError,
    TaskNotFoundError,
    TransientError,
)

# The first matching type determines the status.
_STATUSES: Mapping[type[ContentError], HTTPStatus] = {
    ForbiddenError: HTTPStatus.FORBIDDEN,
    TaskNotFoundError: HTTPStatus.NOT_FOUND,
    ClaimRefusedError: HTTPStatus.CONFLICT,
    NotRedrivableError: HTTPStatus.CONFLICT,
    NotAtContentStageError: HTTPStatus.CONFLICT,
    AtWorkElsewhereError: HTTPStatus.CONFLICT,
    ErasureRunningError: HTTPStatus.CONFLICT,
    ErasureRefusedError: HTTPStatus.CONFLICT,
    NotCancellableError: HTTPStatus.CONFLICT,
    RestoreRefusedError: HTTPStatus.CONFLICT,
    TaskCancelledError: HTTPStatus.CONFLICT,
    RoadmapNotFoundError: HTTPStatus.CONFLICT,
    InvalidFrameworkError: HTTPStatus.CONFLICT,
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RecoveryNotFoundError: HTTPStatus.NOT_FOUND,
    RecoveryStateError: HTTPStatus.CONFLICT,
    ItemNotFoundError: HTTPStatus.NOT_FOUND,
    FailureGroupNotFoundError: HTTPStatus.NOT_FOUND,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    ContentError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def refusal_of(error: ContentError) -> tuple[HTTPStatus, Refusal]:
    """The status and the body for an error.

    The body of a 5xx contains only the code of the error; its message is only logged.
    """
    status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
    message = str(error) if status < HTTPStatus.INTERNAL_SERVER_ERROR else status.phrase
    return status, Refusal(
        error=error.code,
        message=message,
        detail=message,
        attempt=error.attempt if isinstance(error, ClaimRefusedError) else None,
        current_step=error.current_step if isinstance(error, NotAtContentStageError) else None,
    )
