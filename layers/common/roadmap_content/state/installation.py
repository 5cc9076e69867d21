"""Compare the database with the installed objects of this system, and with its needs of the product.

The product's later migrations may remove either. `content_installation` has the objects of the migrations,
`content_findings` the failures since.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ..contracts.api.system import DatabaseFinding
from ..platform.postgres.findings import read_findings
from ..platform.postgres.sqlstate import INSUFFICIENT_PRIVILEGE, explain
from ..platform.postgres.transactions import sqlstate_and_reason
from .visibility import find_hidden

_CREATED_AGAIN = ": invoke migrate_database, which creates it without its rows"

# Finds what is installed or needed (`expected`) and missing or changed, as kind, object and detail of a
# finding. Reads the catalogue only, which every role may read. Of the kinds in `expected`, `table` is one of
# ours, and the others are objects of the product's tables. A type is compared by its category, so that a
# longer text or a bigger number is no difference; a time (`D`), so that a time zone is one, and a type such
# as `json` (`U`; `jsonb` counts as `json`) by their names. A trigger may be disabled (`D`), or fire in
# replicas only (`R`). If a view has the name of a table, the triggers and indexes are those of the view's
# table (`storage`).
DIFFERENCES = text(f"""
WITH expected AS (
    SELECT e.kind, e.table_name, e.name, e.definition, n.relation, coalesce((
        SELECT d.refobjid FROM pg_class v JOIN pg_rewrite w ON w.ev_class = v.oid
        JOIN pg_depend d ON d.classid = CAST('pg_rewrite' AS regclass) AND d.objid = w.oid
            AND d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid <> v.oid
        WHERE v.oid = n.relation AND v.relkind = 'v' LIMIT 1), n.relation) AS storage
    FROM content_installation e, LATERAL (SELECT to_regclass(quote_ident(e.table_name)) AS relation) AS n
), classes_of_types AS (
    SELECT oid, CASE WHEN typcategory IN ('D', 'U') THEN replace(typname, 'jsonb', 'json')
        ELSE CAST(typcategory AS text) END AS class
    FROM pg_type
), needed_columns AS (
    SELECT e.table_name, e.name, e.definition, a.atttypid, format_type(a.atttypid, a.atttypmod) AS type
    FROM expected e
    LEFT JOIN pg_attribute a ON a.attrelid = e.relation AND a.attname = e.name AND NOT a.attisdropped
    WHERE e.kind = 'column' AND e.relation IS NOT NULL
)
SELECT 'table_missing' AS kind, table_name AS object,
    CASE WHEN bool_or(kind = 'table') THEN '{_CREATED_AGAIN}' ELSE '' END AS detail
FROM expected WHERE relation IS NULL GROUP BY table_name
UNION ALL
SELECT CASE WHEN g.oid IS NULL THEN 'trigger_missing' ELSE 'trigger_disabled' END,
    e.name || ' of ' || e.table_name, ''
FROM expected e LEFT JOIN pg_trigger g ON g.tgrelid = e.storage AND g.tgname = e.name
WHERE e.kind = 'trigger' AND e.relation IS NOT NULL AND coalesce(g.tgenabled, 'D') IN ('D', 'R')
UNION ALL
SELECT 'index_missing', e.name || ' of ' || e.table_name, '' FROM expected e
WHERE e.kind = 'index' AND e.relation IS NOT NULL AND NOT EXISTS (
    SELECT FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = e.storage AND i.relname = e.name)
UNION ALL
SELECT 'column_missing', table_name || '.' || name, '' FROM needed_columns WHERE atttypid IS NULL
UNION ALL
SELECT 'column_type', c.table_name || '.' || c.name, c.type || ', was ' || c.definition
FROM needed_columns c JOIN classes_of_types now ON now.oid = c.atttypid
JOIN classes_of_types was ON was.oid = to_regtype(c.definition)
WHERE now.class <> was.class
UNION ALL
SELECT 'column_required', e.table_name || '.' || a.attname, ''
FROM (SELECT DISTINCT table_name, relation FROM expected WHERE kind <> 'table') e
JOIN pg_attribute a ON a.attrelid = e.relation
WHERE e.table_name <> ALL(CAST(:never_inserted AS text[])) AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND NOT EXISTS (
        SELECT FROM needed_columns c WHERE c.table_name = e.table_name AND c.name = a.attname)
UNION ALL
SELECT 'schema_open', schema_name, role_name FROM content_creators()
ORDER BY kind, object
""")

_NEVER_INSERTED = ("roadmap_metadata", "roadmap_tasks", "quiz_attempts")
"""The product's tables of which this system changes or deletes rows only."""

# Names the schemas of our tables, if they are not among those that this system reads; otherwise no row.
MOVED = text(f"""
SELECT coalesce(': it is in ' || string_agg(quote_ident(n.nspname), ', '),
    '{_CREATED_AGAIN}') AS place
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'content_installation'
HAVING to_regclass('content_installation') IS NULL
""")

MESSAGES: Mapping[str, str] = {
    "table_missing": "the table is not in the schemas that this system reads{}",
    "trigger_missing": "the table does not have this trigger: invoke migrate_database, which restores it",
    "trigger_disabled": "the trigger is disabled: ALTER TABLE … ENABLE TRIGGER",
    "index_missing": "the table does not have this index: invoke migrate_database, which restores it",
    "column_missing": "this system needs the column, and the table does not have it",
    "column_type": "this system does not know the type: {}",
    "column_required": "the column is NOT NULL without a default, so this system cannot insert rows",
    "schema_open": "{} may create objects here: triggers of the product that name objects without a schema "
    "fail inside ours. REVOKE CREATE ON SCHEMA, then invoke migrate_database",
}


def find_differences(connection: Connection) -> list[DatabaseFinding]:
    """Every difference, in one list: health and `roadmap doctor` show it, and the sweep counts it. If our own
    tables are hidden from the role, or in a schema that the product has renamed, only that.
    """
    if moved := connection.scalar(MOVED):
        message = MESSAGES["table_missing"].format(moved)
        return [DatabaseFinding(kind="table_missing", object="content_installation", message=message)]
    hidden = find_hidden(connection)
    try:
        with connection.begin_nested():
            return _find_installed(connection) + hidden
    except DBAPIError as error:
        if sqlstate_and_reason(error)[0] != INSUFFICIENT_PRIVILEGE or not hidden:
            raise
        return hidden


def _find_installed(connection: Connection) -> list[DatabaseFinding]:
    """The differences by the catalogue, and the failures that were recorded since the installation."""
    differences = [
        DatabaseFinding(kind=row.kind, object=row.object, message=MESSAGES[row.kind].format(row.detail))
        for row in connection.execute(DIFFERENCES, {"never_inserted": list(_NEVER_INSERTED)})
    ]
    for found in read_findings(connection):
        reason = f"{found.sqlstate}: {found.message}" if found.message else explain(found.sqlstate)
        message = f"{reason}; last at {found.found_at:%Y-%m-%d %H:%M} UTC"
        differences.append(DatabaseFinding(kind=found.kind, object=found.object, message=message))
    return differences
