"""Run a unit of work in one transaction, with retries while time is left.

pg8000 raises a plain `DatabaseError` for every error of the server, so errors are classified by SQLSTATE. A
lost connection has none. If it is lost at COMMIT, the outcome is unknown; a retry is safe, because every unit
of work of this system is idempotent.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.pool import Pool

from ...contracts.errors import ContentError, DatabaseUnavailableError, PermanentError, TransientError
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..runtime.metrics import Metric, emit
from .driver import wait_at_most
from .findings import record_denial, record_refusal
from .sqlstate import (
    DEPENDENT_OBJECTS,
    INSUFFICIENT_PRIVILEGE,
    TOO_MANY_CONNECTIONS,
    Denial,
    denial,
    explain,
    is_transient,
)

T = TypeVar("T")
P = ParamSpec("P")

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
RESERVE = 3.0
"""Seconds reserved at the end of an invocation, to record and report failures."""

TIME_FOR_ANOTHER = 2 * RESERVE
"""Seconds that must be left when a further item, attempt or page is begun: for its transactions, and for the
reserve after them.
"""

IS_PATIENT = "is_patient"
"""The execution option of an engine: whether `transact` waits for a database that does not accept a
connection, until the deadline. Otherwise it gives up after `IMPATIENT_SECONDS` and the try that is running.
"""

IMPATIENT_SECONDS = 2.0

_unanswered_since: WeakKeyDictionary[Pool, datetime] = WeakKeyDictionary()
"""When the database first did not answer, by the engine's pool, until it answers again."""

_IN_PARTS = "in_parts"
"""The execution option of connections for a second try."""

_SHORTEST_ANSWER = 2.0
"""Minimum seconds that the server has for a response, even close to the deadline."""


