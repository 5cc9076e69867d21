"""The errors of this system: one small tree, in which permanent and transient are types.

A permanent error fails the same way again; a transient one may heal by itself. The state machine's history
shows the class name; the task and `content_failures` show it as a code, without the word Error.
"""


class ContentError(Exception):
    """Whatever goes wrong in this system for a reason that it can name."""

    @property
    def code(self) -> str:
        """The name under which the error is recorded."""
        return type(self).__name__.removesuffix("Error")


class PermanentError(ContentError):
    """Trying the same again cannot help."""


class TransientError(ContentError):
    """The surroundings failed; the same may work later."""


class MissingSettingError(PermanentError):
    """An environment variable that the function needs is not set, or not usable."""


class InvalidPayloadError(PermanentError):
    """A payload between two steps does not have the agreed shape."""


class TaskNotFoundError(PermanentError):
    """There is no such task."""


class RoadmapNotFoundError(PermanentError):
    """The task's roadmap does not exist, is deleted, or is another user's."""


class InvalidFrameworkError(PermanentError):
    """`framework_data` cannot be read as stages, modules and concepts."""


class InvalidBundleError(PermanentError):
    """A bundle is not valid; the message names the path of the fault."""


class InvalidContentError(PermanentError):
    """Generated content is not what its content type asks for."""


class StaleAttemptError(PermanentError):
    """A newer attempt owns the task; this one may not write its outcome."""


class ClaimRefusedError(PermanentError):
    """The task is already being worked on by another attempt."""

    def __init__(self, task_id: str, attempt: int, execution_arn: str | None) -> None:
        super().__init__(f"task {task_id} is being worked on by attempt {attempt}, {execution_arn}")
        self.attempt = attempt
        self.execution_arn = execution_arn


class ContentIncomplete(PermanentError):  # noqa: N818 - the name that DESIGN gives it in the history
    """The run is over and items are missing. It can be redriven."""


class DatabaseUnavailableError(TransientError):
    """PostgreSQL did not answer, or asked to try again, for as long as there was time."""


class StorageUnavailableError(TransientError):
    """S3 did not answer, or asked to try again, for as long as there was time."""
