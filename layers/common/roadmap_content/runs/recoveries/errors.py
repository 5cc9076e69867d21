"""Errors of requests about recoveries."""

from ...contracts.errors import InvalidRequestError, PermanentError


class RecoveryNotFoundError(PermanentError):
    """There is no such recovery."""

    code = "RecoveryNotFound"


class RecoveryStateError(PermanentError):
    """The state of the recovery does not permit this."""

    code = "RecoveryState"


class NothingMatchesError(InvalidRequestError):
    """The filter selects no task."""

    code = "NothingMatches"


class TooManyTasksError(InvalidRequestError):
    """The filter selects more tasks than a recovery may have."""

    code = "TooManyTasks"


class RecoveryStoppedError(PermanentError):
    """The recovery may not start a task now: it was paused or stopped, or a limit is reached."""

    code = "RecoveryStopped"
