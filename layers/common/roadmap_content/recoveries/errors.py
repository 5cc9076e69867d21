"""Errors of requests about recoveries."""

from ..errors import InvalidRequestError, PermanentError


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
    """The recovery was stopped while it started a task, and has refused the task."""

    code = "RecoveryStopped"
