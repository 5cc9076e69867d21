"""The clients that an execution environment keeps between invocations. Each is created on first use."""

from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from .aws.event_bus import EventBus
from .aws.executions import Executions
from .aws.queues import Queue
from .aws.secret import SecretUnavailableError, read_secret
from .errors import DatabaseUnavailableError
from .postgres.engine import STATEMENT_TIMEOUT, Credentials, open_engine
from .roadmaps.framework_cache import FrameworkCache
from .runtime.settings import Settings
from .storage.bucket import Bucket

if TYPE_CHECKING:
    from .generation.generator import Generator


class Services:
    """The external services that a function uses. Tests pass other settings or replace single services."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @cached_property
    def engine(self) -> Engine:
        """The SQLAlchemy engine of the database."""
        return self.open_engine()

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket of staged content, manifests and tutorial texts."""
        return Bucket(self.settings.content_bucket)

    @cached_property
    def executions(self) -> Executions:
        """The executions of the state machine."""
        return Executions(self.settings.state_machine_arn)

    @cached_property
    def recovery_executions(self) -> Executions:
        """The executions of the state machine that runs recoveries."""
        return Executions(self.settings.recovery_state_machine_arn)

    def dead_letters(self) -> int | None:
        """The number of events that were not handled; `None` if unknown."""
        return None if self._dead_letters is None else self._dead_letters.messages()

    @cached_property
    def _dead_letters(self) -> Queue | None:
        url = self.settings.dead_letters_url
        return None if url is None else Queue(url)

    @cached_property
    def event_bus(self) -> EventBus:
        """The bus that events are sent to."""
        return EventBus(self.settings.event_bus)

    @cached_property
    def generator(self) -> "Generator":
        """The generator of content that is not staged."""
        from .generation.generator import generator_named  # only `generate_content` needs it

        return generator_named(self.settings.generator, self.settings)

    @cached_property
    def framework_cache(self) -> FrameworkCache:
        """The cache of concept ids per roadmap."""
        return FrameworkCache()

    def open_engine(self, statement_timeout: int = STATEMENT_TIMEOUT) -> Engine:
        """Create an engine. `statement_timeout` is in seconds."""
        settings = self.settings
        return open_engine(
            self._credentials,
            tls=settings.database_tls,
            session=settings.database_session,
            statement_timeout=statement_timeout,
        )

    def _credentials(self) -> Credentials:
        """Read the credentials, for each new connection.

        Unreadable credentials count as an unreachable database, which is a transient error.
        """
        if self.settings.database_auth == "iam":
            return self._iam_credentials()
        try:
            return Credentials.from_secret(read_secret(self.settings.database_secret_arn))
        except SecretUnavailableError as error:
            raise DatabaseUnavailableError(f"no credentials: {error}") from error

    def _iam_credentials(self) -> Credentials:
        """Credentials with an IAM authentication token, which is signed locally and valid for 15 minutes."""
        import boto3
        from botocore.exceptions import BotoCoreError

        settings = self.settings
        host, port, user = settings.database_host, settings.database_port, settings.database_user
        try:
            token = boto3.client("rds").generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user)
        except BotoCoreError as error:
            raise DatabaseUnavailableError(f"no credentials: {error}") from error
        return Credentials(host, port, settings.database_name, user, token)
