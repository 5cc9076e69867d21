"""The errors of this system: one small tree, in which permanent and transient are types.

A permanent error fails the same way again; a transient one may heal by itself. The state machine's history
shows the class name. The task's row, `content_failures` and the API show the code, which each class states:
codes are stored and decide recovery, so that renaming a class must not change one.
"""

import traceback
from pathlib import Path
from typing import ClassVar


class ContentError(Exception):
    """An error of this system with a name of its own."""

    code: ClassVar[str] = "Content"
    """The name under which the error is recorded and answered."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Require that each class states its own code."""
        super().__init_subclass__(**kwargs)
        if "code" not in vars(cls):
            raise TypeError(f"{cls.__qualname__} does not state its code")


class UnexpectedError(ContentError):
    """An error that nothing in this system foresees, without its message: that may hold content or SQL."""

    code = "Unexpected"


def named(error: Exception) -> ContentError:
    """The error itself if it has a name here; otherwise an `UnexpectedError` with its type and place."""
    if isinstance(error, ContentError):
        return error
    return UnexpectedError(" in ".join([type(error).__name__, *frames_of(error)[-1:]]))


def frames_of(error: BaseException) -> list[str]:
    """Where an error was raised, the outermost call first: places only, no messages and no values."""
    return [
        f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})"
        for frame in traceback.extract_tb(error.__traceback__)
    ]


class PermanentError(ContentError):
    """Trying the same again cannot help."""

    code = "Permanent"


class TransientError(ContentError):
    """The surroundings failed; the same may work later."""

    code = "Transient"


class MissingSettingError(PermanentError):
    """An environment variable that the function needs is not set, or not usable."""

    code = "MissingSetting"


class InvalidPayloadError(PermanentError):
    """A payload between two steps does not have the agreed shape."""

    code = "InvalidPayload"


class TaskNotFoundError(PermanentError):
    """There is no such task."""

    code = "TaskNotFound"


class RoadmapNotFoundError(PermanentError):
    """The task's roadmap does not exist, is deleted, or is another user's."""

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
    """Generated content is not what its content type asks for."""

    code = "InvalidContent"


class ConceptIdTooLongError(PermanentError):
    """The concept's id is too long for the indexes of the content tables."""

    code = "ConceptIdTooLong"


class IdTakenError(PermanentError):
    """The item's id belongs to another concept or roadmap, or to another item of the batch."""

    code = "IdTaken"


class VersionTakenError(PermanentError):
    """The concept has another text of that version."""

    code = "VersionTaken"


class NotStagedError(TransientError):
    """Nothing is staged for an item that is to be saved."""

    code = "NotStaged"


class StaleAttemptError(PermanentError):
    """A newer attempt owns the task; this one may not write its outcome."""

    code = "StaleAttempt"


class ClaimRefusedError(PermanentError):
    """The task is already being worked on by another attempt."""

    code = "ClaimRefused"

    def __init__(self, task_id: str, attempt: int, execution_arn: str | None) -> None:
        super().__init__(f"task {task_id} is being worked on by attempt {attempt}, {execution_arn}")
        self.attempt = attempt
        self.execution_arn = execution_arn


class AtWorkElsewhereError(PermanentError):
    """The product is at work on the task, in its own workers."""

    code = "AtWorkElsewhere"


class NotAtContentStageError(PermanentError):
    """The task has not reached content generation: the product resumes it. Names the step that it is at."""

    code = "NotAtContentStage"

    def __init__(self, message: str, current_step: str | None) -> None:
        super().__init__(message)
        self.current_step = current_step


class NotCancellableError(PermanentError):
    """The task is completed: there is nothing to cancel."""

    code = "NotCancellable"


class TaskCancelledError(PermanentError):
    """The task has been cancelled: nothing further is started for it."""

    code = "Cancelled"


class ContentIncomplete(PermanentError):  # noqa: N818 - the name that DESIGN gives it in the history
    """The run is over and items are missing. It can be redriven."""

    code = "ContentIncomplete"


class DatabaseUnavailableError(TransientError):
    """PostgreSQL did not answer, or asked to try again, for as long as there was time."""

    code = "DatabaseUnavailable"


class StorageUnavailableError(TransientError):
    """S3 did not answer, or asked to try again, for as long as there was time."""

    code = "StorageUnavailable"
