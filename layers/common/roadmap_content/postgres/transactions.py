"""One unit of work in the database, tried again while that can help and there is time.

pg8000 raises a plain `DatabaseError` for everything that the server refuses, so errors are told apart by
SQLSTATE. A lost connection has none; at COMMIT its outcome is unknown, and trying again is right because
every unit of work of this system is idempotent.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ..errors import DatabaseUnavailableError, PermanentError
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..runtime.metrics import Metric, emit
from .sqlstate import is_about_data, is_transient

T = TypeVar("T")

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 5.0
RESERVE = 3.0
"""Seconds kept free at the end of an invocation, to record and report what could not be done."""


class DataRefusedError(PermanentError):
    """PostgreSQL refused rows for what they are; `sqlstate` says why."""

    code = "DataRefused"

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


def transact(engine: Engine, work: Callable[[Connection], T], deadline: Deadline) -> T:
    """Run `work` in one transaction; commit if it returns, roll back if it raises.

    Raises:
        DataRefusedError: the server refused the data; nothing was written.
        DatabaseUnavailableError: transient errors until the deadline came too close.
    """
    wait = _FIRST_WAIT
    while True:
        try:
            with engine.begin() as connection:
                return work(connection)
        except (DBAPIError, OSError) as error:
            sqlstate, message = diagnose(error)
            if is_about_data(sqlstate):
                raise DataRefusedError(sqlstate, message) from error
            if not is_transient(sqlstate):
                raise
            pause = wait * random.uniform(0.5, 1)  # noqa: S311 - jitter, so that rivals part
            if deadline.remaining - pause < RESERVE:
                emit({Metric.DATABASE_ERRORS: 1})
                raise DatabaseUnavailableError(f"{sqlstate or 'no connection'}: {message}") from error
            logger.warning("transaction_tried_again", sqlstate=sqlstate, reason=message, wait_seconds=pause)
            emit({Metric.TRANSACTIONS_RETRIED: 1})
            time.sleep(pause)
            wait = min(2 * wait, _LONGEST_WAIT)


def diagnose(error: DBAPIError | OSError) -> tuple[str, str]:
    """`(SQLSTATE, message)` of an error; the SQLSTATE is empty where the server did not get to say one."""
    original = error.orig if isinstance(error, DBAPIError) else error
    fields = original.args[0] if original is not None and original.args else ""
    if isinstance(fields, dict):
        return fields.get("C", ""), fields.get("M", "")
    return "", str(original)
