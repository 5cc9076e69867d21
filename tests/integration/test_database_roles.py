"""The privileges of the migrator, the writer and the reader, next to those of the product."""

import re
from collections import defaultdict
from collections.abc import Iterator
from secrets import token_hex

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DatabaseError

from local_stack.builds import REPOSITORY
from local_stack.database_roles import DatabaseRoles, create_roles, drop_roles
from local_stack.postgres_server import Server, create_database, drop_database
from migrations import migrate
from migrations.installation import restore
from migrations.privileges import CALLS, READS, WRITES, RolesIncompleteError, grant_access
from roadmap_content.capabilities.erasure.rows import rules
from roadmap_content.content.product import PRODUCT
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.platform.postgres.transactions import sqlstate_and_reason
from roadmap_content.runs.reconciliation.retention import retentions
from roadmap_content.state.installation import find_differences
from tests.support.databases import connected, execute
from tests.support.engines import shared_engine
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Ask

INSUFFICIENT_PRIVILEGE = "42501"


def sqlstate_of(url: str, statement: str) -> str:
    """The SQLSTATE with which a role's statement is refused; empty if it succeeds."""
    try:
        with shared_engine(url).begin() as connection:
            connection.execute(text(statement))
    except DatabaseError as error:
        return sqlstate_and_reason(error)[0]
    return ""


LAYER = REPOSITORY / "layers/common/roadmap_content"

