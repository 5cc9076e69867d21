"""One process at a time makes an item, whoever else was asked to.

A second invocation comes beside the first where a run is stopped whose functions go on, and where Step
Functions has lost an answer and asks again. Both find the same items unstaged, and both would pay for them.

The lock is PostgreSQL's, of the session and not of a transaction: it ends with the process that holds it,
however that ends, and no clock has to be right. It is lost with its connection, too: then two may make the
item after all.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from ..errors import ContentError, TransientError
from ..items import Item
from ..postgres.transactions import RESERVE, transact
from ..runtime.deadline import Deadline
from ..runtime.log import logger

TRY_AGAIN = 1.0
"""Seconds until a lock that another session holds is tried again. Waiting in the server would occupy the one
connection that all threads share."""

# Promises: of all sessions, one holds the lock of an item.
TRY = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")

RELEASE = text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")


class ItemLockedError(TransientError):
    """Another invocation is making the item, and was not done in time."""

    code = "ItemLocked"


class ItemLocks:
    """The locks of a roadmap's items; several threads may ask for different ones."""

    def __init__(self, engine: Engine, roadmap_id: str, deadline: Deadline) -> None:
        self._engine = engine
        self._roadmap_id = roadmap_id
        self._deadline = deadline

    @contextmanager
    def held(self, item: Item) -> Iterator[None]:
        """Make this process the only one that makes the item, as long as the block lasts.

        Raises:
            ItemLockedError: another one was, for as long as there was time.
            DatabaseUnavailableError: nobody can tell.
        """
        parameters = {"name": json.dumps([self._roadmap_id, *item])}

        def try_once(connection: Connection) -> bool:
            return bool(connection.scalar(TRY, parameters))

        while not transact(self._engine, try_once, self._deadline):
            if self._deadline.remaining - TRY_AGAIN < 2 * RESERVE:
                raise ItemLockedError("another invocation was making the item for as long as there was time")
            time.sleep(TRY_AGAIN)
        try:
            yield
        finally:
            self._release(item, parameters)

    def _release(self, item: Item, parameters: dict[str, str]) -> None:
        """Tried once: where the connection is lost, so is the lock."""
        try:
            transact(
                self._engine, lambda connection: connection.execute(RELEASE, parameters), Deadline.after(0)
            )
        except ContentError as error:
            logger.warning("item_lock_not_released", item=item, error_code=error.code, reason=str(error))
