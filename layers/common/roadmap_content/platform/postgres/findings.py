"""The table `content_findings`: refusals by the product's tables. The triggers write into it, too."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from .sqlstate import Denial

# Records that a table of the product has refused a write.
RECORD = text(
    "INSERT INTO content_findings (kind, object, sqlstate) VALUES ('write_refused', :object, :sqlstate)"
)

# Records a refused right; the message names the product's triggers that call the function, if any (`concat`
# leaves out NULL).
RECORD_DENIAL = text("""
INSERT INTO content_findings (kind, object, sqlstate, message)
SELECT 'privilege_missing', :object, :sqlstate, concat(CAST(:message AS text), ' (trigger ' || (
    SELECT string_agg(DISTINCT format('%s of %s', g.tgname, CAST(g.tgrelid AS regclass)), ', ')
    FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE p.proname = :function) || ')')
""")

# Finds the newest finding of each kind and object.
READ = text("""
SELECT DISTINCT ON (kind, object) kind, object, sqlstate, message, found_at FROM content_findings
ORDER BY kind, object, found_at DESC
""")

# Deletes what is older than a day, and all but the newest finding of each kind and object.
CONDENSE = text("""
DELETE FROM content_findings WHERE ctid IN (
    SELECT ctid FROM (
        SELECT ctid, found_at, row_number() OVER (PARTITION BY kind, object ORDER BY found_at DESC) AS place
        FROM content_findings) AS found
    WHERE place > 1 OR found_at < now() - interval '1 day')
""")


class DatabaseFinding(NamedTuple):
    """A refusal of the product's tables, or a failure of a trigger of ours. The time is UTC."""

    kind: str
    object: str
    sqlstate: str
    message: str | None
    """The message of PostgreSQL, if it can only name objects of the database."""

    found_at: datetime


def record_refusal(connection: Connection, refused: str, sqlstate: str) -> None:
    connection.execute(RECORD, {"object": refused, "sqlstate": sqlstate})


def record_denial(connection: Connection, denied: Denial, sqlstate: str) -> None:
    """Record a refused right; the transaction of the refused statement was rolled back."""
    names = {"object": denied.target, "function": denied.function, "message": denied.reason}
    connection.execute(RECORD_DENIAL, names | {"sqlstate": sqlstate})


def read_findings(connection: Connection) -> Sequence[DatabaseFinding]:
    """The newest finding of each object."""
    return [DatabaseFinding(*row) for row in connection.execute(READ)]


def condense_findings(connection: Connection) -> None:
    """Remove old findings, and all but the newest of each object. Triggers may have written many."""
    connection.execute(CONDENSE)
