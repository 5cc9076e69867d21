"""What can go wrong with the local stack, as a person reads it."""

from roadmap_content.errors import PermanentError


class NoStackError(PermanentError):
    """The stack that a command is for is not there."""


class RefusedError(PermanentError):
    """The API does not do what it was asked."""


class FunctionFailedError(PermanentError):
    """A function that was invoked ended with an error."""
