"""Kept by an execution environment between invocations: clients, each created on first use, and the
capabilities that the function composes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

from ..content.roadmaps.metadata import FrameworkCache
from ..contracts.errors import DatabaseUnavailableError
from ..platform.aws.event_bus import EventBus
from ..platform.aws.executions import Executions
from ..platform.aws.secret import SecretUnavailableError, read_secret
from ..platform.postgres.engine import STATEMENT_TIMEOUT, Credentials, open_engine
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.settings import Settings
from ..platform.storage.bucket import Bucket
from .visibility import GUARD

if TYPE_CHECKING:
    from ..content.generation.generator import Generator
    from ..platform.aws.team_function import TeamFunction
    from .failures.groups import FailuresChanged, Remains
    from .tasks.task import Task

T = TypeVar("T")


class Job(NamedTuple):
    """A part of the sweep."""

    name: str
    seconds: float
    """Its limit of time."""

    run: Callable[["Services", Deadline], object]


class Retention(NamedTuple):
    """How long the rows of a table are kept, or those of one kind."""

    name: str
    """The name in the parameter `RetentionDays`."""

    days: int
    since: str
    """The column from which the days count."""

    condition: str = "true"
    order: str = ""
    """The column of an index in the order of age, of which a step reads only the beginning; `since`, if it
    is empty.
    """

    table: str = ""
    """The table, if it is not the name."""

    statement: str = ""
    """Instead of a DELETE by age: handles at most `:step` rows older than `:days`, and returns each."""


class Scan(NamedTuple):
    """A part of the sweep that continues where the last sweep stopped."""

    name: str
    seconds: float
    run: Callable[["Services", str, Deadline], str]
    """Called with the place at which it stopped, empty at the beginning. Returns the next one."""


class Exclusion(NamedTuple):
    """Keeps requests and attempts away from some tasks."""

    require: Callable[[Connection, Sequence[str], datetime | None], None]
    """Requires that tasks may be changed. With a time, also that nothing has been lifted since then on which
    a decision may rest. Raises ContentError.
    """

    hold_up: Callable[[Connection], None]
    """Lets no further task be excluded until the end of the transaction. Locks no row of a task."""

    permits: str
    """As SQL: whether a filter may select a task `t`."""


class Following(NamedTuple):
    """The consequences that a capability gives an outcome with missing items."""

    pause: timedelta | None = None
    """The pause before another attempt, for which nobody has to ask; `None`: none follows."""

    is_known: bool = False
    """Whether people know all of its failure groups."""


class HealthPart(NamedTuple):
    """The part of a capability in `Health`."""

    fields: Mapping[str, Any]
    """Fields of `Health`."""

    attention: tuple[str, int]
    """The finding that a person should check, and its number: 0 if there is none."""


@dataclass(frozen=True)
class Capability:
    """The hooks by which the core calls a capability, which it does not import.

    Each hook is called in the order of the tuple that the function gave to `Services`. One with a single user
    stays, because no other one is called at its moment, or returns the same.
    """

    exclusion: Exclusion | None = None
    """Asked before a request's decision, and again in the transaction of a claim, a user's cancellation or a
    restore, when it has locked the task's or the roadmap's row, before the queue's.
    """

    sweep: Sequence[Job | Scan | Retention] = ()
    """Its parts of the sweep, by kind. No transaction is open. A job starts attempts, in each sweep and
    each minute: after unconfirmed starts are repeated, and before waiting attempts are admitted. A retention
    is the rule of one of its tables; others are kept. Scans are the last jobs of a sweep that is not held.
    """

    waiting: str = ""
    """As SQL: the tasks that wait for their start by it, with `task_id`, `recovery_id`, `is_paused` and
    `regenerates`; and those that it has started and holds, with the `attempt`, which is otherwise NULL.
    """

    failures_changed: "FailuresChanged | None" = None
    """Called with the current failures of a task before and after a change, in its transaction. The task's
    row is locked; rows of several groups are locked in the order of their ids.
    """

    after_outcome: Callable[["Services", Connection, "Remains"], Following] | None = None
    """Called in the transaction of an outcome, after `failures_changed` and before the queue's rows are
    locked, unless an earlier one has another attempt follow.
    """

    after_run: Callable[["Services", str, Deadline], None] | None = None
    """Called with the actor of an attempt after its outcome is committed, and before waiting attempts are
    admitted. No transaction is open. The sweep makes up for an omission.
    """

    health: Callable[[Connection, str], HealthPart] | None = None
    """Its part of `Health`, read with the reader's role. Called with the SQL of `waiting_tasks`."""

    describe: Callable[[Connection, "Task"], Mapping[str, Any]] | None = None
    """Its fields in `TaskDetail`, read with the reader's role."""


