"""The parts of the database work's duration: measured per step, and from the query plan within a
statement.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import text

from roadmap_content.content.kind import Row, save_parameters
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.items import ContentType
from roadmap_content.roadmaps.metadata import lock_roadmap

from .contestants import psycopg3
from .database import Database
from .measuring import Watch, estimate, seconds_of
from .result import Breakdown
from .stock import ROADMAP, Stock


def saving_parts(database: Database, stock: Stock, rounds: int) -> Breakdown:
    """The parts for each content type, and COPY's time for the rows of all three."""
    measured: dict[ContentType, list[dict[str, float]]] = {}
    copied = []
    rows = dict(stock.rows())
    with psycopg3.connect(database.url) as connection:
        copy = psycopg3.copy(stock, connection)
        for _ in range(rounds):
            for content_type in ContentType:
                parts = _parts(database, content_type, rows[content_type])
                measured.setdefault(content_type, []).append(parts)
            database.forget()
            copied.append(seconds_of(copy))
    bars = {
        str(content_type): {
            part: max(0.0, estimate([parts[part] for parts in runs]).median) for part in runs[0]
        }
        for content_type, runs in measured.items()
    }
    return Breakdown(
        name="parts",
        title=f"Where the time goes: {stock.size:,} concepts, a batch per content type",
        unit="s",
        bars=bars | {"COPY, all three": {"COPY and commit": estimate(copied).median}},
    )


def _parts(database: Database, content_type: ContentType, rows: list[Row]) -> dict[str, float]:
    statement = text(CONTENT_KINDS[content_type].save_sql)
    lock, parameters, execute, commit = Watch(), Watch(), Watch(), Watch()

    database.forget()
    with database.engine.connect() as connection:
        with lock.running():
            lock_roadmap(connection, ROADMAP)
        with parameters.running():
            given = save_parameters(ROADMAP, rows)
        with execute.running():
            connection.execute(statement, given).all()
        with commit.running():
            connection.commit()

    database.forget()
    with database.engine.begin() as connection:
        lock_roadmap(connection, ROADMAP)
        explain = text(f"EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) {statement.text}")
        (plan,) = connection.execute(explain, given).scalar_one()
    inside = _inside(plan)
    return {
        "begin and lock": lock.seconds,
        "parameters": parameters.seconds,
        **inside,
        "driver and network": execute.seconds - sum(inside.values()),
        "commit": commit.seconds,
    }


def _inside(plan: dict[str, Any]) -> dict[str, float]:
    """The parts of a statement's time on the server, in seconds.

    A node's time includes that of its children, and the first reader of a CTE includes the CTE's time.
    """
    nodes = list(_nodes(plan["Plan"]))
    checked = next(node for node in nodes if node.get("Subplan Name") == "CTE checked")
    insert = next(
        node for node in nodes if node["Node Type"] == "ModifyTable" and node["Operation"] == "Insert"
    )
    checking, source = checked["Actual Total Time"], insert["Plans"][0]["Actual Total Time"]
    return {
        "planning": plan["Planning Time"] / 1000,
        "checking": checking / 1000,
        "reading documents": max(0.0, source - checking) / 1000,
        "compressing, inserting, indexing": (insert["Actual Total Time"] - source) / 1000,
        "foreign key": sum(trigger["Time"] for trigger in plan["Triggers"]) / 1000,
    }


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _nodes(inner)
