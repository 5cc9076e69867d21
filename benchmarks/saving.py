"""`python -m benchmarks.saving`: the cost of saving, compared with the replaced design and with COPY.

Every contestant saves all three artefacts of every concept, including commits, on a warm connection to the
same PostgreSQL with fsync, with the rows of another roadmap in the tables. Contestants alternate; before each
run, outside the measured time, the written rows are deleted, and the tables vacuumed and checkpointed.

*Through the handler*: from events to responses; staged objects are read from memory. *Database part*: from
checked rows with encoded documents to the commit: the lock, one statement for each content type, the
failures, the commit; with all concepts in one batch, and in the batches that Plan makes. *The design
replaced*: SQLAlchemy's async ORM on asyncpg, three concepts for each transaction, from content that is not
encoded yet. *COPY*: the same rows through psycopg 3 in one transaction, without checks and locks.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

from sqlalchemy import event

from documents.cost import transitions_of
from roadmap_content.content.manifest import STAGED_FACTOR, planned_batch_size
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.state.services import Services

from .contestants import copying, ours
from .contestants.replaced import Replaced
from .curriculum import Author
from .database import Database, own_database
from .measuring import in_turn, median_ratio, seconds_of
from .report import Limit, Values, arguments_of, show_limits, show_machine, show_table, show_values
from .stock import BATCH_SIZE, Stock

SIZES = (3, 30, 100, 1_000, 10_000)
ROUNDS = 7
NEIGHBOURS = 3_000

HANDLER = "through the handler"
DATABASE = "database part"
PLANNED = "database part, in the planner's batches"
REPLACED = "the design replaced"
FLOOR = "COPY, the floor"


def main() -> None:
    """Measure and print."""
    arguments = arguments_of(__doc__ or "", sizes=SIZES, short=(30, 1_000), rounds=ROUNDS)
    _silence_the_log()
    with own_database() as database:
        author = Author()
        database.populate(author, NEIGHBOURS)
        time = _sizes(database, author, arguments.sizes, arguments.rounds)
        written = {f"{size:,} concepts": _written(database, Stock(size, author)) for size in arguments.sizes}
    show_values("Saving all three artefacts, commits included", "concepts", time, DATABASE)
    show_table("One save", ["statements", "rows", "index entries", "WAL"], written)
    show_machine("SQLAlchemy", "pg8000", "psycopg", "asyncpg")
    show_limits(list(_limits(time)), room=NOISE if arguments.short else None)


def _sizes(database: Database, author: Author, sizes: Sequence[int], rounds: int) -> Values:
    values: Values = {}
    services = _services(database)
    replaced = Replaced(database.url)
    with copying.connect(database.url) as connection:
        for size in sorted(sizes):
            stock = Stock(size, author)
            works: dict[str, Callable[[], object]] = {
                DATABASE: ours.database_part(stock, services, size),
                REPLACED: replaced.prepare(stock),
                FLOOR: copying.copy(stock, connection),
                HANDLER: ours.through_the_handler(stock, services, size),
            }
            if planned_batch_size(0, size, BATCH_SIZE) * STAGED_FACTOR < size:
                works[PLANNED] = ours.database_part(stock, services, BATCH_SIZE)
            # One minute per round; the smaller sizes have warmed everything up.
            warm_up = 0 if size >= 10_000 else 1
            _note(f"saving {size:,} concepts")
            for name, seconds in _measure(database, works, rounds, warm_up, expected=3 * size).items():
                values.setdefault(name, {})[size] = seconds
    replaced.close()
    return values


def _measure(
    database: Database,
    works: Mapping[str, Callable[[], object]],
    rounds: int,
    warm_up: int,
    expected: int,
) -> dict[str, list[float]]:
    def trial(work: Callable[[], object]) -> float:
        database.forget()
        gc.collect()
        seconds = seconds_of(work)
        assert database.count() == expected  # noqa: S101 - otherwise nothing was saved
        return seconds

    return in_turn(
        {name: lambda work=work: trial(work) for name, work in works.items()},  # type: ignore[misc]
        rounds,
        warm_up=warm_up,
    )


LIMITS = (
    (DATABASE, 30, FLOOR, 2.2),
    (DATABASE, 1_000, FLOOR, 1.8),
    (PLANNED, 1_000, FLOOR, 2.4),
    (HANDLER, 1_000, FLOOR, 4.0),
    (REPLACED, 30, DATABASE, 6.0),
    (REPLACED, 1_000, DATABASE, 12.0),
)
"""Contestant, concepts, the contestant that it is compared with, and the limit of the ratio: for the replaced
design a lower one.
"""

NOISE = 0.25
"""The share by which the short form may miss a limit: a margin for noise that was chosen, not measured."""


def _limits(time: Values) -> Iterator[Limit]:
    for name, size, base, limit in LIMITS:
        if size in time[name]:
            ratio = median_ratio(time[name][size], time[base][size])
            label = f"{name} against {base}, {size:,} concepts"
            yield Limit(label, ratio, limit, at_least=name == REPLACED)
    batches = ceil(1_000 / (planned_batch_size(0, 1_000, BATCH_SIZE) * STAGED_FACTOR))
    yield Limit("transitions of a run that saves 1,000 staged concepts", transitions_of(batches), 40, unit="")


def _written(database: Database, stock: Stock) -> list[str]:
    """The statements of a save, the rows and index entries that it writes, and its WAL."""
    work = ours.database_part(stock, _services(database), stock.size)
    statements: list[str] = []
    database.forget()
    event.listen(database.engine, "before_cursor_execute", lambda *sent: statements.append(sent[2]))
    before = database.written()
    work()
    rows, entries, wal = (now - then for now, then in zip(database.written(), before, strict=True))
    return [f"{number:,}" for number in (len(statements), rows, entries)] + [f"{wal / 1024:,.0f} kB"]


def _services(database: Database) -> Services:
    services = Services(Settings({}))
    services.engine = database.engine
    return services


def _silence_the_log() -> None:
    """Write log lines as in Lambda, but discard them."""
    nowhere = open(os.devnull, "w")  # noqa: PTH123, SIM115 - as long as the process
    for handler in logging.getLogger(logger.service).handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(nowhere)


def _note(text: str) -> None:
    sys.stderr.write(f"{text} …\n")


if __name__ == "__main__":
    main()
