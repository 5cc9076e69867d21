"""Migrate the database schema from inside the VPC."""

from functools import partial

from sqlalchemy import Connection, text

from migrations import (
    MigrationRunningError,
    RevisionTooOldError,
    UnknownTimeZoneError,
    current_revision,
    is_newer_than_this_code,
    migrate_at_once,
    use_time_zone,
)
from migrations.grants import RolesIncompleteError, grant_access, require_session_limits

from ...contracts.errors import PermanentError
from ...contracts.payloads import Payload
from ...platform.postgres.engine import session_limits
from ...platform.postgres.transactions import RESERVE, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.settings import Settings
from ...state.services import Services
from ...state.tasks.time_zone import contradicts, describe_offset, time_ahead
from .rehearsal import rehearse


class MigrationRefusedError(PermanentError, code="MigrationRefused"):
    """Another migration is running, or the revision, the time zone or the roles do not fit."""


class MigrateRequest(Payload):
    dry_run: bool = False


class MigrateResult(Payload):
    """The schema's revision before and after; with `dry_run`, the revision that it would have after."""

    before: str | None
    after: str | None
    dry_run: bool


def migrate_database(request: MigrateRequest, services: Services, deadline: Deadline) -> MigrateResult:
    """Migrate in one transaction.

    Does nothing if the schema is up to date or newer than this code: after a rollback, a release runs on the
    schema of the next one.

    Raises:
        MigrationRefusedError: another migration is running, the schema is older than the first migration,
            rows contradict the time zone, or the writer's and the reader's roles cannot be granted their
            rights.
        CannotAdoptError: the product's schema needs a manual decision.
        RehearsalFailedError: this release does not save valid content; nothing was changed.
        DataRefusedError, DatabaseUnavailableError: nothing was changed.
    """
    # The role's statement timeout is the one for Save, too short for a migration.
    seconds = max(1, int(deadline.remaining - RESERVE))

    migrate = partial(_migrate, services.settings, seconds, request.dry_run)
    # The socket timeout must not be shorter than the statement timeout.
    engine = services.open_engine(statement_timeout=seconds)
    try:
        result = transact(engine, migrate, deadline)
    except (MigrationRunningError, RevisionTooOldError, UnknownTimeZoneError, RolesIncompleteError) as error:
        raise MigrationRefusedError(str(error)) from error
    finally:
        engine.dispose()
    logger.info("database_migrated", **result.model_dump())
    return result


def _migrate(settings: Settings, seconds: int, dry_run: bool, connection: Connection) -> MigrateResult:
    # SET LOCAL also works behind RDS Proxy, which refuses session options at connect time.
    connection.execute(text(f"SET LOCAL statement_timeout = '{seconds}s'"))
    connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = '{seconds}s'"))
    before = current_revision(connection)
    if is_newer_than_this_code(before):
        logger.warning("schema_is_newer", revision=before)
    else:
        migrate_at_once(connection)
        zone = settings.database_time_zone
        use_time_zone(connection, zone)
        # Only at the adoption: later, a wrong clock of the product must not stop a deployment.
        if before is None and contradicts(ahead := time_ahead(connection)):
            raise MigrationRefusedError(
                f"the newest tasks were created {describe_offset(ahead)} hours in the future of the time "
                f"zone {zone}: the product writes another one (DatabaseTimeZone)"
            )
        rehearse(connection)
    writer, reader = settings.writer_role, settings.reader_role
    grant_access(connection, writer, reader)
    if settings.database_session == "role":
        for role in (writer, reader):
            require_session_limits(connection, role, session_limits())
    result = MigrateResult(before=before, after=current_revision(connection), dry_run=dry_run)
    if dry_run:
        connection.rollback()
    return result
