"""The local PostgreSQL server: our own, and the one of `DATABASE_URL`."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pg8000.dbapi
import psutil
import pytest
from sqlalchemy import NullPool, create_engine, make_url, text

from local_stack.given_database import (
    NotPermittedError,
    drop_kept_databases,
    given_or_embedded,
    kept_database,
)
from local_stack.postgres_server import PostgresServer, Server
from local_stack.processes import becomes_true

pytestmark = pytest.mark.nightly

START = """
import signal, sys
from pathlib import Path
from local_stack.postgres_server import PostgresServer

server = PostgresServer.start(Path(sys.argv[1]), detached=sys.argv[2] == "detached", fsync=False)
print(server.pid, flush=True)
signal.pause()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture
def server(data_dir: Path) -> Iterator[PostgresServer]:
    with PostgresServer.start(data_dir, fsync=False) as server:
        yield server


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for all tests that do not change it."""
    with PostgresServer.start(tmp_path_factory.mktemp("postgres"), fsync=False) as server:
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


def starter_of(data_dir: Path, bond: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START, str(data_dir), bond]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_server_listens_on_loopback_only(shared_server: PostgresServer) -> None:
    listening = [tuple(at.laddr) for at in psutil.net_connections("tcp") if at.status == psutil.CONN_LISTEN]

    assert [at for at in listening if shared_server.port in at] == [("127.0.0.1", shared_server.port)]
    assert scalars(shared_server.url, "SHOW unix_socket_directories") == [""]


def test_the_server_requires_the_password(shared_server: PostgresServer) -> None:
    with pytest.raises(pg8000.dbapi.Error) as refused, session(shared_server, "guessed"):
        pass

    assert refused.value.args[0]["C"] == "28P01"
    assert shared_server.password not in repr(shared_server)


def test_a_kill_keeps_exactly_the_committed_rows(server: PostgresServer) -> None:
    execute(server.url, "CREATE TABLE numbers (n integer)")
    for round_ in range(3):
        with session(server, server.password) as cursor:
            execute(server.url, f"INSERT INTO numbers VALUES ({round_})")
            cursor.execute("INSERT INTO numbers VALUES (-1)")
            server.kill()
        server.start_again()

    assert scalars(server.url, "SELECT n FROM numbers ORDER BY n") == [0, 1, 2]


def test_a_detached_server_keeps_running_after_its_parent_and_is_found(data_dir: Path) -> None:
    with starter_of(data_dir, "detached") as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    found = PostgresServer.find(data_dir)

    assert found is not None
    with found:
        assert found.pid == pid
        assert scalars(found.url, "SELECT 1") == [1]
        found.kill()
        found.start_again()
        assert scalars(found.url, "SHOW fsync") == ["off"]
    assert has_ended(pid)
    assert has_ended(found.pid)


if sys.platform == "linux":  # other platforms have no signal for the death of a parent process

    def test_a_server_stops_with_its_parent_process(data_dir: Path) -> None:
        with starter_of(data_dir, "tied") as starter:
            assert starter.stdout is not None
            pid = int(starter.stdout.readline())
            assert not has_ended(pid)
            starter.kill()

        assert becomes_true(lambda: has_ended(pid), 600)


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
