"""Erase a user, and look for remains: every row and key as text, without the rules of the product."""

import re

from sqlalchemy import Engine, text

from roadmap_content.capabilities.erasure.erase import Erasure, erase_user
from roadmap_content.content.product import PRODUCT
from roadmap_content.contracts.erasure import ErasureAnswer, Removed
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.state.services import Services

QUIET = "UPDATE content_attempts SET ended_at = ended_at - interval '16 minutes' WHERE ended_at IS NOT NULL"
"""The last step of each attempt is over."""


def erased(services: Services, user_id: str, *, product_rows: bool = False) -> ErasureAnswer:
    """Repeat the request until it is complete or must wait; return the last answer, with the total."""
    request, total = Erasure(user_id, "operator:op", product_rows), Removed()
    while True:
        answer = erase_user(services, request, Deadline.after(60))
        total += answer.removed
        if answer.complete or answer.waits_until is not None:
            return answer.model_copy(update={"removed": total})
        request = request._replace(after=answer.after)


def erased_at_last(engine: Engine, services: Services, user_id: str, *, product_rows: bool) -> ErasureAnswer:
    """As `erased`, and again when the last step is over."""
    answer = erased(services, user_id, product_rows=product_rows)
    if answer.complete:
        return answer
    with engine.begin() as connection:
        connection.execute(text(QUIET))
    return erased(services, user_id, product_rows=product_rows)


_EVERY_ROW = text("""
SELECT string_agg(format('SELECT %L, CAST(row_to_json(t) AS text) FROM %s t', relname, CAST(oid AS regclass)),
    ' UNION ALL ') || ' ORDER BY 1, 2'
FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)
""")


def rows_with(engine: Engine, *names: str) -> dict[str, list[str]]:
    """The rows that contain one of these texts as a word, by table; without a text, all rows."""
    pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names))
    found: dict[str, list[str]] = {}
    with engine.connect() as connection:
        for table, row in connection.exec_driver_sql(connection.scalar(_EVERY_ROW) or ""):
            if pattern.search(row):
                found.setdefault(table, []).append(row)
    return found


def left_of(engine: Engine, services: Services, *names: str, product_rows: bool) -> dict[str, list[str]]:
    """The rows and keys of ours that name a user, a roadmap or a task after the erasure."""
    every = rows_with(engine, *names).items()
    found = {table: rows for table, rows in every if product_rows or table not in PRODUCT}
    with engine.connect() as connection:
        kept = (
            []
            if product_rows
            else list(connection.scalars(text("SELECT content_url FROM tutorial_metadata")))
        )
    keys = [entry.key for entry in services.bucket.entries("") if entry.key not in kept]
    named = [key for key in keys if any(name in re.split("/|:", key) for name in names)]
    return found | ({"objects": named} if named else {})
