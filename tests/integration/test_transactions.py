"""Transactions on a failing database: transient errors are retried, permanent errors are raised at once."""

from collections.abc import Iterator
from datetime import time
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text

from local_stack.postgres_server import Server
from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.postgres.transactions import (
    RESERVE,
    DataRefusedError,
    InsufficientPrivilegeError,
    savepoint,
    transact,
)
from roadmap_content.platform.runtime.deadline import Deadline
from tests.support.databases import copied_database


@pytest.fixture(scope="module")
def database_url(database_server: Server) -> Iterator[str]:
    with copied_database(database_server.url) as (_, url):
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(text("CREATE TABLE box (id int PRIMARY KEY, value text)"))
        yield url


def engine_of(database_url: str) -> Engine:
    credentials = Credentials.from_url(make_url(database_url))
    return open_engine(lambda: credentials, tls=False)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_of(database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM box"))
        connection.execute(text("INSERT INTO box VALUES (1, 'a'), (2, 'b')"))
    yield engine
    engine.dispose()


@pytest.fixture
def other(database_url: str) -> Iterator[Engine]:
    """A second client of the same database."""
    engine = engine_of(database_url)
    yield engine
    engine.dispose()


def values(connection: Connection) -> list[str]:
    return list(connection.scalars(text("SELECT value FROM box ORDER BY id")))


def backend(connection: Connection) -> int:
    return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)


def test_the_session_has_timeouts_and_jit_is_off(engine: Engine) -> None:
    with engine.connect() as connection:
        settings = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "client_connection_check_interval",
                "tcp_keepalives_idle",
                "jit",
            )
        }
    assert settings == {
        "statement_timeout": "30s",
        "lock_timeout": "3s",
        "idle_in_transaction_session_timeout": "30s",
        "client_connection_check_interval": "1s",
        "tcp_keepalives_idle": "30",
        "jit": "off",
    }


def test_the_transaction_is_retried_after_its_backend_was_killed(engine: Engine, other: Engine) -> None:
    tries = []

    def work(connection: Connection) -> list[str]:
        tries.append(backend(connection))
        connection.execute(text("UPDATE box SET value = value || '!'"))
        if len(tries) == 1:
            with other.connect() as killer:
                killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": tries[0]})
        return values(connection)

    assert transact(engine, work, Deadline.after(600)) == ["a!", "b!"]
    assert len(set(tries)) == 2


def test_a_dead_idle_connection_is_replaced_without_an_error(engine: Engine, other: Engine) -> None:
    pid = transact(engine, backend, Deadline.after(600))
    with other.connect() as killer:
        killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    assert transact(engine, values, Deadline.after(RESERVE)) == ["a", "b"]


@pytest.mark.parametrize(
    "sqlstate", ["40001", "40P01", "53300", "53100", "55P03", "57014", "57P01", "25006", "25P04", "58030"]
)
def test_environment_errors_are_transient(
    engine: Engine, sqlstate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near its end, a step does not wait: it has to record its failures."""
    monkeypatch.setattr("time.sleep", None)

    def work(connection: Connection) -> None:
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END $$"))

    with pytest.raises(DatabaseUnavailableError, match=sqlstate):
        transact(engine, work, Deadline.after(RESERVE))
    assert transact(engine, values, Deadline.after(600)) == ["a", "b"]


def test_a_transient_error_in_a_savepoint_is_no_refusal(engine: Engine) -> None:
    """Such as the lock timeout of a restore, which would be answered with 409."""

    def work(connection: Connection) -> None:
        with savepoint(connection, "part"):
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '55P03'; END $$"))

    with pytest.raises(DatabaseUnavailableError, match="55P03"):
        transact(engine, work, Deadline.after(RESERVE))


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("INSERT INTO box VALUES (1, 'again')", "23505"),
        ("INSERT INTO box VALUES (NULL, 'x')", "23502"),
        ("INSERT INTO box VALUES (99999999999, 'x')", "22003"),
        ("SELECT CAST('[' AS json)", "22P02"),
        ("DO $$ BEGIN RAISE EXCEPTION 'a trigger says no'; END $$", "P0001"),
    ],
)
def test_data_errors_are_not_retried(engine: Engine, statement: str, sqlstate: str) -> None:
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.execute(text("UPDATE box SET value = 'lost'"))
        connection.execute(text(statement))

    with pytest.raises(DataRefusedError) as caught:
        transact(engine, work, Deadline.after(600))
    assert (caught.value.sqlstate, len(tries)) == (sqlstate, 1)
    assert transact(engine, values, Deadline.after(600)) == ["a", "b"]


class Unprintable:
    """A value that cannot be bound."""

    def __str__(self) -> str:
        raise TypeError("cannot be bound")


def test_a_denial_that_cannot_be_recorded_is_raised_as_it_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a connection that was lost meanwhile replaced it."""

    def lost(*_: object) -> None:
        raise ConnectionResetError

    monkeypatch.setattr("roadmap_content.platform.postgres.transactions.record_denial", lost)
    denied = (
        "DO $$ BEGIN RAISE insufficient_privilege USING MESSAGE = 'permission denied for table audit'; END $$"
    )
    with pytest.raises(InsufficientPrivilegeError, match="permission denied for table audit"):
        transact(engine, lambda connection: connection.exec_driver_sql(denied), Deadline.after(60))


@pytest.mark.parametrize(
    ("kind", "poison", "answers"),
    [
        ("text", Unprintable(), {"a": "a", "b": "b"}),
        ("time", "24:00", {"1:00": time(1), "2:00": time(2)}),  # Python's `time` cannot represent it
    ],
    ids=["an unprintable value", "an answer that cannot be decoded"],
)
def test_an_error_of_the_driver_does_not_affect_the_next_transaction(
    engine: Engine, kind: str, poison: object, answers: dict[str, object]
) -> None:
    def ask(connection: Connection, value: object) -> object:
        return connection.scalar(text(f"SELECT CAST(:value AS {kind})"), {"value": value})

    with pytest.raises((ValueError, TypeError)):
        transact(engine, partial(ask, value=poison), Deadline.after(600))
    found = {value: transact(engine, partial(ask, value=value), Deadline.after(600)) for value in answers}
    assert found == answers


def test_an_unreachable_server_is_unavailable() -> None:
    nowhere = Credentials("127.0.0.1", 1, "d", "u", "p")
    with pytest.raises(DatabaseUnavailableError):
        transact(open_engine(lambda: nowhere, tls=False), values, Deadline.after(RESERVE))


def test_a_rotated_password_is_read_again(database_url: str) -> None:
    right = Credentials.from_url(make_url(database_url))
    wrong = Credentials(right.host, right.port, right.database, right.user, "yesterday's")
    given = iter([wrong, right])
    engine = open_engine(lambda: next(given), tls=False)
    assert transact(engine, lambda connection: connection.scalar(text("SELECT 1")), Deadline.after(600)) == 1
    engine.dispose()


def test_credentials_do_not_show_the_password() -> None:
    shown = repr(Credentials("h", 5432, "d", "u", "secret"))
    assert shown == "Credentials(u@h:5432/d)"
