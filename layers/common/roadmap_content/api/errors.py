"""Errors of requests."""

from ..errors import PermanentError


class ForbiddenError(PermanentError):
    """The request is for what its token does not permit."""

    code = "Forbidden"


class InvalidRequestError(PermanentError):
    """A parameter is malformed, or two do not go together."""

    code = "InvalidRequest"


class InvalidCursorError(InvalidRequestError):
    """The cursor is malformed, or belongs to a list with other parameters."""

    code = "InvalidCursor"


class ItemNotFoundError(PermanentError):
    """The roadmap has no such concept."""

    code = "ItemNotFound"
