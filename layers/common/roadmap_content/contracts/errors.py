"""The exception types of this system, divided into permanent and transient errors.

After a permanent error, the same operation fails again; after a transient error, it may succeed later. The
state machine's history shows the class name. The task's row, `content_failures` and the API show the code,
which each class states explicitly: codes are stored and determine the recovery, so renaming a class must not
change its code.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal


class ContentError(Exception):
    """Base class of all errors of this system."""

    code: ClassVar[str] = "Content"
    """The name under which the error is recorded and returned by the API."""

    is_excused: ClassVar[bool] = False
    """Whether it is no fault of the function that raises it: the design intends it, or a metric of its cause
    counts it. Alarms on the errors of functions subtract it, so that one cause raises one alarm.
    """

    @property
    def recorded_code(self) -> str:
        """The code of an item's failure: that of the type, or one that a function of the team has named."""
        return self.code

    @property
    def why(self) -> dict[str, Any]:
        """Code and reason, as logs state them."""
        return {"error_code": self.code, "reason": str(self)}

    def __init_subclass__(cls, *, code: str, is_excused: bool = False) -> None:
        super().__init_subclass__()
        cls.code, cls.is_excused = code, is_excused


class UnexpectedError(ContentError, code="Unexpected"):
    """An error of an unforeseen type. Its message is dropped, because it may contain content or SQL."""


def named(error: Exception) -> ContentError:
    """The error itself if it is a `ContentError`; otherwise an `UnexpectedError` with its type and place."""
    if isinstance(error, ContentError):
        return error
    return UnexpectedError(" in ".join([type(error).__name__, *frames_of(error)[-1:]]))


def code_of(type_name: str) -> str:
    """The code of the error type with this class name, which Lambda and Step Functions report. Any other
    name, such as `States.Timeout`, is returned as it is.
    """
    unvisited = [ContentError]
    while unvisited:
        kind = unvisited.pop()
        if kind.__name__ == type_name:
            return kind.code
        unvisited += kind.__subclasses__()
    return type_name


def frames_of(error: BaseException) -> list[str]:
    """The stack frames of an error, outermost call first: only places, without messages and values."""
    return [
        f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
    ]


class PermanentError(ContentError, code="Permanent"):
    """The same operation would fail again."""


class TransientError(ContentError, code="Transient"):
    """The same operation may succeed later."""


# Of the core.


class MissingResourceError(PermanentError, code="MissingResource"):
    """The API answers 404: a resource does not exist, or belongs to another user."""


class ConflictError(PermanentError, code="Conflict"):
    """The API answers 409: the state of a task, a roadmap or a recovery does not permit the request."""


class MissingSettingError(PermanentError, code="MissingSetting"):
    """A required environment variable is not set or invalid."""


class MissingExtraError(PermanentError, code="MissingExtra"):
    """The packages of an extra are not installed."""


@contextmanager
def requires_extra(extra: Literal["layer", "command", "local"], purpose: str) -> Iterator[None]:
    """Imports of packages of an extra. Raises MissingExtraError: a package is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {error.name}: pip install 'roadmap-content[{extra}]'"
        ) from error


class InvalidPayloadError(PermanentError, code="InvalidPayload"):
    """A payload between two steps does not match its type."""


class InvalidRequestError(PermanentError, code="InvalidRequest"):
    """A parameter is malformed, or two parameters contradict each other."""


class TaskNotFoundError(MissingResourceError, code="TaskNotFound", is_excused=True):
    """The task does not exist."""


class RoadmapNotFoundError(ConflictError, code="RoadmapNotFound"):
    """The task's roadmap does not exist, is deleted, or belongs to another user."""


class RoadmapLockedError(TransientError, code="RoadmapLocked"):
    """Another session holds the roadmap's row, or the task's, or an erasure ended since it was read."""


class InvalidFrameworkError(ConflictError, code="InvalidFramework"):
    """`framework_data` cannot be read as stages, modules and concepts."""


class InvalidBundleError(PermanentError, code="InvalidBundle"):
    """A bundle is not valid; the message names the path of the fault."""


class InvalidContentError(PermanentError, code="InvalidContent"):
    """Generated content does not match the contract of its content type."""


