"""Leave the product's database: remove everything of this system, and name the rest, with the reasons.

Removed and remaining objects are read from PostgreSQL's catalogue, not from the lists of the migrations.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from migrations import current_revision, downgrade_at_once, is_newer_than_this_code, record_latest_revision
from migrations.baseline.tables import KEPT, OWN
from migrations.installation import restore_tables

from ...content.product import PRODUCT
from ...contracts.errors import PermanentError
from ...contracts.payloads import Payload
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.settings import Settings
from ...state.services import Services
from .migrate import transact_at_length

MOST_NAMED = 20
"""Maximum tasks in a refusal."""

# Shorter than PostgreSQL's `deadlock_timeout`: a session of the product never fails because it waits for us.
LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '800ms'")

# Names the tables with a trigger of ours, in the order of locks (`:product` reversed), and then those two of
# ours that each claim writes.
LOCKED = text(r"""
SELECT CAST(CAST(c.oid AS regclass) AS text) FROM pg_class c
WHERE c.oid IN (SELECT tgrelid FROM pg_trigger WHERE tgname LIKE 'content\_%')
    OR c.oid IN (to_regclass('content_attempts'), to_regclass('content_queue'))
ORDER BY array_position(CAST(:product AS text[]), CAST(c.relname AS text)) DESC NULLS LAST, 1
""")

# Names the attempts and erasures that are not over. A waiting attempt has no run, but its task would stay in
# `processing` for ever.
OPEN = text(f"""
SELECT 'task ' || task_id FROM content_attempts WHERE ended_at IS NULL
UNION SELECT 'task ' || task_id FROM content_queue WHERE state <> 'ended'
UNION SELECT 'erasure ' || erasure_id FROM content_erasures WHERE user_id IS NOT NULL
ORDER BY 1 LIMIT {MOST_NAMED}
""")

# Names what is ours, in any schema, and every right of our roles on a table. The product may have tables and
# functions whose names begin like ours: only those of this role are ours. A kept table is known by its whole
# name, because the role that adopted the database before may own it. Triggers, and indexes of the product's
# tables, whose names begin like ours are ours.
OURS = text(r"""
SELECT 'table' AS kind, CAST(CAST(oid AS regclass) AS text) AS name FROM pg_class
WHERE relkind = 'r' AND (relname = ANY(:kept) OR (pg_get_userbyid(relowner) = current_user
    AND (relname LIKE 'content\_%' OR relname = 'generation_tokens')))
UNION ALL SELECT 'index', CAST(CAST(indexrelid AS regclass) AS text)
FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
WHERE i.relname LIKE 'content\_%' AND t.relname = ANY(:product)
UNION ALL SELECT 'function', CAST(CAST(oid AS regprocedure) AS text)
FROM pg_proc WHERE proname LIKE 'content\_%' AND pg_get_userbyid(proowner) = current_user
UNION ALL SELECT 'trigger', tgname || ' of ' || CAST(CAST(tgrelid AS regclass) AS text)
FROM pg_trigger WHERE tgname LIKE 'content\_%'
UNION ALL SELECT 'column', 'roadmap_tasks.' || attname FROM pg_attribute
WHERE attrelid = to_regclass('roadmap_tasks') AND attname IN ('attempt', 'execution_arn')
UNION ALL SELECT 'right', privilege_type || ' of ' || r.rolname || ' on '
    || CAST(CAST(c.oid AS regclass) AS text)
FROM pg_class c, aclexplode(c.relacl) g JOIN pg_roles r ON r.oid = g.grantee WHERE r.rolname = ANY(:roles)
ORDER BY 1, 2
""")

# Makes the statements that take from our roles the rights on tables whose owner's rights the present role
# has.
REVOKE = text("""
SELECT DISTINCT format('REVOKE ALL ON %s FROM %I', CAST(c.oid AS regclass), r.rolname)
FROM pg_class c, aclexplode(c.relacl) g JOIN pg_roles r ON r.oid = g.grantee
WHERE r.rolname = ANY(:roles) AND pg_has_role(c.relowner, 'USAGE')
""")

# Makes the statements by which an administrator removes our roles, in order. If a role owns anything in this
# database (type `o` in `pg_shdepend`), the owner of the product's tables gets it; `the_product` stands for a
# name that the administrator must choose, where these are gone or belong to the role itself.
ADMINISTRATOR = text("""
WITH ours AS (SELECT oid, rolname FROM pg_roles WHERE rolname = current_user OR rolname = ANY(:roles)),
product AS (
    SELECT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE oid = to_regclass('roadmap_metadata'))
