"""The local PostgreSQL server: our own, and the one of `DATABASE_URL`."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pg8000.dbapi
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from local_stack.given_database import (
    NotPermittedError,
    drop_kept_databases,
    given_or_embedded,
    kept_database,
)
from local_stack.postgres_server import PostgresServer, Server

pytestmark = pytest.mark.nightly


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture
def server(data_dir: Path) -> Iterator[PostgresServer]:
    with PostgresServer.start(data_dir, fsync=False) as server:
        yield server


def execute(url: str, statement: str) -> None:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(statement))


def scalars(url: str, query: str) -> list[object]:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return list(connection.scalars(text(query)))


@contextmanager
def session(server: PostgresServer, password: str) -> Iterator[pg8000.dbapi.Cursor]:
    """A session that may be refused or terminated. pg8000 would leave its socket to the garbage collector."""
    connected = socket.create_connection((server.host, server.port))
    try:
        yield pg8000.dbapi.connect(
            user=server.user,
            password=password,
            database=server.database,
            sock=connected,
            ssl_context=False,
        ).cursor()
    finally:
        if connected.fileno() >= 0:
            os.close(connected.detach())


def test_the_server_requires_the_password(server: PostgresServer) -> None:
    with pytest.raises(pg8000.dbapi.Error) as refused, session(server, "guessed"):
        pass

    assert refused.value.args[0]["C"] == "28P01"
    assert server.password not in repr(server)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg"])
def test_on_a_given_server_a_database_is_created_and_dropped(
    server: PostgresServer, data_dir: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", server.url.replace("postgresql+pg8000", scheme))
    databases = "SELECT datname FROM pg_database ORDER BY datname"
    before = scalars(server.url, databases)

    given: Server
    with given_or_embedded(data_dir / "unused") as given, given_or_embedded(data_dir / "unused") as other:
        assert given.url != other.url
        execute(given.url, "CREATE TABLE ours ()")
        assert len(scalars(server.url, databases)) == len(before) + 2

    assert scalars(server.url, databases) == before
    assert not (data_dir / "unused").exists()


@pytest.mark.parametrize("granted", ["", "CREATEDB", "CREATEROLE"])
def test_a_user_who_may_not_create_the_database_or_its_roles_learns_both_ways_on(
    server: PostgresServer, tmp_path: Path, granted: str
) -> None:
    execute(server.url, f"CREATE ROLE product LOGIN PASSWORD 'p' {granted}")
    url = make_url(server.url).set(username="product", password="p").render_as_string(hide_password=False)
    names = tmp_path / "databases.json"
    with pytest.raises(NotPermittedError, match=r"product .*CREATEDB CREATEROLE.*--adopt"):
        kept_database(names, url)
    drop_kept_databases(names)  # nothing was recorded, so that nothing needs to be dropped

    execute(server.url, "ALTER ROLE product CREATEDB CREATEROLE")
    with kept_database(names, url) as kept:
        assert scalars(kept.url, "SELECT current_user") == ["product"]
    drop_kept_databases(names)
