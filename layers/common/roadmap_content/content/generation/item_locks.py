"""Locks that prevent two invocations from generating the same item.

Two invocations may handle the same batch: functions continue after their execution was stopped, and Step
Functions invokes a function again when its response was lost. Without a lock, both would find the same items
unstaged and pay for them twice.

The lock is a session-level advisory lock of PostgreSQL. It is released when its process ends for any reason,
and does not depend on clocks. It is also released when its connection is lost; in this rare case two
invocations may generate the same item.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from ...contracts.errors import ContentError, TransientError
from ...contracts.items import Item
from ...platform.postgres.transactions import RESERVE, TIME_FOR_ANOTHER, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger

RETRY_SECONDS = 1.0
"""Seconds between two tries to get a lock. Waiting in PostgreSQL would block all threads' connection."""

# Guarantees: at most one session holds the lock of an item.
TRY = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")

RELEASE = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")


class ItemLockedError(TransientError, code="ItemLocked"):
    """Another invocation was still generating the item when the time was up."""


class ItemLocks:
    """The locks of a roadmap's items. Safe for use by several threads, with one item per thread."""

    def __init__(self, engine: Engine, roadmap_id: str, deadline: Deadline) -> None:
        self._engine = engine
        self._roadmap_id = roadmap_id
        self._deadline = deadline
        self._may_hold_one = False

    @contextmanager
    def held(self, item: Item) -> Iterator[None]:
        """Hold the lock of an item for the duration of the `with` block.

        Raises:
            ItemLockedError: another invocation held the lock until the time was up.
            DatabaseUnavailableError: the lock could not be requested.
        """
        parameters = {"name": json.dumps([self._roadmap_id, *item])}

        while not transact(
            self._engine, lambda connection: connection.scalar(TRY, parameters), self._deadline
        ):
            if self._deadline.remaining - RETRY_SECONDS < TIME_FOR_ANOTHER:
                raise ItemLockedError("another invocation was still generating the item when the time was up")
            time.sleep(RETRY_SECONDS)
        try:
            yield
        finally:
            self._release(item, parameters)

    def _release(self, item: Item, parameters: dict[str, str]) -> None:
        """Release the lock. Tried for a second: if the connection is lost, PostgreSQL releases the lock."""
        try:
            transact(
                self._engine,
                lambda connection: connection.execute(RELEASE, parameters),
                Deadline.after(RESERVE + 1),
            )
        except ContentError as error:
            logger.warning("item_lock_not_released", item=item, **error.why)
            self._may_hold_one = True

    def close(self) -> None:
        """End the session if it may hold a lock: otherwise the execution environment would keep the lock."""
        if self._may_hold_one:
            self._engine.dispose()
            self._may_hold_one = False