CHANGE = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) (\w+_\w+)\b(?: \w+)?(?=[\s(])")
UPSERT = re.compile(
    r"INSERT INTO (\w+)(?:(?!INSERT INTO).)*?ON CONFLICT(?: \([\w, ]+\))? DO UPDATE", re.DOTALL
)
# PostgreSQL requires the privilege UPDATE to lock a row.
LOCK = re.compile(r"FROM (\w+_\w+)\b(?:(?!FROM)[^\"])*?FOR (?:NO KEY )?(?:UPDATE|SHARE)")


def test_the_writer_has_exactly_the_privileges_of_the_code(pipeline: Pipeline) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    modules = [path.read_text() for path in LAYER.rglob("*.py")]
    for source in [*modules, *(kind.sql.save for kind in CONTENT_KINDS.values())]:
        for statement, table in CHANGE.findall(source):
            found[table].add(statement.split()[0])
        for table in UPSERT.findall(source):
            found[table].add("UPDATE")
        for table in LOCK.findall(source):
            found[table].add("UPDATE")
    for retention, _ in retentions(pipeline.services):
        found[retention.table or retention.name].add("DELETE")
    # An erasure derives its statements from the catalogue; some tables of the product do not exist here.
    for table in PRODUCT:
        found[table].add("DELETE")
    with pipeline.engine.connect() as connection:
        for rule in rules(connection):
            found[rule.table] |= {"DELETE"} if rule.condition or "queue_key" in rule.columns else set()
            found[rule.table] |= {"UPDATE"} if rule.columns & {"actor", "detail", "filter"} else set()
            is_handed_over = "task_id" in rule.columns and rule.columns & {"user_id", "queue_key"}
            found[rule.table] |= {"UPDATE"} if is_handed_over and not rule.is_of_product else set()
    assert {table: set(privileges) for table, privileges in WRITES.items()} == dict(found)


CHANGES = (
    "ALTER TABLE quiz_metadata ADD COLUMN another text",
    "DROP TABLE content_failures",
    "TRUNCATE content_failures",
    "CREATE OR REPLACE FUNCTION content_now() RETURNS timestamp LANGUAGE sql AS 'SELECT NULL'",
)


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_only_the_migrator_changes_the_schema(database_roles: DatabaseRoles, role: str) -> None:
    create = "CREATE TABLE another (id text)"
    for statement in (create, *CHANGES):
        assert sqlstate_of(getattr(database_roles, role), statement) == INSUFFICIENT_PRIVILEGE, statement
    assert sqlstate_of(database_roles.migrator, create) == ""


def test_each_table_grants_what_is_listed_and_no_more(
    pipeline: Pipeline, database_roles: DatabaseRoles
) -> None:
    granted = defaultdict[tuple[str, str], set[str]](set)
    for row in pipeline.rows("SELECT * FROM information_schema.role_table_grants"):
        granted[row["grantee"], row["table_name"]].add(row["privilege_type"])
    writer, reader = database_roles.names.writer, database_roles.names.reader
    for table in set(READS) - set(PRODUCT[:4]):  # the product's own
        assert granted[writer, table] == {"SELECT", *WRITES.get(table, ())}, table
        assert granted[reader, table] == {"SELECT"}, table
        for statement in (f"DELETE FROM {table} WHERE false", f"SELECT FROM {table} FOR UPDATE"):
            assert sqlstate_of(database_roles.reader, statement) == INSUFFICIENT_PRIVILEGE, statement


FUNCTIONS = """
SELECT proname, proconfig, prosecdef, ARRAY(
    SELECT coalesce(pg_get_userbyid(nullif(grantee, 0)), 'PUBLIC')
    FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))) AS callers
FROM pg_proc WHERE pronamespace = to_regnamespace(current_schema())
"""


def test_each_function_has_a_safe_search_path_and_the_callers_that_are_listed(
    pipeline: Pipeline, database_roles: DatabaseRoles
) -> None:
    found = pipeline.rows(FUNCTIONS)
    assert {row["proname"] for row in found} > {"content_now", "content_note_change", *CALLS}
    for row in found:
        paths = [setting for setting in row["proconfig"] or () if setting.startswith("search_path=")]
        schemas = "public, " if row["proname"] == "content_rewrite" else ""
        assert paths == [f"search_path=pg_catalog, {schemas}pg_temp"], row["proname"]
        roles = ("migrator", *CALLS.get(row["proname"], ()))
        assert set(row["callers"]) == {getattr(database_roles.names, role) for role in roles}, row["proname"]


SHADOWS = """
SELECT relname, string_agg(format('CAST(NULL AS %s) AS %I', format_type(atttypid, atttypmod), attname), ', '
    ORDER BY attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE relnamespace = to_regnamespace('public') AND relkind = 'r'
GROUP BY relname UNION ALL SELECT 'quiz_attempts', 'CAST(NULL AS text) AS quiz_id'
"""

SPY = """
CREATE TEMP TABLE spied (role text);
GRANT INSERT ON spied TO PUBLIC;
CREATE FUNCTION pg_temp.read() RETURNS boolean LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO pg_temp.spied VALUES (current_user); RETURN true; END$$;
CREATE FUNCTION pg_temp.written() RETURNS trigger LANGUAGE plpgsql AS
    $$BEGIN INSERT INTO pg_temp.spied VALUES (current_user); RETURN coalesce(NEW, OLD); END$$
"""

SHADOW = """
CREATE TEMP VIEW {relname} AS SELECT {columns} WHERE pg_temp.read();
GRANT ALL ON pg_temp.{relname} TO PUBLIC;
CREATE TRIGGER spy INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_temp.{relname}
FOR EACH ROW EXECUTE FUNCTION pg_temp.written()
"""

# Statements of the product that make the triggers call our functions.
WRITTEN = """
INSERT INTO public.roadmap_metadata (roadmap_id, user_id, title) VALUES ('r', 'u', 'T'), ('locked', 'u', 'T');
INSERT INTO public.roadmap_tasks (task_id, user_id, roadmap_id, status, attempt)
    VALUES ('t', 'u', 'r', 'failed', 1);
INSERT INTO public.tutorial_metadata (tutorial_id, concept_id, roadmap_id, title)
    VALUES ('a', 'c', 'r', 'T'), ('b', 'c', 'r', 'T'), ('c', 'c', 'locked', 'T');
INSERT INTO public.resource_recommendation_metadata (id, concept_id, roadmap_id, resources)
    VALUES ('a', 'c', 'r', '[]'), ('b', 'c', 'r', '[]');
INSERT INTO public.quiz_metadata (quiz_id, concept_id, roadmap_id, questions) VALUES ('a', 'c', 'r', '[]');
INSERT INTO public.quiz_answers VALUES ('a');
INSERT INTO public.quiz_metadata (quiz_id, concept_id, roadmap_id, questions) VALUES ('b', 'c', 'r', '[1]');
UPDATE public.tutorial_metadata SET title = 'U', content_version = 2;
UPDATE public.resource_recommendation_metadata SET resources = '[2]';
UPDATE public.quiz_metadata SET questions = '[2]';
UPDATE public.roadmap_tasks SET current_step = 'recovery_failed';
SELECT public.content_now(), public.content_quiz_at('a', public.content_now());
DELETE FROM public.quiz_answers;
DELETE FROM public.tutorial_metadata;
DELETE FROM public.resource_recommendation_metadata;
DELETE FROM public.quiz_metadata;
DELETE FROM public.roadmap_metadata
"""


def test_no_function_runs_code_of_the_product_with_our_privileges(
    database_url: str, database_roles: DatabaseRoles
) -> None:
    """For each table, a role that may only write its own has a temporary view of this name, with code."""
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as saving, engine.connect() as product:
        saving.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('content of locked', 0))"))
        product.exec_driver_sql(
            "CREATE TABLE quiz_answers (quiz_id varchar(64) REFERENCES quiz_metadata); CREATE ROLE attacker;"
            "GRANT SELECT, INSERT, UPDATE, DELETE ON quiz_answers, roadmap_metadata, roadmap_tasks,"
            " tutorial_metadata, resource_recommendation_metadata, quiz_metadata TO attacker;"
            "GRANT EXECUTE ON FUNCTION content_now, content_time_zone, content_quiz_at TO attacker;"
            f"GRANT SELECT, UPDATE ON quiz_answers TO {database_roles.names.migrator}"
        )
        shadows = product.execute(text(SHADOWS)).all()
        product.exec_driver_sql("SET LOCAL track_functions = 'all'; SET LOCAL ROLE attacker;" + SPY)
        for shadow in shadows:
            product.exec_driver_sql(SHADOW.format(**shadow._mapping))
        for statement in WRITTEN.split(";"):
            product.exec_driver_sql(statement)
        # A trigger that fails records it, also with our privileges.
        product.exec_driver_sql("RESET ROLE; ALTER TABLE public.roadmap_tasks RENAME status TO state")
        product.exec_driver_sql(
            "SET LOCAL ROLE attacker;"
            "INSERT INTO public.roadmap_tasks (task_id, user_id, roadmap_id) VALUES ('u', 'u', 'r')"
        )
        assert set(product.scalars(text("SELECT role FROM pg_temp.spied"))) == set()
        called = set(product.scalars(text("SELECT funcname FROM pg_stat_xact_user_functions")))
        catalogue = {row.proname for row in product.execute(text(FUNCTIONS))}
        later = {f"content_keep_{added}" for added in list(CONTENT_KINDS)[3:]}  # of the same template
        merges = {"content_merge_items", "content_merge_quiz", "content_merge_resources"}
        assert catalogue - called == merges | later | {"content_creators"}  # called by our roles only
        for name in merges:
            with pytest.raises(DatabaseError) as refused, product.begin_nested():
                product.exec_driver_sql(f"SELECT public.{name}(NULL)")
            assert sqlstate_and_reason(refused.value)[0] == INSUFFICIENT_PRIVILEGE, name


