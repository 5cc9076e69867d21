"""Database fixtures.

Each session (each xdist worker) uses one server: that of `DATABASE_URL`, or our own. A template database is
migrated once. Tests share a copy of it, whose rows are restored after each test; a test whose assertions
depend on statistics or on the size of tables requests a copy for itself.
"""

import gc
import secrets
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest import mock

import botocore.session
import pytest
from hypothesis import settings
from sqlalchemy import Engine, NullPool, create_engine, event, make_url

from local_stack.database_roles import DatabaseRoles, create_roles, drop_roles
from local_stack.given_database import given_server
from local_stack.postgres_server import Server
from migrations import migrate
from migrations.privileges import grant_access
from tests.support.databases import ReusedDatabase, copied_database, temporary_server

gc.disable()  # until everything is imported

# No time limit per example, because no test asserts a duration.
settings.register_profile("fast", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=200)  # `make test COVERAGE=1`
settings.load_profile("fast")

# Otherwise each session of boto3 reads the models of services again: 100 ms of processor time for a client.
mock.patch.object(botocore.session, "create_loader", cache(botocore.session.create_loader)).start()


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Exempt the imported modules from garbage collection, which was a tenth of the processor time."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@event.listens_for(Engine, "do_connect")
def _connect_without_tls(
    _dialect: object, _record: object, _arguments: object, parameters: dict[str, Any]
) -> None:
    """Otherwise the driver reads the machine's certificates for each connection to our own server: 5 ms."""
    if given_server() is None:
        parameters.setdefault("ssl_context", False)


@pytest.fixture(scope="session")
def database_server() -> Iterator[Server]:
    with temporary_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(database_server: Server) -> Iterator[tuple[str, DatabaseRoles]]:
    """The name of a migrated database without connections, and its roles. The migrator has migrated it."""
    prefix = f"test_{secrets.token_hex(8)}_"
    with copied_database(database_server.url) as (name, url):
        roles = create_roles(url, prefix)
        migrate(roles.migrator)
        with create_engine(roles.migrator, poolclass=NullPool).begin() as connection:
            grant_access(connection, roles.names.writer, roles.names.reader)
        yield name, roles
    drop_roles(database_server.url, prefix)


@pytest.fixture(scope="session")
def _reused_database(
    database_server: Server, migrated_template: tuple[str, DatabaseRoles]
) -> Iterator[ReusedDatabase]:
    reused = ReusedDatabase(database_server.url, migrated_template[0])
    yield reused
    reused.drop()


@pytest.fixture
def database_url(_reused_database: ReusedDatabase) -> Iterator[str]:
    """The administrator's SQLAlchemy URL of a migrated database without rows."""
    yield _reused_database.url
    _reused_database.clear()


@pytest.fixture
def new_database_url(database_server: Server, migrated_template: tuple[str, DatabaseRoles]) -> Iterator[str]:
    """The administrator's SQLAlchemy URL of a migrated database that no test has used."""
    with copied_database(database_server.url, migrated_template[0]) as (_, url):
        yield url


@pytest.fixture
def database_roles(database_url: str, migrated_template: tuple[str, DatabaseRoles]) -> DatabaseRoles:
    """The SQLAlchemy URLs of `database_url` for each role."""
    name = make_url(database_url).database
    _, roles = migrated_template
    return DatabaseRoles(
        *(make_url(url).set(database=name).render_as_string(hide_password=False) for url in roles)
    )


@pytest.fixture
def empty_database_url(database_server: Server) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database."""
    with copied_database(database_server.url) as (_, url):
        yield url
