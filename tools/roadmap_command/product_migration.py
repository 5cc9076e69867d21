"""Rehearse a migration of the product on a copy of the adopted database, which it changes.

The kinds of writes of the product are played against our triggers, in a session from before the migration and
in a new one: an update, an insert and a deletion of a row in each table, which follow from the catalogue,
because its statements are not known. Then our own statements are played (`runs/installation/rehearsal.py`).
All of it as the roles of the deployment, and rolled back.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

from pg8000.exceptions import DatabaseError
from pydantic import BaseModel
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from local_stack.errors import RefusedError
from roadmap_content.api.restores import Author, Restore
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.capabilities.erasure.rows import Subjects, erase_rows, lock_subjects, require_privileges
from roadmap_content.content.revision_records import revisions_of
from roadmap_content.contracts.api.system import DatabaseFinding
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import Execution
from roadmap_content.platform.aws.executions import Executions, ExecutionState
from roadmap_content.platform.postgres.transactions import sqlstate_and_reason, transact, transact_in_parts
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.installation.rehearsal import NoMemberError, NotRehearsedError, Stage, set_role
from roadmap_content.runs.installation.rehearsal import rehearse as play_ours
from roadmap_content.runs.reconciliation.checks import due_tasks, finished_tasks
from roadmap_content.runs.reconciliation.content_loss import read_outcomes
from roadmap_content.runs.reconciliation.task_repair import repair_task
from roadmap_content.runs.steps.end_attempt import RunEnd, end_attempt
from roadmap_content.state.installation import find_differences
from roadmap_content.state.queue.claims import claim_in_run
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.task import read_snapshot, read_task

# What contains a semicolon that ends no statement, and the semicolons that do.
_PART = re.compile(
    r"""[eE]'(?:\\.|''|[^'\\])*' | '(?:''|[^'])*' | "(?:""|[^"])*" | \$(\w*)\$.*?\$\1\$
    | --[^\n]* | /\*.*?\*/ | (?P<end>;)""",
    re.DOTALL | re.VERBOSE,
)

ADOPTED = text("SELECT to_regclass('content_installation') IS NOT NULL")

# The owner of the product's tables, and the roles that a migration has granted ours. A dump that is restored
# where they do not exist has no grants.
ROLES = text("""
SELECT (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('roadmap_metadata')) AS owner,
    max(r.rolname) FILTER (WHERE has_table_privilege(r.oid, 'content_attempts', 'INSERT')) AS writer,
    max(r.rolname) FILTER (WHERE NOT has_table_privilege(r.oid, 'content_attempts', 'INSERT')) AS reader
FROM pg_class v, aclexplode(v.relacl) AS a JOIN pg_roles r ON r.oid = a.grantee
WHERE v.oid = to_regclass('content_schema_version') AND a.grantee <> v.relowner
""")

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

_CONSTRAINT = "23"
"""A row that others refer to, or a copy that the product's own constraint refuses, shows nothing about us."""


class Rehearsal(BaseModel):
    """The effects of a migration of the product."""

    findings: list[DatabaseFinding]
    only_in_old_sessions: list[DatabaseFinding]
    """The failures until the product has restarted."""

    before: list[DatabaseFinding]
    """The findings of the copy itself: the effect of the migration on these is not known."""

    @property
    def is_broken(self) -> bool:
        return bool(self.findings or self.only_in_old_sessions)


class Roles(NamedTuple):
    """The roles that take part: the owner of the product's tables, and those of the deployment."""

    owner: str
    writer: str
    reader: str


def statements(script: str) -> Iterator[str]:
    """The statements of a file, so that each has a transaction of its own unless the file begins one."""
    begin = 0
    for part in _PART.finditer(script):
        if part["end"]:
            yield script[begin : part.start()]
            begin = part.end()
    yield script[begin:]


