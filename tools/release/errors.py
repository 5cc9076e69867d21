"""The errors of releasing."""


class ReleaseError(Exception):
    """A release cannot be built, deployed or rolled back. The message contains the reason and the remedy."""
