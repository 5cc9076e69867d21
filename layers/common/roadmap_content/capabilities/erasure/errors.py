"""The refusals of erasures."""

from ...contracts.errors import ConflictError


class ErasureRunningError(ConflictError, code="ErasureRunning", is_excused=True):
    """The data of the task's user is being erased. Nothing is started for its tasks until that has ended."""


class ErasureRefusedError(ConflictError, code="ErasureRefused"):
    """Rows of a table that only the product knows refer to rows that were to be deleted."""
