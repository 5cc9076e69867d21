"""What keeps a proof from being run at all, as a person reads it."""

from roadmap_content.errors import PermanentError


class MissingOnThisMachineError(PermanentError):
    """This machine lacks something that cannot be brought here."""

    code = "MissingOnThisMachine"


class CommandFailedError(PermanentError):
    """A command failed; the message holds the end of what it said."""

    code = "CommandFailed"


class ProofFailedError(PermanentError):
    """Something was run, and did not do what it should."""

    code = "ProofFailed"
