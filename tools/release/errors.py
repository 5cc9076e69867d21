"""The errors of releasing."""


class ReleaseError(Exception):
    """A release cannot be built or deployed. The message contains the reason and the remedy."""
