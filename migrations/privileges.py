"""The privileges of the writer and the reader on tables. Each migration grants them again."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from . import VERSION_TABLE, writes_of_later_tables

_BASELINE_WRITES: Mapping[str, tuple[str, ...]] = {
    "concept_metadata": ("INSERT", "UPDATE", "DELETE"),
    "concept_progress": ("DELETE",),
    "content_archive": ("INSERT", "UPDATE", "DELETE"),
    "content_attempts": ("INSERT", "UPDATE", "DELETE"),
    "content_capacity": ("UPDATE",),
    "content_capacity_changes": ("INSERT", "UPDATE"),
    "content_changes": ("DELETE",),
    "content_checks": ("INSERT", "UPDATE", "DELETE"),
    "content_erasures": ("INSERT", "UPDATE"),
    "content_events": ("INSERT", "UPDATE", "DELETE"),
    "content_failure_groups": ("INSERT", "UPDATE"),
    "content_failure_hours": ("INSERT", "UPDATE", "DELETE"),
    "content_failures": ("INSERT", "UPDATE", "DELETE"),
    "content_findings": ("INSERT", "DELETE"),
    "content_group_changes": ("INSERT", "UPDATE"),
    "content_model_leases": ("INSERT", "UPDATE", "DELETE"),
    "content_model_quota": ("UPDATE",),
    "content_origins": ("INSERT", "UPDATE", "DELETE"),
    "content_queue": ("INSERT", "UPDATE", "DELETE"),
    "content_queue_keys": ("INSERT", "UPDATE", "DELETE"),
    "content_recoveries": ("INSERT", "UPDATE"),
    "content_recovery_tasks": ("INSERT", "UPDATE", "DELETE"),
    "content_sweeps": ("INSERT", "UPDATE", "DELETE"),
    "content_task_failures": ("INSERT", "UPDATE", "DELETE"),
    "content_token_hours": ("INSERT", "UPDATE", "DELETE"),
    "execution_logs": ("INSERT", "DELETE"),
    "generation_tokens": ("INSERT", "UPDATE", "DELETE"),
    "quiz_attempts": ("DELETE",),
    "quiz_metadata": ("INSERT", "UPDATE", "DELETE"),
    "resource_recommendation_metadata": ("INSERT", "UPDATE", "DELETE"),
    "roadmap_metadata": ("UPDATE", "DELETE"),
    "roadmap_tasks": ("UPDATE", "DELETE"),
    "tutorial_metadata": ("INSERT", "UPDATE", "DELETE"),
}

WRITES: Mapping[str, tuple[str, ...]] = {**_BASELINE_WRITES, **writes_of_later_tables()}
"""The privileges of the writer on each table, besides SELECT. Missing tables, such as optional ones of the
product, are skipped. Not read from the layer: a schema is also used with the layer of the release before.
"""

READS = (*WRITES, "content_installation", VERSION_TABLE)
"""The tables that the writer and the reader read."""

CALLS: Mapping[str, tuple[str, ...]] = {
    "content_creators": ("writer", "reader"),
    "content_merge_items": ("writer",),
    "content_now": ("writer",),
    "content_replace_item": ("writer",),
    "content_rewrite": ("writer",),
    "content_time_zone": ("writer", "reader"),
}
"""The functions that the SQL of each role names. Nobody else may call one of our functions."""

_EXISTING = text("SELECT name FROM unnest(CAST(:names AS text[])) name WHERE to_regclass(name) IS NOT NULL")
_ROLE_EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)")
_HAS = text("SELECT has_table_privilege(:role, :table, :privilege)")
# Reads the defaults of a role's sessions as `name=value`: those in every database (0), and those in this one,
# which override them.
_ROLE_SETTINGS = text("""
SELECT setting FROM pg_db_role_setting s
JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) setting
WHERE r.rolname = :role
    AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
ORDER BY s.setdatabase
""")


class RolesIncompleteError(Exception):
    """A role does not exist, lacks session limits, or cannot be granted its privileges by this role."""


def grant_access(connection: Connection, writer: str, reader: str) -> None:
    """Grant the two roles the privileges that their code needs, and verify them.

    For a role that does not own the table, a GRANT causes only a warning, so the result is checked.

    Raises:
        RolesIncompleteError: the message contains the missing role or privilege.
    """
    for role in (writer, reader):
        if not connection.scalar(_ROLE_EXISTS, {"role": role}):
            raise RolesIncompleteError(f"the role {role} does not exist: database/roles.sql creates it")
    quote = connection.dialect.identifier_preparer.quote
    for function, roles in CALLS.items():
        for role in roles:
            grantee = quote(writer if role == "writer" else reader)
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {function} TO {grantee}")
    for table in connection.scalars(_EXISTING, {"names": list(READS)}).all():
        _grant(connection, writer, table, ("SELECT", *WRITES.get(table, ())))
        _grant(connection, reader, table, ("SELECT",))


def _grant(connection: Connection, role: str, table: str, privileges: Sequence[str]) -> None:
    grantee = connection.dialect.identifier_preparer.quote(role)
    connection.exec_driver_sql(f"GRANT {', '.join(privileges)} ON {table} TO {grantee}")
    for privilege in privileges:
        if not connection.scalar(_HAS, {"role": role, "table": table, "privilege": privilege}):
            raise RolesIncompleteError(
                f"{role} was not granted {privilege} on {table}: the migrator must own the table or be a "
                "member of its owner"
            )


def require_session_limits(connection: Connection, role: str, limits: Mapping[str, str]) -> None:
    """Require that a role's sessions have the given limits by default.

    Raises:
        RolesIncompleteError: the message contains the missing statements.
    """
    found = {}
    for setting in connection.scalars(_ROLE_SETTINGS, {"role": role}):
        name, _, value = setting.partition("=")
        found[name.lower()] = value
    missing = [
        f"ALTER ROLE {role} SET {name} = '{value}';"
        for name, value in limits.items()
        if found.get(name) != value
    ]
    if missing:
        raise RolesIncompleteError(f"DatabaseSession=role needs, as an administrator: {' '.join(missing)}")
