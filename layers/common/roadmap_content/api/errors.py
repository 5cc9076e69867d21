"""Errors of requests."""

from ..errors import PermanentError


class ForbiddenError(PermanentError):
    """The token does not permit the request."""

    code = "Forbidden"


class InvalidRequestError(PermanentError):
    """A parameter is malformed, or two parameters contradict each other."""

    code = "InvalidRequest"


class InvalidCursorError(InvalidRequestError):
    """The cursor is malformed, or belongs to a list with other parameters."""

    code = "InvalidCursor"


class ItemNotFoundError(PermanentError):
    """The roadmap has no such concept."""

    code = "ItemNotFound"


class RecoveryNotFoundError(PermanentError):
    """There is no such recovery."""

    code = "RecoveryNotFound"


class RecoveryStateError(PermanentError):
    """The state of the recovery does not permit this."""

    code = "RecoveryState"
