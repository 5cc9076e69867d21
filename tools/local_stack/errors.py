"""Errors of the local stack. Their messages are shown to the user."""

from roadmap_content.contracts.errors import PermanentError


class NoStackError(PermanentError):
    """The stack does not exist or is not running."""

    code = "NoStack"


class RefusedError(PermanentError):
    """The command was refused: its arguments, or the state of what it is about."""

    code = "Refused"


class FunctionFailedError(PermanentError):
    """An invoked function failed."""

    code = "FunctionFailed"


class LocalServiceError(PermanentError):
    """A part of the local stack failed: PostgreSQL, the local cloud, or the deployment to it."""

    code = "LocalService"


class StackEndedError(NoStackError, LocalServiceError):
    """A part of the local stack has ended, for example because it was killed."""

    code = "StackEnded"


class CommandFailedError(PermanentError):
    """A command failed. The message contains the end of its output."""

    code = "CommandFailed"
