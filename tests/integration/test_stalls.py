"""A database that stops responding: each wait ends with a named error, and locks end with their work."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Connection, event, make_url, text

from local_stack.processes import becomes_true
from roadmap_content.content.generation.item_locks import ItemLocks
from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.postgres.transactions import RESERVE, transact
from roadmap_content.platform.runtime.deadline import Deadline
from tests.support.factories import TYPES, bundle_of
from tests.support.pipeline import Pipeline, services_for

pytestmark = pytest.mark.slow

# A given server has the databases of other workers, too.
LOCKS = text("""
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def backend_of(pipeline: Pipeline) -> int:
    pid: int = pipeline.rows("SELECT pg_backend_pid() AS pid")[0]["pid"]
    return pid


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a backend of PostgreSQL for the duration of the block."""
    try:
        os.kill(pid, signal.SIGSTOP)
    except (PermissionError, ProcessLookupError):
        pytest.skip("the database server is another user's, or on another machine")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_sixteen_threads_of_one_connection_end_with_a_named_error(pipeline: Pipeline) -> None:
    """Fifteen wait for the connection of the sixteenth, which never gets a response."""
    both = threading.Barrier(2)

    def first(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        both.wait(600)
        both.wait(600)
        connection.execute(text("SELECT 2"))

    def other(connection: Connection) -> None:
        connection.execute(text("SELECT 3"))

    pid = backend_of(pipeline)
    with ThreadPoolExecutor(16) as pool:
        works = [pool.submit(transact, pipeline.engine, first, Deadline.after(RESERVE + 7))]
        both.wait(600)
        works += [
            pool.submit(transact, pipeline.engine, other, Deadline.after(RESERVE + 7)) for _ in range(15)
        ]
        with stopped(pid):
            both.wait(600)
            errors = [work.exception() for work in works]
    named = [error for error in errors if error is not None]
    assert named
    assert {type(error) for error in named} <= {DatabaseUnavailableError}


def test_a_stalled_statement_delays_save_but_loses_no_item(pipeline: Pipeline, database_url: str) -> None:
    """The socket waits a little longer than the statement timeout; then Save connects again."""
    pipeline.load(bundle_of(["a"]))
    requests = pipeline.requests(pipeline.plan())
    credentials = Credentials.from_url(make_url(database_url))
    services = services_for(database_url)
    services.engine = open_engine(lambda: credentials, tls=False, statement_timeout=1)
    impatient = Pipeline(services)
    pid = backend_of(impatient)
    stops: list[int] = []
    with ExitStack() as resources:

        @event.listens_for(services.engine, "before_cursor_execute", once=True)
        def stop(*_: object) -> None:
            resources.enter_context(stopped(pid))
            stops.append(pid)

        reports = [impatient.save(request) for request in requests]
    services.engine.dispose()
    assert stops == [pid]
    assert [(report.saved, report.failed) for report in reports] == [(TYPES, 0)]


def test_a_lock_that_could_not_be_released_ends_with_its_work(pipeline: Pipeline, database_url: str) -> None:
    """Its session would stay open in a warm environment, and no other invocation would get the item."""
    other = services_for(database_url)
    locks = ItemLocks(pipeline.engine, "r-1", Deadline.after(600))
    with locks.held(Item("a", ContentType.QUIZ)):
        # The only connection, whose session has the lock, is stopped: no release arrives.
        busy = pipeline.engine.connect()
    busy.close()
    with other.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watcher:
        assert watcher.scalar(LOCKS) == 1
        locks.close()
        assert becomes_true(lambda: watcher.scalar(LOCKS) == 0, 60)
    other.engine.dispose()
