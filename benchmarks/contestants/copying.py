"""COPY through psycopg 3, a driver in C: the lower bound."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from sqlalchemy import make_url

from roadmap_content.content.kind import DOCUMENT, Row
from roadmap_content.contracts.items import ContentType

from ..stock import ROADMAP, Stock

# The table, its document column, and its other columns.
_COLUMNS = {
    ContentType.TUTORIAL: (
        "tutorial_metadata",
        None,
        "tutorial_id concept_id title summary content_url content_version estimated_completion_time",
    ),
    ContentType.RESOURCES: (
        "resource_recommendation_metadata",
        "resources",
        "id concept_id resources_count search_queries_used",
    ),
    ContentType.QUIZ: (
        "quiz_metadata",
        "questions",
        "quiz_id concept_id total_questions easy_count medium_count hard_count",
    ),
}


def connect(database_url: str) -> psycopg.Connection:
    """Connect to a SQLAlchemy URL."""
    url = make_url(database_url)
    return psycopg.connect(
        host=url.host, port=url.port, dbname=url.database, user=url.username, password=url.password
    )


def copy(stock: Stock, connection: psycopg.Connection) -> Callable[[], None]:
    """COPY the same encoded rows into all three tables in one transaction, without checks and locks."""
    now = datetime.now(UTC).replace(tzinfo=None)
    batches = []
    for kind, rows in stock.rows():
        table, document, columns = _COLUMNS[kind]
        names = columns.split()
        sources = [*names, DOCUMENT] if document else names
        targets = [*names, document] if document else names
        statement = f"COPY {table} ({', '.join(targets)}, roadmap_id, generated_at) FROM STDIN"
        batches.append((statement, [(*_encoded(row, sources), ROADMAP, now) for row in rows]))

    def save() -> None:
        with connection.transaction(), connection.cursor() as cursor:
            for statement, records in batches:
                with cursor.copy(statement) as target:
                    for record in records:
                        target.write_row(record)

    return save


def _encoded(row: Row, names: list[str]) -> list[object]:
    return [json.dumps(row[name]) if isinstance(row[name], list) else row[name] for name in names]
