"""What can go wrong with the local stack, as a person reads it."""

from roadmap_content.errors import PermanentError


class NoStackError(PermanentError):
    """The stack that a command is for is not there."""

    code = "NoStack"


class RefusedError(PermanentError):
    """The API does not do what it was asked."""

    code = "Refused"


class FunctionFailedError(PermanentError):
    """A function that was invoked ended with an error."""

    code = "FunctionFailed"


class MissingExtraError(PermanentError):
    """The packages of the local stack are not installed."""

    code = "MissingExtra"


class LocalServiceError(PermanentError):
    """A part of the local stack failed: PostgreSQL, the local cloud, or the deployment to it."""

    code = "LocalService"
