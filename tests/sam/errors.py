"""Errors of checks. Their messages are shown to the user."""

from roadmap_content.contracts.errors import PermanentError


class MissingOnThisMachineError(PermanentError, code="MissingOnThisMachine"):
    """A requirement is missing on this machine and cannot be installed."""
