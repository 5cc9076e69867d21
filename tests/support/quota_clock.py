"""A clock for the bucket of the model's quota, instead of PostgreSQL's own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, event, text

from roadmap_content.content.generation.leases import READ

READ_AT = text(READ.text.replace("clock_timestamp()", "to_timestamp(1e9 + :virtual_time)"))


@contextmanager
def quota_clock(engine: Engine, now: Callable[[], float]) -> Iterator["Iterator[int]"]:
    """Let the bucket fill by this clock. Yields a counter: its next value is the number of exchanges."""
    exchanges = count()

    def read(
        _: Connection, statement: object, several: object, parameters: Mapping[str, Any], __: object
    ) -> tuple[object, object, Mapping[str, Any]]:
        if statement is READ:
            next(exchanges)
            return READ_AT, several, {**parameters, "virtual_time": now()}
        return statement, several, parameters

    event.listen(engine, "before_execute", read, retval=True)
    try:
        yield exchanges
    finally:
        event.remove(engine, "before_execute", read)
