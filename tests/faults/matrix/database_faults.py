"""Faults of the database: lost connections, refused writes, and values that Python cannot read."""

import os
import signal
from collections.abc import Iterator

from sqlalchemy import text

from tests.faults.matrix.database_proxy import Session
from tests.faults.matrix.declaration import Fault, Step
from tests.faults.matrix.means import (
    answering,
    role_with,
    trigger,
    with_failures,
)
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import COMMITS, DATABASE, injects
from tests.faults.matrix.scripts import CutStatement, Gather, Refuse, StrikeCommit


@injects(Fault.UNREACHABLE, *DATABASE, what="every connection is refused until the run is over")
def unreachable(play: Play) -> Iterator[None]:
    """Existing connections are closed as well."""
    with Refuse(play.line.database):
        yield


@injects(Fault.AWAY_AND_BACK, *DATABASE, what="connections are lost and the next two refused, then accepted")
def away_and_back(play: Play) -> Iterator[None]:
    """A failover."""
    with Refuse(play.line.database, times=2):
        yield


@injects(Fault.LOST_IN_STATEMENT, *DATABASE, what="the connection is cut in the first statement, once")
def lost_in_statement(play: Play) -> Iterator[None]:
    """The statement never arrives."""
    with CutStatement(play.line.database):
        yield


@injects(
    Fault.LOST_AT_COMMIT, *DATABASE, what="the connection is cut before the last COMMIT comes through, once"
)
def lost_at_commit(play: Play) -> Iterator[None]:
    """The transaction is rolled back."""
    last = COMMITS[play.cell.step] - 1
    with StrikeCommit(play.line.database, Session.cut, last, after=False, once=True):
        yield


@injects(
    Fault.UNKNOWN_COMMIT,
    *DATABASE,
    what="the last COMMIT is done and the connection cut before it is answered, once",
)
def unknown_commit(play: Play) -> Iterator[None]:
    """The transaction is committed, but the step cannot know it."""
    last = COMMITS[play.cell.step] - 1
    with StrikeCommit(play.line.database, Session.cut, last, after=True, once=True):
        yield


@injects(
    Fault.CONNECTION_LIMIT, *DATABASE, what="ALTER ROLE … CONNECTION LIMIT 0 until the run is over (53300)"
)
def connection_limit(play: Play) -> Iterator[None]:
    """The connection limit of the step's role."""
    with role_with(play, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1"), answering(play, "53300"):
        yield


@injects(Fault.READ_ONLY, *DATABASE, what="default_transaction_read_only until the run is over (25006)")
def read_only(play: Play) -> Iterator[None]:
    """As after a failover to a standby."""
    setting = "default_transaction_read_only"
    with (
        role_with(play, f"SET {setting} = on", f"RESET {setting}"),
        with_failures(play),
        answering(play, "25006"),
    ):
        yield


@injects(
    Fault.DISK_FULL,
    *DATABASE,
    what="a trigger raises 53100 on the table that it writes, until the run is over",
)
def disk_full(play: Play) -> Iterator[None]:
    """By a trigger, because a really full disk would affect all cells."""
    with (
        trigger(play, "RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';"),
        answering(play, "53100"),
    ):
        yield


@injects(
    Fault.STATEMENT_TIMEOUT,
    *DATABASE,
    what="a trigger sleeps longer than a statement may take, until the run is over (57014)",
)
def statement_timeout(play: Play) -> Iterator[None]:
    """The server's statement timeout."""
    with trigger(play, "PERFORM pg_sleep(30);"), answering(play, "57014"):
        yield


@injects(
    Fault.FOREIGN_SQLSTATE,
    *DATABASE,
    what="a trigger raises U0001 on the table that it writes, until the run is over",
)
def foreign_sqlstate(play: Play) -> Iterator[None]:
    """A rule of the product, with an SQLSTATE that PostgreSQL does not define."""
    with trigger(play, "RAISE EXCEPTION 'no' USING ERRCODE = 'U0001';"), answering(play, "U0001"):
        yield


@injects(
    Fault.STALLED,
    *DATABASE,
    what="SIGSTOP to the session's server process in the first statement, until the run is over",
)
def stalled(play: Play) -> Iterator[None]:
    """The server neither refuses nor answers. Another session would get answers."""
    pids: list[int] = []

    def stop() -> None:
        if not pids:
            with play.rig.administering() as connection:
                role = {"role": play.line.role}
                pids.extend(
                    connection.scalars(text("SELECT pid FROM pg_stat_activity WHERE usename = :role"), role)
                )
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

    try:
        with Gather(play.line.database, on_all=stop):
            yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@injects(
    Fault.UNDECODABLE,
    *(step for step in DATABASE if step is not Step.SAVE),
    what="numbers of 5,000 digits in the task's JSON columns, and infinite dates",
)
def undecodable(play: Play) -> Iterator[None]:
    """The product wrote these values, and PostgreSQL stores them."""
    digits = "9" * 5_000
    play.execute(
        "UPDATE roadmap_tasks SET failed_concepts = CAST(:digits AS json),"
        " user_request = CAST(:digits AS json), execution_summary = CAST(:digits AS json),"
        " created_at = '-infinity' WHERE task_id = :id",
        digits=digits,
        id=play.task_id,
    )
    yield