def rehearse(script: str, database: str) -> Rehearsal:
    """Apply a migration to a copy as the owner of the product's tables; play the product's writes and ours.

    Raises:
        RefusedError: the database is not adopted, its roles are missing, the user of the URL may not act as
            them, or a statement of the migration fails.
    """
    url = make_url(database).set(drivername="postgresql+pg8000")
    with ExitStack() as sessions:
        migrating, old, new = (create_engine(url, pool_size=1, max_overflow=0) for _ in range(3))
        for engine in (migrating, old, new):
            sessions.callback(engine.dispose)
        with migrating.connect() as connection:
            roles = _roles(connection, url.database or "")
        before = _play(old, roles, with_ours=True)
        with migrating.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text("SELECT set_config('role', :role, false)"), {"role": roles.owner})
            for statement in statements(script):
                _apply(connection, statement)
            connection.invalidate()  # with what the file has set
        findings = _play(new, roles, with_ours=True)
        known = _names(before)
        after_restart = known | _names(findings)
        return Rehearsal(
            findings=[found for found in findings if _name(found) not in known],
            only_in_old_sessions=[each for each in _play(old, roles) if _name(each) not in after_restart],
            before=before,
        )


def _roles(connection: Connection, database: str) -> Roles:
    if not connection.scalar(ADOPTED):
        raise RefusedError(f"{database} is no copy of an adopted database")
    found = connection.execute(ROLES).one()
    if None in found:
        raise RefusedError(
            f"{database} has no grants of our roles: restore the copy on a server that has them"
        )
    roles = Roles(*found)
    try:
        for role in roles:
            set_role(connection, role)
    except NoMemberError:
        user, wanted = connection.engine.url.username, ", ".join(roles)
        raise RefusedError(
            f"{user} may not act as {wanted}: use the URL of a superuser, or of the migrator"
        ) from None
    return roles


def _name(finding: DatabaseFinding) -> tuple[str, str]:
    return finding.kind, finding.object


def _names(findings: Iterable[DatabaseFinding]) -> set[tuple[str, str]]:
    return {_name(found) for found in findings}


def _apply(connection: Connection, statement: str) -> None:
    if not re.sub(r"--[^\n]*|/\*.*?\*/|\s", "", statement, flags=re.DOTALL):
        return
    try:
        # Not by a cursor, which reads `%` as the begin of a parameter.
        connection.connection.driver_connection.execute_simple(statement)  # type: ignore[union-attr]
    except DatabaseError as error:
        reason = sqlstate_and_reason(DBAPIError(None, None, error))[1]
        raise RefusedError(f"the migration fails: {reason}: {statement.strip()[:200]}") from None


def _play(engine: Engine, roles: Roles, *, with_ours: bool = False) -> list[DatabaseFinding]:
    """The differences, and the failures of the writes of one session, which are rolled back."""
    with engine.connect() as connection:
        failures = {_name(found): found for found in _differences(connection, roles)}
        for table in connection.execute(WRITES).all():
            for kind in ("update", "insert", "delete"):
                for found in _write(connection, roles, table.name, kind, table._mapping[kind]):
                    failures[_name(found)] = found
        for found in _play_ours(connection, roles) if with_ours else ():
            failures[_name(found)] = found
        connection.rollback()
    return list(failures.values())


def _differences(connection: Connection, roles: Roles) -> list[DatabaseFinding]:
    """The findings of health with the reader's role."""
    with connection.begin_nested() as nested:
        set_role(connection, roles.reader)
        found = find_differences(connection)
        nested.rollback()
    return found


def _write(
    connection: Connection, roles: Roles, table: str, kind: str, statement: str
) -> list[DatabaseFinding]:
    savepoint = connection.begin_nested()
    try:
        set_role(connection, roles.owner, is_ours=False)
        connection.exec_driver_sql(statement)
        return [found for found in _differences(connection, roles) if found.kind == "trigger_fails"]
    except DBAPIError as error:
        sqlstate, reason = sqlstate_and_reason(error)
        if sqlstate.startswith(_CONSTRAINT):
            return []
        return [DatabaseFinding(kind="write_fails", object=f"{kind} of {table}", message=reason)]
    finally:
        savepoint.rollback()


