"""Migrate: bring the schema up to date from inside the VPC, as a deployment's last step."""

from sqlalchemy import Connection, text

from migrations import MigrationRunningError, current_revision, migrate_at_once

from ..contracts import Payload
from ..errors import PermanentError
from ..postgres.engine import session_limits
from ..postgres.transactions import RESERVE, transact
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..services import Services


class MigrationRefusedError(PermanentError):
    """Another migration of the database is running."""

    code = "MigrationRefused"


class MigrateRequest(Payload):
    """Asks `migrate_database` to bring the schema up to date, or to try whether it can."""

    dry_run: bool = False


class MigrateResult(Payload):
    """The schema's revision before and after; with `dry_run`, what it would be after."""

    before: str | None
    after: str | None
    dry_run: bool


def migrate_database(request: MigrateRequest, services: Services, deadline: Deadline) -> MigrateResult:
    """Migrate in one transaction, wholly or not at all; up to date already, nothing happens.

    Behind RDS Proxy, which lets no session set its own limits, our role gets them.

    Raises:
        MigrationRefusedError: another migration is running.
        CannotAdoptError: the product's schema holds something that a person has to decide about.
        DataRefusedError, DatabaseUnavailableError: nothing has been changed.
    """

    def migrate(connection: Connection) -> MigrateResult:
        before = current_revision(connection)
        migrate_at_once(connection)
        if services.settings.database_session == "role":
            for name, value in session_limits().items():
                connection.execute(text(f"ALTER ROLE CURRENT_USER SET {name} = '{value}'"))
        result = MigrateResult(before=before, after=current_revision(connection), dry_run=request.dry_run)
        if request.dry_run:
            connection.rollback()
        return result

    engine = services.open_engine(statement_timeout=int(deadline.remaining - RESERVE))
    try:
        result = transact(engine, migrate, deadline)
    except MigrationRunningError as error:
        raise MigrationRefusedError(str(error)) from error
    finally:
        engine.dispose()
    logger.info("database_migrated", **result.model_dump())
    return result
