"""pg8000 with one round trip per statement: same results and errors as without."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pg8000 import core
from sqlalchemy import Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from roadmap_content.platform.postgres.engine import SESSION_DEFAULTS, Credentials, open_engine


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    credentials = Credentials.from_url(make_url(database_url))
    engine = open_engine(lambda: credentials, tls=False)
    yield engine
    engine.dispose()


def test_a_session_does_not_have_the_settings_of_the_product_s_database(
    engine: Engine, database_url: str
) -> None:
    """With them, the driver read days as months, and a pattern lost its backslash."""
    name = make_url(database_url).database
    defaults = {
        "datestyle": "SQL, DMY",
        "timezone": "Asia/Kathmandu",
        "default_transaction_isolation": "serializable",
        "standard_conforming_strings": "off",
    }
    assert defaults.keys() == SESSION_DEFAULTS.keys()
    owner = create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with owner.connect() as connection:
        for setting, value in defaults.items():
            connection.exec_driver_sql(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    moment = datetime(2026, 2, 1, tzinfo=UTC)
    with engine.begin() as connection:
        row = connection.exec_driver_sql(
            "SELECT timestamptz '2026-02-01 00:00:00Z', '\\d', current_setting('transaction_isolation')"
        ).one()
    assert row == (moment, r"\d", "read committed")


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry per network write."""
    sent: list[object] = []
    flush = core._flush  # noqa: SLF001 - counts the writes to the socket

    def counted(socket: object) -> None:
        sent.append(socket)
        flush(socket)

    monkeypatch.setattr(core, "_flush", counted)
    return sent


def test_a_statement_takes_one_round_trip(engine: Engine, writes: list[object]) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
        writes.clear()
        assert connection.scalar(text("SELECT CAST(:value AS int) + 1"), {"value": 1}) == 2
        assert len(writes) == 1


def test_a_transaction_adds_two_round_trips(engine: Engine, writes: list[object]) -> None:
    """One for BEGIN, which also detects a lost connection, and one for COMMIT."""
    engine.connect().close()
    writes.clear()
    with engine.begin() as connection:
        connection.execute(text("SELECT CAST(:value AS int)"), {"value": 1})
    assert len(writes) == 3


def test_a_statement_always_gets_the_same_parameter_numbers(engine: Engine) -> None:
    statement = text("SELECT CAST(:a AS text) || '% ''%s''' || CAST(:c AS text), CAST(:n AS int)")
    with engine.begin() as connection:
        for number in range(3):
            row = connection.execute(statement, {"a": "a", "c": str(number), "n": None}).one()
            assert row == (f"a% '%s'{number}", None)


def test_a_text_that_cannot_be_stored_is_bound_with_other_characters(engine: Engine) -> None:
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT CAST(:a AS text)"), {"a": "a\x00\ud83d"}) == "a\ufffd\ufffd"


def test_a_refused_statement_leaves_the_connection_usable(engine: Engine) -> None:
    for statement in ("SELECT 1 / CAST(:value AS int)", "SELECT nothing FROM nowhere WHERE :value = 1"):
        with pytest.raises(DBAPIError), engine.begin() as connection:
            connection.execute(text(statement), {"value": 0})
        with engine.begin() as connection:
            assert connection.scalar(text("SELECT CAST(:value AS int)"), {"value": 7}) == 7


def test_values_larger_than_the_socket_buffers_are_sent_and_received(engine: Engine) -> None:
    long = "漢" * 3_000_000
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT CAST(:value AS text)"), {"value": long}) == long


def test_a_closed_connection_has_no_socket_even_if_something_still_refers_to_it(engine: Engine) -> None:
    with engine.connect() as connection:
        driver = connection.connection.dbapi_connection
        socket, kept = driver._usock, driver._sock  # type: ignore[union-attr] # noqa: SLF001
        connection.invalidate()
    assert (socket.fileno(), kept.closed) == (-1, True)
