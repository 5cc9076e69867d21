"""What can go wrong with the local stack, as a person reads it."""

from roadmap_content.errors import PermanentError


class NoStackError(PermanentError):
    """The stack that a command is for is not there."""
