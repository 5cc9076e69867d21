"""Errors of requests."""

from ..contracts.errors import InvalidRequestError, PermanentError


class ForbiddenError(PermanentError):
    """The token does not permit the request."""

    code = "Forbidden"


class InvalidCursorError(InvalidRequestError):
    """The cursor is malformed, or belongs to a list with other parameters."""

    code = "InvalidCursor"