def test_the_product_s_triggers_run_without_a_schema_in_which_another_role_may_create(
    pipeline: Pipeline, database_roles: DatabaseRoles
) -> None:
    """Its objects could take the names in such a trigger, which runs with the migrator's rights in ours."""
    path = "SELECT proconfig[1] AS path FROM pg_proc WHERE proname = 'content_rewrite'"
    for grantee, grant, expected in (
        (database_roles.names.reader, "GRANT {} TO {}", "pg_catalog, pg_temp"),
        (database_roles.names.reader, "REVOKE {} FROM {}", "pg_catalog, public, pg_temp"),
        (database_roles.names.migrator, "GRANT {} TO {}", "pg_catalog, public, pg_temp"),
        ("PUBLIC", "GRANT {} TO {}", "pg_catalog, pg_temp"),
    ):
        pipeline.execute(grant.format("CREATE ON SCHEMA public", grantee))
        with connected(database_roles.migrator) as connection:
            restore(connection)
        assert pipeline.rows(path) == [{"path": f"search_path={expected}"}], grantee
        with pipeline.services.reading_engine.connect() as connection:
            found = [(one.kind, one.object, one.message.split()[0]) for one in find_differences(connection)]
        assert found == [("schema_open", "public", grantee)] * ("public" not in expected)


def test_no_role_of_ours_is_an_administrator(pipeline: Pipeline, database_roles: DatabaseRoles) -> None:
    found = pipeline.rows(
        "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls AS may FROM pg_roles "
        "WHERE rolname = ANY(CAST(:names AS text[]))",
        names=list(database_roles.names),
    )
    assert [row["may"] for row in found] == [False] * 3