SELECT format('REASSIGN OWNED BY %I TO %I', rolname,
    coalesce(nullif((SELECT owner FROM product), rolname), 'the_product')) AS statement, 1 AS place
FROM ours WHERE EXISTS (SELECT FROM pg_shdepend d JOIN pg_database b ON b.oid = d.dbid
    WHERE b.datname = current_database() AND d.refclassid = CAST('pg_authid' AS regclass)
        AND d.refobjid = ours.oid AND d.deptype = 'o')
UNION SELECT format('REVOKE ALL ON SCHEMA %I FROM %I', nspname, rolname), 2
FROM pg_namespace, aclexplode(nspacl) g JOIN ours ON ours.oid = g.grantee
UNION SELECT format('DROP ROLE %I', rolname), 3 FROM ours
ORDER BY place, statement
""")


class StillOpenError(PermanentError, code="StillOpen"):
    """Work of this system is not over, or a newer release is installed. Nothing was changed."""


class LeaveRequest(Payload):
    leave: bool
    dry_run: bool = False
    forget: bool = False
    """Whether the former content and the register of erasures are removed, too."""


class LeaveResult(Payload):
    removed: Mapping[str, int]
    """The number of removed objects and rights of each kind."""

    stays: Sequence[str]
    """The remaining objects, with the reason."""

    statements: Sequence[str]
    """The statements that only an administrator may send, in order."""

    dry_run: bool


def leave_database(request: LeaveRequest, services: Services, deadline: Deadline) -> LeaveResult:
    """Remove everything in one transaction. Can be repeated.

    Raises:
        StillOpenError: an attempt or an erasure is not over, or a newer release has migrated the database.
        DataRefusedError, DatabaseUnavailableError: nothing was changed, for instance because an object of the
            product uses one of ours.
    """
    result = transact_at_length(services, deadline, _leave, request, services.settings)
    logger.warning("database_left", **result.model_dump())
    return result


def _leave(connection: Connection, request: LeaveRequest, settings: Settings) -> LeaveResult:
    """Leave in this transaction, and compare the catalogue before and after."""
    roles = {"roles": [settings.writer_role, settings.reader_role]}
    names = roles | {"product": list(PRODUCT), "kept": list(KEPT)}
    before = set(map(tuple, connection.execute(OURS, names)))
    revision = current_revision(connection)
    if revision is None and any(("table", name) in before for name in OWN):  # its table was dropped
        revision = record_latest_revision(connection)
    if is_newer_than_this_code(revision):
        raise StillOpenError(
            f"a newer release has migrated the database to {revision}: leave with that release"
        )
    if revision is not None:
        restore_tables(connection)  # the statements below name each of them, also one that was dropped
        _require_nothing_open(connection)
        downgrade_at_once(connection, "base")
    if request.forget:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {', '.join(KEPT)}")
    for statement in connection.scalars(REVOKE, roles).all():
        connection.exec_driver_sql(statement)
    after = set(map(tuple, connection.execute(OURS, names)))
    result = LeaveResult(
        removed=Counter(kind for kind, _ in sorted(before - after)),
        stays=[f"{kind} {name}: {_reason(name)}" for kind, name in sorted(after)],
        statements=connection.scalars(ADMINISTRATOR, roles).all(),
        dry_run=request.dry_run,
    )
    if request.dry_run:
        connection.rollback()
    return result


def _require_nothing_open(connection: Connection) -> None:
    """Lock the tables against the product's writes and our claims, in the order of an adoption, and require
    that nothing is open. Raises StillOpenError.
    """
    connection.execute(LOCK_TIMEOUT)
    tables = connection.scalars(LOCKED, {"product": list(PRODUCT)}).all()
    connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)}")
    if unfinished := connection.scalars(OPEN).all():
        raise StillOpenError(
            f"not over: {', '.join(unfinished)}; stop generation (`roadmap capacity --stop`), then cancel "
            "these or wait for their end"
        )


def _reason(name: str) -> str:
    """Why an object stays."""
    if name.startswith(KEPT):
        return "former content, or the register of erasures; `--forget` removes it"
    return "of another schema, another owner or a newer release; remove it as its owner"
