"""Rehearse a migration of the product on a copy of the adopted database, which it changes.

The kinds of writes of the product are played against our triggers, in a session from before the migration and
in a new one: an update, an insert and a deletion of a row in each table. Each is rolled back. The statements
follow from the catalogue, because those of the product are not known.
"""

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from local_stack.errors import RefusedError
from roadmap_content.contracts.api.system import DatabaseFinding
from roadmap_content.platform.postgres.transactions import diagnose
from roadmap_content.state.installation import find_differences

# What contains a semicolon that ends no statement, and the semicolons that do.
_PART = re.compile(
    r"""[eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*" | \$(\w*)\$.*?\$\1\$
    | --[^\n]* | /\*.*?\*/ | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)

ADOPTED = text("SELECT to_regclass('content_installation') IS NOT NULL")

# The tables that have a trigger of ours, by their present names. A copied row gets a new key.
WRITES = text(r"""
WITH columns AS (
    SELECT c.oid, CAST(CAST(c.oid AS regclass) AS text) AS name, quote_ident(a.attname) AS attname, a.attnum,
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary
            AND a.attnum = ANY(i.indkey)) AS is_key,
        CASE t.typcategory WHEN 'N' THEN 'floor(random() * 1000000000)'
            ELSE format('CAST(CAST(gen_random_uuid() AS text) AS %s)', t.oid::regtype) END AS new_key
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
        AND c.relname NOT LIKE 'content\_%' AND EXISTS (SELECT FROM pg_trigger g
            WHERE g.tgrelid = c.oid AND g.tgname LIKE 'content\_%' AND NOT g.tgisinternal)
)
SELECT name, format('UPDATE %s SET %s = %s WHERE ctid = (SELECT ctid FROM %s LIMIT 1)',
        name, min(attname), min(attname), name) AS update,
    format('INSERT INTO %s (%s) SELECT %s FROM %s LIMIT 1', name, string_agg(attname, ', ' ORDER BY attnum),
        string_agg(CASE WHEN is_key THEN new_key ELSE attname END, ', ' ORDER BY attnum), name) AS insert,
    format('DELETE FROM %s WHERE ctid = (SELECT ctid FROM %s LIMIT 1)', name, name) AS delete
FROM columns GROUP BY oid, name ORDER BY name
""")

_KEPT_BY_REFERENCES = ("23503", "23505")
"""A row that others refer to, or a copy that the product's own constraint refuses, shows nothing about us."""


class Rehearsal(BaseModel):
    """The effects of a migration of the product."""

    findings: list[DatabaseFinding]
    only_in_old_sessions: list[DatabaseFinding]
    """The failures until the product has restarted."""

    @property
    def is_broken(self) -> bool:
        return bool(self.findings or self.only_in_old_sessions)


def statements(script: str) -> Iterator[str]:
    """The statements of a file, so that each has a transaction of its own unless the file begins one."""
    begin = 0
    for part in _PART.finditer(script):
        if part["end"]:
            yield script[begin : part.start()]
            begin = part.end()
    yield script[begin:]


def rehearse(script: str, database: str) -> Rehearsal:
    """Apply a migration to a copy, and play the product's writes.

    Raises:
        RefusedError: the database is not adopted, or a statement of the migration fails.
    """
    url = make_url(database).set(drivername="postgresql+pg8000")
    migrating = create_engine(url, isolation_level="AUTOCOMMIT")
    old, new = (create_engine(url, pool_size=1, max_overflow=0) for _ in range(2))
    try:
        with migrating.connect() as connection:
            if not connection.scalar(ADOPTED):
                raise RefusedError(f"{url.database} is no copy of an adopted database")
            before = _names(_play(old))
            for statement in statements(script):
                _apply(connection, statement)
        findings = _play(new)
        only_old = [found for found in _play(old) if _name(found) not in before | _names(findings)]
        caused = [found for found in findings if _name(found) not in before]
        return Rehearsal(findings=caused, only_in_old_sessions=only_old)
    finally:
        for engine in (migrating, old, new):
            engine.dispose()


def _name(finding: DatabaseFinding) -> tuple[str, str]:
    return finding.kind, finding.object


def _names(findings: Iterable[DatabaseFinding]) -> set[tuple[str, str]]:
    return {_name(found) for found in findings}


def _apply(connection: Connection, statement: str) -> None:
    if not re.sub(r"--[^\n]*|/\*.*?\*/|\s", "", statement, flags=re.DOTALL):
        return
    try:
        connection.exec_driver_sql(statement.replace("%", "%%") if "%" in statement else statement)
    except DBAPIError as error:
        raise RefusedError(f"the migration fails: {diagnose(error)[1]}: {statement.strip()[:200]}") from None


def _play(engine: Engine) -> list[DatabaseFinding]:
    """The differences, and the failures of the writes of one session, which are rolled back."""
    with engine.connect() as connection:
        failures = {_name(found): found for found in find_differences(connection)}
        for table in connection.execute(WRITES).all():
            for kind in ("update", "insert", "delete"):
                for found in _write(connection, table.name, kind, table._mapping[kind]):
                    failures[_name(found)] = found
        connection.rollback()
    return list(failures.values())


def _write(connection: Connection, table: str, kind: str, statement: str) -> list[DatabaseFinding]:
    savepoint = connection.begin_nested()
    try:
        connection.exec_driver_sql(statement)
        return [found for found in find_differences(connection) if found.kind == "trigger_fails"]
    except DBAPIError as error:
        sqlstate, reason = diagnose(error)
        if sqlstate in _KEPT_BY_REFERENCES:
            return []
        return [DatabaseFinding(kind="write_fails", object=f"{kind} of {table}", message=reason)]
    finally:
        savepoint.rollback()