class ConceptIdTooLongError(PermanentError, code="ConceptIdTooLong"):
    """The concept's id is too long for the indexes of the content tables."""


class IdTakenError(PermanentError, code="IdTaken"):
    """The item's id belongs to another concept or roadmap, or to another item of the batch."""


class VersionTakenError(PermanentError, code="VersionTaken"):
    """The concept already has another row with this version."""


class NotStagedError(TransientError, code="NotStaged"):
    """An item that is to be saved is not staged."""


class StaleAttemptError(PermanentError, code="StaleAttempt", is_excused=True):
    """A newer attempt owns the task, so this one must not write its outcome."""


class ClaimRefusedError(ConflictError, code="ClaimRefused", is_excused=True):
    """Another attempt is working on the task."""

    def __init__(self, task_id: str, attempt: int, execution_arn: str | None) -> None:
        super().__init__(f"task {task_id} is being worked on by attempt {attempt}, {execution_arn}")
        self.attempt = attempt
        self.execution_arn = execution_arn


class AtWorkElsewhereError(ConflictError, code="AtWorkElsewhere"):
    """The product is processing the task, or another one of its roadmap, in its own workers."""


class NotAtContentStageError(ConflictError, code="NotAtContentStage"):
    """The task has not reached content generation: only the product can resume it, at its current step."""

    def __init__(self, message: str, current_step: str | None) -> None:
        super().__init__(message)
        self.current_step = current_step


class ItemNotFoundError(MissingResourceError, code="ItemNotFound"):
    """The roadmap has no such concept."""


class TextUnavailableError(ItemNotFoundError, code=ItemNotFoundError.code):
    """The text of a saved tutorial does not exist, or it is not the one that was saved."""


class OtherBucketError(TextUnavailableError, code="OtherBucket"):
    """The text of a saved tutorial is not in the content bucket."""


class NotCancellableError(ConflictError, code="NotCancellable"):
    """The task is already completed and cannot be cancelled."""


class TaskCancelledError(ConflictError, code="Cancelled"):
    """The task was cancelled. Nothing more is started for it."""


class ContentIncomplete(PermanentError, code="ContentIncomplete"):  # noqa: N818 - the executions' histories
    """The run has ended and items are missing. The execution can be redriven."""


class DatabaseUnavailableError(TransientError, code="DatabaseUnavailable", is_excused=True):
    """PostgreSQL was unavailable until the time was up. `since`: when this process first noticed it."""

    def __init__(self, reason: str, since: datetime | None = None) -> None:
        super().__init__(reason)
        self.since_when = f" since {since:%H:%M:%S} UTC" if since else ""


class RolesUnavailableError(DatabaseUnavailableError, code="DatabaseUnavailable", is_excused=True):
    """The reader's role cannot read the database, nor health. Operators see the message: it has no SQL."""


class StorageUnavailableError(TransientError, code="StorageUnavailable"):
    """S3 was unavailable."""


class NotRedrivableError(ConflictError, code="NotRedrivable"):
    """Step Functions refused to redrive the execution. The message is the reason."""


class ForbiddenError(PermanentError, code="Forbidden"):
    """The token does not permit the request."""


class InvalidCursorError(InvalidRequestError, code="InvalidCursor"):
    """The cursor is malformed, or belongs to a list with other parameters."""


# Of generation.


class ModelRefusedRequestError(PermanentError, code="ModelRefusedRequest"):
    """The provider refused the request: the model id, the access to it or a parameter is wrong."""


class ModelDeclinedError(PermanentError, code="ModelDeclined"):
    """The model or a content filter declined to generate the content."""


class TokenBudgetExhaustedError(PermanentError, code="TokenBudgetExhausted"):
    """The task's token budget is exhausted."""


# Of the content of an item.


class ContentCheckFailedError(TransientError, code="ContentCheckFailed"):
    """The product's check of contents did not answer in time, crashed, or answered wrongly."""


class RestoreRefusedError(ConflictError, code="RestoreRefused"):
    """A revision cannot become the current one: the database refused it, or its text is not available."""


class ChangedSinceError(RestoreRefusedError, code="ChangedSince"):
    """The item has another revision than the one that was to be replaced."""
