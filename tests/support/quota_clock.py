"""A clock for the bucket of the model's quota, instead of PostgreSQL's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from sqlalchemy import Connection, Engine, event, text

from roadmap_content.content.generation.quota import EXCHANGE

SHIFT = text("""
WITH leases AS (UPDATE content_model_leases SET seen_at = seen_at - make_interval(secs => :ago))
UPDATE content_model_tokens SET refilled_at = timezone('utc', now()) - make_interval(secs => :ago)
""")


@contextmanager
def quota_clock(engine: Engine, now: Callable[[], float]) -> Iterator["Iterator[int]"]:
    """Let the buckets fill by this clock. Yields a counter: its next value is the number of exchanges.

    The engine must have one connection, so that one exchange follows another. `now()` of PostgreSQL is the
    start of the transaction, so the time of the statements does not count.
    """
    exchanges = count()
    last = now()

    def shift(connection: Connection, statement: object, *_: object) -> None:
        nonlocal last
        if statement is EXCHANGE:
            next(exchanges)
            at = now()
            connection.execute(SHIFT, {"ago": at - last})
            last = at

    event.listen(engine, "before_execute", shift)
    try:
        yield exchanges
    finally:
        event.remove(engine, "before_execute", shift)
