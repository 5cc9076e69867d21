"""Errors of checks. Their messages are shown to the user."""

from roadmap_content.errors import PermanentError


class MissingOnThisMachineError(PermanentError):
    """A requirement is missing on this machine and cannot be installed."""

    code = "MissingOnThisMachine"


class CommandFailedError(PermanentError):
    """A command failed. The message contains the end of its output."""

    code = "CommandFailed"


class ProofFailedError(PermanentError):
    """A check failed."""

    code = "ProofFailed"
