"""The errors of recoveries."""

from ...contracts.errors import ConflictError, InvalidRequestError, MissingResourceError, PermanentError


class RecoveryNotFoundError(MissingResourceError, code="RecoveryNotFound"):
    """There is no such recovery."""


class RecoveryStateError(ConflictError, code="RecoveryState"):
    """The state of the recovery does not permit this."""


class NothingMatchesError(InvalidRequestError, code="NothingMatches"):
    """The filter selects no task."""


class TooManyTasksError(InvalidRequestError, code="TooManyTasks"):
    """The filter selects more tasks than a recovery may have."""


class RecoveryStoppedError(PermanentError, code="RecoveryStopped"):
    """The recovery may not start a task now: it was paused or stopped, or a limit is reached."""
