"""The privileges of the migrator, the writer and the reader, next to those of the product."""

from collections import defaultdict
from collections.abc import Iterator
from secrets import token_hex

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import DatabaseError

from local_stack.database_roles import DatabaseRoles, create_roles, drop_roles
from local_stack.postgres_server import Server, create_database, drop_database
from migrations import migrate
from migrations.grants import READS, WRITES, RolesIncompleteError, grant_access
from roadmap_content.platform.postgres.transactions import diagnose
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Ask

INSUFFICIENT_PRIVILEGE = "42501"


def sqlstate_of(url: str, statement: str) -> str:
    """The SQLSTATE with which a role's statement is refused; empty if it succeeds."""
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except DatabaseError as error:
        return diagnose(error)[0]
    return ""


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
    for table in set(READS) - {"concept_metadata", "execution_logs"}:  # the product's own
        assert granted[writer, table] == {"SELECT", *WRITES.get(table, ())}, table
        assert granted[reader, table] == {"SELECT"}, table
        for statement in (f"DELETE FROM {table} WHERE false", f"SELECT FROM {table} FOR UPDATE"):
            assert sqlstate_of(database_roles.reader, statement) == INSUFFICIENT_PRIVILEGE, statement


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
        "INSERT INTO content_failure_groups VALUES ('0f', 'E', 'save', 'quiz', 'r', true, 1, 1, now(), now())"
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
        ("GET", "/health", {}),
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
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"CREATE ROLE {product} LOGIN PASSWORD 'for-a-test'"))
        connection.execute(text(f"GRANT USAGE, CREATE ON SCHEMA public TO {product}"))
    roles = create_roles(url, f"{name}_")
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"REVOKE {make_url(url).username} FROM {roles.names.migrator}"))
    product_url = make_url(url).set(username=product, password="for-a-test")
    yield product_url.render_as_string(hide_password=False), roles, url
    drop_database(database_server.url, name)
    drop_roles(database_server.url, f"{name}_")
    with create_engine(database_server.url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"DROP ROLE {product}"))


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
    with create_engine(administrator, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"GRANT {make_url(product).username} TO {roles.names.migrator}"))
    migrate(roles.migrator)
    with create_engine(roles.migrator, poolclass=NullPool).begin() as connection:
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