def test_reads_of_the_api_use_only_the_reader(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = pipeline.services
    pipeline.load(bundle_of(concept_ids(2)))
    pipeline.run()
    created = ask(
        "POST", "/recoveries", body={"filter": {"task_ids": ["t-1"]}, "reason": "r"}, roles="owner,operator"
    )
    recovery_id = created.body["recovery_id"]
    pipeline.execute(
        "INSERT INTO content_failure_groups VALUES ('0f', 'E', 'save', 'r', true, 1, 1, '{}', now(), now())"
    )

    def without_writer(*_: object) -> None:
        raise AssertionError("a read uses the writer")

    monkeypatch.setattr(services.engine, "begin", without_writer)
    for method, path, query in (
        ("GET", "/tasks", {}),
        ("GET", "/tasks/t-1", {}),
        ("GET", "/tasks/t-1/items", {}),
        ("GET", "/tasks/t-1/items/quiz", {"concept_id": concept_ids(2)[0]}),
        ("GET", "/tasks/t-1/attempts", {}),
        ("GET", "/failures", {}),
        ("POST", "/tasks/t-1/retry", {"dry_run": "true"}),
        ("GET", "/recoveries", {}),
        ("GET", "/failures/0f", {}),
        ("GET", f"/recoveries/{recovery_id}", {}),
        ("GET", f"/recoveries/{recovery_id}/tasks", {}),
    ):
        reply = ask(method, path, query, roles="owner,operator")
        assert reply.status == 200, (path, reply.body)


@pytest.fixture
def shared(database_server: Server) -> Iterator[tuple[str, DatabaseRoles, str]]:
    """An empty database of a product with its own role: its URL as that role, our roles, the owner."""
    name = f"shared_{token_hex(8)}"
    url = create_database(database_server.url, name)
    product = f"{name}_product"
    execute(
        url,
        f"CREATE ROLE {product} LOGIN PASSWORD 'for-a-test'",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {product}",
    )
    roles = create_roles(url, f"{name}_")
    execute(url, f"REVOKE {make_url(url).username} FROM {roles.names.migrator}")
    product_url = make_url(url).set(username=product, password="for-a-test")
    yield product_url.render_as_string(hide_password=False), roles, url
    drop_database(database_server.url, name)
    drop_roles(database_server.url, f"{name}_")
    execute(database_server.url, f"DROP ROLE {product}")


PRODUCT_TABLES = """
CREATE TABLE roadmap_metadata (
    roadmap_id varchar PRIMARY KEY, user_id varchar, title varchar, framework_data json,
    created_at timestamp);
CREATE TABLE quiz_metadata (
    quiz_id varchar PRIMARY KEY, concept_id varchar, roadmap_id varchar, questions json, total_questions int,
    easy_count int, medium_count int, hard_count int, generated_at timestamp);
CREATE TABLE execution_logs (id varchar PRIMARY KEY)
"""


def test_the_product_s_role_works_in_the_same_database(shared: tuple[str, DatabaseRoles, str]) -> None:
    """It has no privileges on our tables, and our trigger moves one of its rows into one of them."""
    product, roles, administrator = shared
    engine = create_engine(product, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in PRODUCT_TABLES.split(";"):
            connection.execute(text(statement))
    execute(administrator, f"GRANT {make_url(product).username} TO {roles.names.migrator}")
    migrate(roles.migrator)
    with connected(roles.migrator) as connection:
        grant_access(connection, roles.names.writer, roles.names.reader)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO roadmap_metadata VALUES ('r-1', 'u', 't', '{}', now())"))
        for quiz in ("q-1", "q-2"):
            connection.execute(
                text("INSERT INTO quiz_metadata VALUES (:quiz, 'c-1', 'r-1', '[]', 0, 0, 0, 0, now())"),
                {"quiz": quiz},
            )
        assert list(connection.scalars(text("SELECT quiz_id FROM quiz_metadata"))) == ["q-2"]
    assert sqlstate_of(product, "SELECT FROM content_archive") == INSUFFICIENT_PRIVILEGE
    assert sqlstate_of(roles.writer, "INSERT INTO execution_logs VALUES ('l-1')") == ""


def test_a_grant_that_has_no_effect_is_an_error(shared: tuple[str, DatabaseRoles, str]) -> None:
    """PostgreSQL only warns if a role that does not own the table has another privilege on it."""
    product, roles, _ = shared
    migrate(roles.migrator)
    assert sqlstate_of(product, "CREATE TABLE execution_logs (id varchar PRIMARY KEY)") == ""
    assert sqlstate_of(product, f"GRANT SELECT ON execution_logs TO {roles.names.migrator}") == ""
    engine = create_engine(roles.migrator, poolclass=NullPool)
    with engine.begin() as connection, pytest.raises(RolesIncompleteError, match="execution_logs"):
        grant_access(connection, roles.names.writer, roles.names.reader)
