"""The writer has exactly the privileges that the code needs on each table."""

import re
from collections import defaultdict

from local_stack.builds import REPOSITORY
from local_stack.database_roles import role_statements
from migrations.grants import WRITES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.platform.postgres.engine import session_limits
from roadmap_content.runs.reconciliation.retention import RETENTIONS

LAYER = REPOSITORY / "layers/common/roadmap_content"

CHANGE = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) (\w+_\w+)\b(?: \w+)?(?=[\s(])")
UPSERT = re.compile(
    r"INSERT INTO (\w+)(?:(?!INSERT INTO).)*?ON CONFLICT(?: \([\w, ]+\))? DO UPDATE", re.DOTALL
)
# PostgreSQL requires the privilege UPDATE to lock a row.
LOCK = re.compile(r"FROM (\w+_\w+)\b(?:(?!FROM)[^\"])*?FOR (?:NO KEY )?(?:UPDATE|SHARE)")


def test_the_writer_has_exactly_the_privileges_of_the_code() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    modules = [path.read_text() for path in LAYER.rglob("*.py")]
    for source in [*modules, *(kind.save_sql for kind in CONTENT_KINDS.values())]:
        for statement, table in CHANGE.findall(source):
            found[table].add(statement.split()[0])
        for table in UPSERT.findall(source):
            found[table].add("UPDATE")
        for table in LOCK.findall(source):
            found[table].add("UPDATE")
    for retention in RETENTIONS:
        found[retention.table or retention.name].add("DELETE")
    assert {table: set(privileges) for table, privileges in WRITES.items()} == dict(found)


def test_the_roles_have_the_limits_of_sessions_that_set_their_own() -> None:
    expected = {
        f"ALTER ROLE roadmap_{role} SET {name} = '{value}'"
        for role in ("writer", "reader")
        for name, value in session_limits().items()
    }
    assert {one for one in role_statements() if one.startswith("ALTER")} == expected
