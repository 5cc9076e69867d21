"""The product's database with the roles of a deployment. Other tests work as the superuser."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from local_stack.database_roles import DatabaseRoles, create_roles, drop_roles
from roadmap_content.api.health import read_health
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.runs.installation.leave import LeaveRequest, LeaveResult, leave_database
from roadmap_content.runs.installation.migrate import MigrateRequest, migrate_database
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, ReconcileResult, reconcile
from roadmap_content.state.services import Services
from tests.product.product import Product
from tests.product.running import deadline
from tests.support.engines import shared_engine
from tests.support.pipeline import SETTINGS, services_for

ZONE = {"DATABASE_SESSION": "options", "DATABASE_TIME_ZONE": "Asia/Shanghai"}


class Deployment:
    """The product's database, and our functions with the roles of a deployment."""

    def __init__(self, product: Product, roles: DatabaseRoles) -> None:
        self.product = product
        self.roles = roles
        names = {"DATABASE_WRITER": roles.names.writer, "DATABASE_READER": roles.names.reader}
        self.services = services_for(roles.writer, SETTINGS | names | ZONE)
        self.services.engine = shared_engine(roles.writer)
        self.services.reading_engine = shared_engine(roles.reader)

    def migrator(self) -> Services:
        migrator = services_for(self.roles.migrator)
        migrator.settings = self.services.settings
        migrator.open_engine = lambda **_: shared_engine(self.roles.migrator)  # type: ignore[method-assign]
        return migrator

    def dispose(self) -> None:
        """Close all sessions: a database with sessions cannot be copied or dropped."""
        engines = (self.product.engine, self.services.engine, self.services.reading_engine)
        for engine in (*engines, shared_engine(self.roles.migrator)):
            engine.dispose()

    def migrate(self) -> None:
        migrate_database(MigrateRequest(), self.migrator(), deadline())

    def leave(self, *, dry_run: bool = False, forget: bool = False) -> LeaveResult:
        request = LeaveRequest(leave=True, dry_run=dry_run, forget=forget)
        return leave_database(request, self.migrator(), deadline())

    def findings(self) -> dict[str, str]:
        """The answer of health, and therefore of doctor."""
        health = transact(
            self.services.reading_engine,
            lambda connection: read_health(connection, EVERY, ""),
            deadline(),
        )
        differences = {f"{finding.kind} {finding.object}": finding.message for finding in health.database}
        return {attention.what: attention.text for attention in health.attention} | differences

    def sweep(self, *, accept_loss: str | None = None) -> ReconcileResult:
        time = None if accept_loss else datetime.now(UTC)
        return reconcile(ReconcileRequest(time=time, accept_loss=accept_loss), self.services, deadline())


@pytest.fixture
def deployment(product: Product, bucket_name: str) -> Iterator[Deployment]:
    name = make_url(product.url).database
    roles = create_roles(product.url, f"{name}_")
    yield Deployment(product, roles)
    product.engine.dispose()
    with create_engine(product.url, poolclass=NullPool).begin() as connection:
        for role in connection.scalars(
            text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles)"), {"roles": list(roles.names)}
        ).all():
            connection.exec_driver_sql(f"DROP OWNED BY {role} CASCADE")
    drop_roles(product.url, f"{name}_")