class Services:
    """The external services that a function uses. Tests pass other settings or replace single services."""

    generator: "Generator | None" = None
    """The one of the setting, once `generate_content` has used it; or that of a test."""

    is_asked_by_people = False
    """Whether a person waits for the answer: then a database that does not answer is reported at once.
    Otherwise it is asked again until the deadline.
    """

    def __init__(
        self, settings: Settings | None = None, capabilities: Sequence[Capability] | None = None
    ) -> None:
        """`capabilities`: those that the function composes; without them, it cannot claim an attempt."""
        self.settings = settings or Settings()
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Sequence[Capability]:
        """The composed capabilities.

        Raises:
            RuntimeError: none were given. A claim or an outcome would miss an exclusion. A function that
                composes none passes an empty tuple.
        """
        if self._capabilities is None:
            raise RuntimeError("Services was created without a tuple of capabilities")
        return self._capabilities

    @property
    def failure_hooks(self) -> "Sequence[FailuresChanged]":
        """The hooks `failures_changed` of the composed capabilities."""
        hooks = (capability.failures_changed for capability in self.capabilities)
        return [hook for hook in hooks if hook is not None]

    def parts_of_sweep(self, kind: type[T]) -> list[T]:
        """The parts of one kind (`Job`, `Scan` or `Retention`) that capabilities add to the sweep."""
        parts = (part for capability in self.capabilities for part in capability.sweep)
        return [part for part in parts if isinstance(part, kind)]

    @property
    def exclusions(self) -> Sequence[Exclusion]:
        return [capability.exclusion for capability in self.capabilities if capability.exclusion is not None]

    def require_permitted(
        self, connection: Connection, *task_ids: str, read_at: datetime | None = None
    ) -> None:
        """Require that no exclusion keeps away the tasks, which were read at this time. Raises
        ContentError.
        """
        for exclusion in self.exclusions:
            exclusion.require(connection, task_ids, read_at)

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of the database, with the function's own role."""
        return self.open_engine()

    @cached_property
    def reading_engine(self) -> Engine:
        """The engine for the API's reads. Its role has only the privilege SELECT."""
        return self._open(self._reader_credentials, STATEMENT_TIMEOUT)

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket of staged content, manifests and tutorial texts."""
        return Bucket(self.settings.content_bucket)

    @cached_property
    def content_check(self) -> "TeamFunction | None":
        """The product's check of contents; `None` if there is none."""
        from ..platform.aws.team_function import team_function  # only `save_batch` needs it

        function = self.settings.content_check_function
        return team_function(function, self.settings.content_check_seconds) if function else None

    @cached_property
    def executions(self) -> Executions:
        return Executions(self.settings.state_machine_arn)

    @cached_property
    def erasure_key(self) -> str:
        """The key of the hashes in the register of erasures."""
        return read_secret(self.settings.erasure_secret_arn)

    @cached_property
    def event_bus(self) -> EventBus:
        return EventBus(self.settings.event_bus)

    @cached_property
    def framework_cache(self) -> FrameworkCache:
        return FrameworkCache()

    def open_engine(self, statement_timeout: int = STATEMENT_TIMEOUT) -> Engine:
        """Create an engine with the function's own role. `statement_timeout` is in seconds."""
        return self._open(self._credentials, statement_timeout)

    def _open(self, credentials: Callable[[], Credentials], statement_timeout: int) -> Engine:
        """Create an engine; `credentials` is called for each new connection."""
        settings = self.settings
        return open_engine(
            credentials,
            tls=settings.database_tls,
            session=settings.database_session,
            statement_timeout=statement_timeout,
            first=GUARD,
            is_patient=not self.is_asked_by_people,
        )

    def _credentials(self) -> Credentials:
        """Read the credentials of the function's own role, also after their rotation."""
        settings = self.settings
        if settings.database_auth == "iam":
            return self._iam_credentials(settings.database_user)
        return _secret_credentials(settings.database_secret_arn)

    def _reader_credentials(self) -> Credentials:
        """Those of the reader. Only functions that read with this role have its settings."""
        settings = self.settings
        if settings.database_auth == "iam":
            return self._iam_credentials(settings.reader_user)
        return _secret_credentials(settings.reader_secret_arn)

    def _iam_credentials(self, user: str) -> Credentials:
        """Credentials with an IAM authentication token, which is signed locally and valid for 15 minutes."""
        import boto3
        from botocore.exceptions import BotoCoreError

        settings = self.settings
        host, port = settings.database_host, settings.database_port
        try:
            token = boto3.client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
        except BotoCoreError as error:
            raise DatabaseUnavailableError(f"no credentials: {error}") from error
        return Credentials(host, port, settings.database_name, user, token)


def _secret_credentials(arn: str) -> Credentials:
    """Unreadable credentials count as an unreachable database, which is a transient error."""
    try:
        return Credentials.from_secret(read_secret(arn))
    except SecretUnavailableError as error:
        raise DatabaseUnavailableError(f"no credentials: {error}") from error
