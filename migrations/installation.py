"""The objects of this system on the product's tables: recorded by each migration, and restored.

The product may recreate a table, for instance to partition it. The new table has none of our columns, indexes
and triggers. Columns that only the product defines are recorded, but never added again.
"""

import json
import logging

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from . import VERSION_TABLE, writes_of_later_tables
from .baseline import tables
from .baseline.product_tables import COLUMNS, OPTIONAL_COLUMNS
from .baseline.triggers import create_rewrite

log = logging.getLogger(__name__)

OWN_COLUMNS = ("attempt", "execution_arn")
"""The columns that we have added to `roadmap_tasks`."""

# Records our triggers and indexes on the product's tables, each with the statement that creates it.
# Guarantees: what an earlier migration has recorded is kept.
RECORD = text("""
WITH product_tables AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p')
        AND relname NOT LIKE 'content\\_%'
)
INSERT INTO content_installation (kind, table_name, name, definition)
SELECT 'trigger', t.relname, g.tgname, pg_get_triggerdef(g.oid)
FROM product_tables t JOIN pg_trigger g ON g.tgrelid = t.oid
WHERE g.tgname LIKE 'content\\_%' AND NOT g.tgisinternal
UNION ALL
SELECT 'index', t.relname, i.relname, pg_get_indexdef(i.oid)
FROM product_tables t JOIN pg_index x ON x.indrelid = t.oid JOIN pg_class i ON i.oid = x.indexrelid
WHERE i.relname LIKE 'content\\_%'
ON CONFLICT (kind, table_name, name) DO NOTHING
""")

# Records the needed columns that exist, with their types, and our own tables. Guarantees: what was seen once
# stays needed.
RECORD_COLUMNS = text("""
INSERT INTO content_installation (kind, table_name, name, definition)
SELECT 'column', needed.table_name, a.attname, format_type(a.atttypid, a.atttypmod)
FROM json_each(CAST(:columns AS json)) AS needed(table_name, names)
JOIN pg_attribute a ON a.attrelid = to_regclass(needed.table_name) AND a.attnum > 0 AND NOT a.attisdropped
WHERE a.attname IN (SELECT json_array_elements_text(needed.names))
UNION ALL SELECT 'table', relname, relname, '' FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind = 'r'
    AND relname = ANY(:own_tables)
ON CONFLICT (kind, table_name, name) DO NOTHING
""")

# Reads the recorded objects that a table lacks, of those that can be created again.
MISSING = text("""
SELECT e.kind, e.table_name, e.name, e.definition FROM content_installation e
JOIN pg_class t ON t.oid = to_regclass(quote_ident(e.table_name)) AND t.relkind IN ('r', 'p')
WHERE e.kind = 'trigger' AND NOT EXISTS (
        SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgname = e.name)
    OR e.kind = 'index' AND NOT EXISTS (
        SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = t.oid AND i.relname = e.name)
    OR e.kind = 'column' AND e.table_name = 'roadmap_tasks' AND e.name = ANY(:own_columns) AND NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attname = e.name AND NOT a.attisdropped)
ORDER BY e.kind, e.table_name, e.name
""")


def record(connection: Connection) -> None:
    """Record the installed objects, and the needed columns that the product's tables have; later, their
    absence is a finding.
    """
    connection.execute(RECORD)
    columns = {
        table: [*COLUMNS.get(table, ()), *OPTIONAL_COLUMNS.get(table, ())]
        for table in {*COLUMNS, *OPTIONAL_COLUMNS}
    }
    # A content type's table, which has another name, counts as one of the product's.
    later = [table for table in writes_of_later_tables() if table.startswith("content_")]
    own_tables = [*tables.OWN, *tables.KEPT, *later, VERSION_TABLE]
    connection.execute(RECORD_COLUMNS, {"columns": json.dumps(columns), "own_tables": own_tables})


def restore_tables(connection: Connection) -> None:
    """Create our missing tables, without their former rows, and record what is installed."""
    for table, statements in tables.by_table():
        if not connection.scalar(text("SELECT to_regclass(:table) IS NOT NULL"), {"table": table}):
            connection.execute(text(statements))
            log.warning("table_created_again", extra={"table": table})
    record(connection)


def restore(connection: Connection) -> None:
    """Restore our missing tables, then the missing objects on tables that exist: columns first, then indexes,
    then triggers. One that cannot be restored is logged, and stays a finding of health. All other findings
    begin anew.
    """
    restore_tables(connection)
    create_rewrite(connection)
    connection.execute(text("DELETE FROM content_findings"))
    for missing in connection.execute(MISSING, {"own_columns": list(OWN_COLUMNS)}).all():
        statement = missing.definition
        if missing.kind == "column":
            definition = COLUMNS[missing.table_name][missing.name]
            statement = f"ALTER TABLE {missing.table_name} ADD COLUMN {missing.name} {definition}"
        if missing.kind == "index":  # the product may have renamed the old table, which keeps the index
            statement = f"DROP INDEX IF EXISTS {missing.name}; {statement}"
        try:
            with connection.begin_nested():
                connection.execute(text(statement))
        except DBAPIError:
            log.warning("not_restored", extra={"object": f"{missing.name} of {missing.table_name}"})
        else:
            log.info("restored", extra={"object": f"{missing.name} of {missing.table_name}"})
