"""The exception types of this system, divided into permanent and transient errors.

After a permanent error, the same operation fails again; after a transient error, it may succeed later. The
state machine's history shows the class name. The task's row, `content_failures` and the API show the code,
which each class states explicitly: codes are stored and determine the recovery, so renaming a class must not
change its code.
"""

import traceback
from pathlib import Path
from typing import ClassVar


class ContentError(Exception):
    """Base class of all errors of this system."""

    code: ClassVar[str] = "Content"
    """The name under which the error is recorded and returned by the API."""

    is_excused: ClassVar[bool] = False
    """Whether it is no fault of the function that raises it: the design intends it, or a metric of its cause
    counts it. Alarms on the errors of functions subtract it, so that one cause raises one alarm.
    """

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Require that each class states its own code."""
        super().__init_subclass__(**kwargs)
        if "code" not in vars(cls):
            raise TypeError(f"{cls.__qualname__} does not state its code")


class UnexpectedError(ContentError):
    """An error of an unforeseen type. Its message is dropped, because it may contain content or SQL."""

    code = "Unexpected"


def named(error: Exception) -> ContentError:
    """The error itself if it is a `ContentError`; otherwise an `UnexpectedError` with its type and place."""
    if isinstance(error, ContentError):
        return error
    return UnexpectedError(" in ".join([type(error).__name__, *frames_of(error)[-1:]]))


def code_of(type_name: str) -> str:
    """The code of the error type with this class name, which Lambda and Step Functions report.

    Any other name, such as `States.Timeout`, is returned as it is.
    """
    kinds = [ContentError]
    for kind in kinds:
        if kind.__name__ == type_name:
            return kind.code
        kinds += kind.__subclasses__()
    return type_name


def frames_of(error: BaseException) -> list[str]:
    """The stack frames of an error, outermost call first: only places, without messages and values."""
    return [
        f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
    ]


class PermanentError(ContentError):
    """The same operation would fail again."""

    code = "Permanent"


class TransientError(ContentError):
    """The same operation may succeed later."""

    code = "Transient"


class MissingSettingError(PermanentError):
    """A required environment variable is not set or invalid."""

    code = "MissingSetting"


class MissingExtraError(PermanentError):
    """The packages of an extra are not installed."""

    code = "MissingExtra"


class InvalidPayloadError(PermanentError):
    """A payload between two steps does not match its type."""

    code = "InvalidPayload"


class InvalidRequestError(PermanentError):
    """A parameter is malformed, or two parameters contradict each other."""

    code = "InvalidRequest"


class TaskNotFoundError(PermanentError):
    """The task does not exist."""

    code = "TaskNotFound"
    is_excused = True


class RoadmapNotFoundError(PermanentError):
    """The task's roadmap does not exist, is deleted, or belongs to another user."""

    code = "RoadmapNotFound"


class RoadmapLockedError(TransientError):
    """Another session holds the roadmap's row, or the task's."""

    code = "RoadmapLocked"


class InvalidFrameworkError(PermanentError):
    """`framework_data` cannot be read as stages, modules and concepts."""

    code = "InvalidFramework"


class InvalidBundleError(PermanentError):
    """A bundle is not valid; the message names the path of the fault."""

    code = "InvalidBundle"


class InvalidContentError(PermanentError):
    """Generated content does not match the contract of its content type."""

    code = "InvalidContent"


class ConceptIdTooLongError(PermanentError):
    """The concept's id is too long for the indexes of the content tables."""

    code = "ConceptIdTooLong"


class IdTakenError(PermanentError):
    """The item's id belongs to another concept or roadmap, or to another item of the batch."""

    code = "IdTaken"


class VersionTakenError(PermanentError):
    """The concept already has another row with this version."""

    code = "VersionTaken"


class ModelRefusedRequestError(PermanentError):
    """The provider refused the request: the model id, the access to it or a parameter is wrong."""

    code = "ModelRefusedRequest"


class ModelDeclinedError(PermanentError):
    """The model or a content filter declined to generate the content."""

    code = "ModelDeclined"


class TokenBudgetExhaustedError(PermanentError):
    """The task's token budget is exhausted."""

    code = "TokenBudgetExhausted"


class NotStagedError(TransientError):
    """An item that is to be saved is not staged."""

    code = "NotStaged"


class StaleAttemptError(PermanentError):
    """A newer attempt owns the task, so this one must not write its outcome."""

    code = "StaleAttempt"
    is_excused = True


class ClaimRefusedError(PermanentError):
    """Another attempt is working on the task."""

    code = "ClaimRefused"
    is_excused = True

    def __init__(self, task_id: str, attempt: int, execution_arn: str | None) -> None:
        super().__init__(f"task {task_id} is being worked on by attempt {attempt}, {execution_arn}")
        self.attempt = attempt
        self.execution_arn = execution_arn


class ErasureRunningError(PermanentError):
    """The data of the task's user is being erased. Nothing is started for its tasks until that has ended."""

    code = "ErasureRunning"
    is_excused = True


class ErasureRefusedError(PermanentError):
    """Rows of a table that only the product knows refer to rows that were to be deleted."""

    code = "ErasureRefused"


class AtWorkElsewhereError(PermanentError):
    """The product is processing the task, or another one of its roadmap, in its own workers."""

    code = "AtWorkElsewhere"


class NotAtContentStageError(PermanentError):
    """The task has not reached content generation: only the product can resume it, at its current step."""

    code = "NotAtContentStage"

    def __init__(self, message: str, current_step: str | None) -> None:
        super().__init__(message)
        self.current_step = current_step


class ItemNotFoundError(PermanentError):
    """The roadmap has no such concept."""

    code = "ItemNotFound"


class TextUnavailableError(ItemNotFoundError):
    """The text of a saved tutorial does not exist, or it is not the one that was saved."""

    code = ItemNotFoundError.code


class OtherBucketError(TextUnavailableError):
    """The text of a saved tutorial is not in the content bucket."""

    code = "OtherBucket"


class FailureGroupNotFoundError(PermanentError):
    """No failure has ever been in this group."""

    code = "FailureGroupNotFound"


class ContentCheckFailedError(TransientError):
    """The product's check of contents did not answer in time, crashed, or answered wrongly."""

    code = "ContentCheckFailed"


class RestoreRefusedError(PermanentError):
    """A revision cannot become the current one: the database refused it, or its text is not available."""

    code = "RestoreRefused"


class ChangedSinceError(RestoreRefusedError):
    """The item has another revision than the one that was to be replaced."""

    code = "ChangedSince"


class NotCancellableError(PermanentError):
    """The task is already completed and cannot be cancelled."""

    code = "NotCancellable"


class TaskCancelledError(PermanentError):
    """The task was cancelled. Nothing more is started for it."""

    code = "Cancelled"


class ContentIncomplete(PermanentError):  # noqa: N818 - the name appears in the execution's history
    """The run has ended and items are missing. The execution can be redriven."""

    code = "ContentIncomplete"


class DatabaseUnavailableError(TransientError):
    """PostgreSQL was unavailable until the time was up."""

    code = "DatabaseUnavailable"
    is_excused = True


class StorageUnavailableError(TransientError):
    """S3 was unavailable."""

    code = "StorageUnavailable"


class NotRedrivableError(PermanentError):
    """Step Functions refused to redrive the execution. The message is the reason."""

    code = "NotRedrivable"


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


class ForbiddenError(PermanentError):
    """The token does not permit the request."""

    code = "Forbidden"


class InvalidCursorError(InvalidRequestError):
    """The cursor is malformed, or belongs to a list with other parameters."""

    code = "InvalidCursor"