class DataRefusedError(PermanentError, code="DataRefused"):
    """PostgreSQL refused a row or a statement; `sqlstate` is the reason."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class InsufficientPrivilegeError(DataRefusedError, code="InsufficientPrivilege"):
    """The role may not read or write a table, or row level security would hide rows of it. Rows that cannot
    be seen are not missing, so nothing is concluded from them. Permanent: it lasts until an administrator
    changes the database, so neither this transaction nor an automatic attempt is tried again.
    """


def is_of_this_task(error: ContentError) -> bool:
    """Whether a start was refused because of its task. A transient error, and one of the schema or of a right
    (SQLSTATE class 42), would refuse every task alike, and ends without a change of the task.
    """
    of_database = isinstance(error, DataRefusedError) and error.sqlstate.startswith("42")
    return not of_database and not isinstance(error, TransientError)


def transact(
    engine: Engine,
    work: Callable[Concatenate[Connection, P], T],
    deadline: Deadline,
    *arguments: P.args,
    **named: P.kwargs,
) -> T:
    """Run `work` with these arguments in one transaction; commit if it returns, roll back if it raises.

    Raises:
        DataRefusedError: the server refused a row or a statement; nothing was written.
        InsufficientPrivilegeError: the role may not do it, or does not see every row.
        DatabaseUnavailableError: transient errors until the deadline came too close.
    """
    wait = _FIRST_WAIT
    began, began_at = time.monotonic(), datetime.now(UTC)
    gives_up_early = not engine.get_execution_options().get(IS_PATIENT, True)
    while True:
        try:
            with engine.begin() as connection:
                gives_up_early = False  # the database accepts connections
                _unanswered_since.pop(engine.pool, None)
                wait_at_most(connection, max(_SHORTEST_ANSWER, deadline.remaining - RESERVE))
                return work(connection, *arguments, **named)
        except (DBAPIError, OSError, NoFreeConnection) as error:
            sqlstate, reason = sqlstate_and_reason(error)
            # `from None`: the driver's error quotes SQL and rows, which must not reach users or logs.
            if sqlstate == INSUFFICIENT_PRIVILEGE:
                _record_denial(engine, error)
                raise InsufficientPrivilegeError(sqlstate, reason) from None
            if not is_transient(sqlstate):
                raise DataRefusedError(sqlstate, reason) from None
            refused = sqlstate == TOO_MANY_CONNECTIONS
            if refused:
                emit({Metric.CONNECTIONS_REFUSED: 1})
            pause = wait * random.uniform(0.5, 1)  # noqa: S311 - jitter, so that concurrent retries are spread
            is_hanging = gives_up_early and time.monotonic() - began > IMPATIENT_SECONDS
            if is_hanging or deadline.remaining - pause < RESERVE:
                if not refused:  # one cause, one alarm
                    emit({Metric.DATABASE_ERRORS: 1})
                since = _unanswered_since.setdefault(engine.pool, began_at)
                raise DatabaseUnavailableError(reason, since) from None
            logger.warning("transaction_tried_again", sqlstate=sqlstate, reason=reason, wait_seconds=pause)
            emit({Metric.TRANSACTIONS_RETRIED: 1})
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)


def transact_in_parts(
    engine: Engine,
    work: Callable[Concatenate[Connection, P], T],
    deadline: Deadline,
    *arguments: P.args,
    **named: P.kwargs,
) -> T:
    """As `transact`. If the server refuses a row or a statement, `work` runs once more, and each part
    `undone_alone` is undone without the others.
    """

    def work_in_parts(connection: Connection, /, *arguments: P.args, **named: P.kwargs) -> T:
        # The product may check rows at the COMMIT: here, they are checked with their part.
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        return work(connection, *arguments, **named)

    try:
        return transact(engine, work, deadline, *arguments, **named)
    except DataRefusedError as refusal:
        logger.warning("transaction_tried_in_parts", sqlstate=refusal.sqlstate, reason=str(refusal))
    engine = engine.execution_options(**{_IN_PARTS: True})
    return transact(engine, work_in_parts, deadline, *arguments, **named)


def is_in_parts(connection: Connection) -> bool:
    """Whether the transaction is the second try of `transact_in_parts`."""
    return bool(connection.get_execution_options().get(_IN_PARTS))


@contextmanager
def savepoint(connection: Connection, name: str) -> Iterator[None]:
    """Statements that are undone alone if the server refuses one. It takes a round trip more; the COMMIT
    releases it.

    Raises:
        DataRefusedError: the server refused a statement. A transient error is raised as it is.
    """
    connection.exec_driver_sql(f"SAVEPOINT {name}")
    try:
        yield
    except DBAPIError as error:
        sqlstate, reason = sqlstate_and_reason(error)
        if is_transient(sqlstate):
            raise
        connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")
        raise DataRefusedError(sqlstate, reason) from None


@contextmanager
def undone_alone(connection: Connection, event: str, *, always: bool = False, **ids: str) -> Iterator[None]:
    """A part of the work of `transact_in_parts`: in its second try, or `always`, only this part is undone if
    the server refuses a statement of it; the `event` is logged and recorded.
    """
    if not (always or is_in_parts(connection)):
        yield
        return
    try:
        with savepoint(connection, event):
            yield
    except DataRefusedError as refusal:
        logger.error(event, extra={**ids, "sqlstate": refusal.sqlstate, "reason": str(refusal)})
        record_refusal(connection, event.removesuffix("_refused"), refusal.sqlstate)


def sqlstate_and_reason(error: DBAPIError | OSError | NoFreeConnection) -> tuple[str, str]:
    """`(SQLSTATE, reason)` of an error. The SQLSTATE is empty if the server did not report one."""
    if isinstance(error, NoFreeConnection):
        return "", "no connection: the only one was in use"
    original, fields = _fields(error)
    if not (sqlstate := fields.get("C")):
        return "", f"no connection: {type(original).__name__}"
    if denied := _denial(error):
        return sqlstate, f"{sqlstate}: {denied.reason}"
    if sqlstate == DEPENDENT_OBJECTS:  # the detail has names of objects only
        return sqlstate, f"{explain(sqlstate)}: {fields.get('D')}"
    return sqlstate, explain(sqlstate, fields.get("n"), fields.get("t"), fields.get("c"))


def _fields(error: DBAPIError | OSError) -> tuple[BaseException | None, Mapping[str, str]]:
    """The driver's error, and the server's fields by their codes in the protocol (C: SQLSTATE, M: message, D:
    detail, W: context, n, t, c: constraint, table, column); no fields if the server did not report it.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    fields = original.args[0] if original is not None and original.args else None
    return original, fields if isinstance(fields, dict) else {}


def _denial(error: DBAPIError | OSError) -> Denial | None:
    _, fields = _fields(error)
    if fields.get("C") != INSUFFICIENT_PRIVILEGE:
        return None
    return denial(fields.get("M", ""), fields.get("W", ""))


def _record_denial(engine: Engine, error: DBAPIError | OSError | NoFreeConnection) -> None:
    """Record a refused right for `roadmap doctor`. The reader cannot; then only the error has it."""
    if isinstance(error, NoFreeConnection) or not (denied := _denial(error)):
        return
    try:
        with engine.begin() as connection:
            record_denial(connection, denied, INSUFFICIENT_PRIVILEGE)
    except (DBAPIError, OSError, NoFreeConnection) as unrecorded:
        logger.warning("denial_not_recorded", reason=sqlstate_and_reason(unrecorded)[1])
