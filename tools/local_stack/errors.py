"""Errors of the local stack. Their messages are shown to the user."""

from roadmap_content.contracts.errors import PermanentError


class NoStackError(PermanentError, code="NoStack"):
    """The stack does not exist or is not running."""


class RefusedError(PermanentError, code="Refused"):
    """The command was refused: its arguments, or the state of its subject."""


class FunctionFailedError(PermanentError, code="FunctionFailed"):
    """An invoked function failed."""


class LocalServiceError(PermanentError, code="LocalService"):
    """A part of the local stack failed: PostgreSQL, the local cloud, or the deployment to it."""


class StackEndedError(NoStackError, LocalServiceError, code="StackEnded"):
    """A part of the local stack has ended, for example because it was killed."""


class CommandFailedError(PermanentError, code="CommandFailed"):
    """A command failed. The message contains the end of its output."""