def _deadline() -> Deadline:
    """Of a play that waits for a lock."""
    return Deadline.after(10)


class _Savepoints:
    """An engine for `transact` and `transact_in_parts`: its transactions are savepoints of a connection."""

    def __init__(self, connection: Connection, options: dict[str, Any] | None = None) -> None:
        self._connection = connection
        self._options = options or {}
        self.pool = connection.engine.pool

    def execution_options(self, **options: Any) -> "_Savepoints":  # noqa: ANN401 - as of SQLAlchemy
        return _Savepoints(self._connection, options)

    def get_execution_options(self) -> dict[str, Any]:
        return self._options

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._connection.execution_options(**self._options)
        try:
            with self._connection.begin_nested():
                yield self._connection
        finally:  # the connection keeps its options
            self._connection.execution_options(**dict.fromkeys(self._options, False))


class _NoExecutions(Executions):
    """Step Functions is not called about the run."""

    def state(self, execution_arn: str) -> ExecutionState:  # noqa: ARG002 - of the class
        return ExecutionState.OVER


def _play_ours(connection: Connection, roles: Roles) -> list[DatabaseFinding]:
    """The refusals of our own statements, and the findings of our triggers and fallbacks meanwhile."""
    recorded: list[DatabaseFinding] = []

    services = Services(Settings({}), EVERY)
    services.engine = cast("Engine", _Savepoints(connection))
    services.executions = _NoExecutions("rehearsal")

    def encore(stage: Stage) -> None:
        if stage.play("claim", roles.writer, partial(_claim, services)):
            stage.play("outcome", roles.writer, partial(_end, services))
        stage.play("sweep", roles.writer, partial(_sweep, services))
        recorded.extend(_differences(connection, roles))
        if not any(refusal.play.endswith(f" of {ContentType.QUIZ}") for refusal in stage.refusals):
            stage.play("restore", roles.writer, partial(_restore, services))
        stage.play("erasure", roles.writer, partial(_erase, services))

    try:
        with connection.begin_nested():
            set_role(connection, roles.owner, is_ours=False)
            refusals = play_ours(connection, roles.writer, roles.reader, encore)
    except NotRehearsedError as error:
        return [DatabaseFinding(kind="not_rehearsed", object="our statements", message=str(error))]
    for play, _, reason, shows_nothing in refusals:
        kind = "not_rehearsed" if shows_nothing else "statement_fails"
        recorded.append(DatabaseFinding(kind=kind, object=play, message=reason))
    return recorded


def _claim(services: Services, stage: Stage) -> None:
    task = read_task(stage.connection, stage.trial)
    read_snapshot(stage.connection, task)  # as a retry does
    execution = Execution(arn=stage.trial)
    claim_in_run(services, task, execution, _deadline(), user_start(task.user_id))


def _end(services: Services, stage: Stage) -> None:
    run_end = RunEnd(execution_arn=stage.trial)
    subject = services, stage.trial, 1, run_end
    transact_in_parts(services.engine, end_attempt, _deadline(), *subject)


def _sweep(services: Services, stage: Stage) -> None:
    for read in (due_tasks, finished_tasks, read_outcomes):
        transact(services.engine, read, _deadline())
    repair_task(services, _deadline(), stage.trial)


def _restore(services: Services, stage: Stage) -> None:
    """Restore the former quiz of the rehearsal. It has no text in S3."""
    item = Item(stage.concept.concept_id, ContentType.QUIZ)
    *_, former = revisions_of(stage.connection, stage.trial, item)
    author = Author("rehearsal", None)
    Restore(services, item, former.revision_id, author).of_task(stage.trial, None, _deadline())


def _erase(services: Services, stage: Stage) -> None:
    require_privileges(stage.connection)
    page = Subjects([stage.trial], [stage.trial], ("", ""))
    lock_subjects(stage.connection, page)
    erase_rows(stage.connection, services.failure_hooks, page, product_rows=True)
    stage.connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
