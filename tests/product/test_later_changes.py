"""The product migrates its tables after the adoption: its writes still succeed, in old and in new sessions,
and health names the capabilities that are lost.

`CHANGES` × `WRITES`, with the exact findings of each change. A write is the product's statement as its code
would be after the change, and succeeds without us.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from typer.testing import CliRunner

from local_stack.database_roles import create_roles, drop_roles
from local_stack.errors import RefusedError
from local_stack.postgres_server import Server
from migrations.baseline.triggers import create_trigger
from migrations.installation import restore
from roadmap_command.main import app
from roadmap_command.product_migration import rehearse
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.platform.postgres.transactions import sqlstate_and_reason
from tests.product.deployment import Deployment
from tests.product.operations import OPERATIONS
from tests.product.ours import comparable, failing, prepare
from tests.product.product import Product
from tests.product.running import findings_of
from tests.product.test_adoption import CONCEPTS, IDS, fill
from tests.support.databases import copied_database
from tests.support.pipeline import S3
from tests.support.product_schema import FORMS

_SECOND_QUIZ = """
INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count,
    medium_count, hard_count, generated_at)
VALUES (CAST(gen_random_uuid() AS text), CAST(:other_concept_id AS text), :roadmap_id, '[]',
    0, 0, 0, 0, now())
"""
_ANSWER = OPERATIONS["record a quiz attempt"][0].replace(" = :concept_id", " = :other_concept_id")

WRITES: Mapping[str, list[str]] = {
    **OPERATIONS,
    "insert a second quiz": [_SECOND_QUIZ, _SECOND_QUIZ],
    "insert a second quiz beside attempts": [_ANSWER, _SECOND_QUIZ],
    "insert second resources": [OPERATIONS["save resources"][1]],
    "save a tutorial twice": [
        *OPERATIONS["save a tutorial"],
        "UPDATE tutorial_metadata SET content_version = 1 WHERE roadmap_id = :roadmap_id AND is_latest",
    ],
    "mark an interrupted task": [
        (
            "UPDATE roadmap_tasks SET status = 'failed', current_step = 'recovery_failed' "
            "WHERE task_id = :task_id"
        )
    ],
    "empty a roadmap": [
        f"DELETE FROM {table} WHERE roadmap_id = :roadmap_id"
        for table in (
            "quiz_attempts",
            "quiz_metadata",
            "resource_recommendation_metadata",
            "tutorial_metadata",
        )
    ],
    "make and delete a roadmap": [
        (
            "INSERT INTO roadmap_metadata (roadmap_id, user_id, title, total_estimated_hours, "
            "recommended_completion_weeks, created_at) VALUES ('r-9', 'u', 'T', 1, 1, now())"
        ),
        "DELETE FROM roadmap_metadata WHERE title = 'T'",
    ],
}
"""Statements of the product's code, and then of a script of its operators."""


class Change(NamedTuple):
    """A migration of the product, and the changes in its statements."""

    sql: str
    renamed: Mapping[str, str] = {}
    """The new names of columns or tables in its statements."""

    replaced: Mapping[str, str] = {}
    """Other changes of their text."""

    unused: tuple[str, ...] = ()
    """Writes that its code does not do any more."""

    search_path: str = "public"

    def statements(self, write: str) -> list[str]:
        return [self._changed(statement) for statement in WRITES[write]]

    def _changed(self, statement: str) -> str:
        for old, new in self.replaced.items():
            statement = statement.replace(old, new)
        for old, new in self.renamed.items():
            statement = re.sub(rf"(?<![:\w']){old}\b(?!')", new, statement)
        return statement


def for_each_column(condition: str, change: str) -> str:
    """Change each column of the product for which a condition is true. `%I` is its name."""
    return f"""
DO $$ DECLARE found record; BEGIN
    FOR found IN SELECT table_name, column_name FROM information_schema.columns
        WHERE {condition} AND table_schema = 'public' AND table_name !~ '^(content_|generation_tokens)'
    LOOP
        EXECUTE format('ALTER TABLE %I {change}', found.table_name, found.column_name);
    END LOOP;
END $$"""


def rename(column: str, new: str) -> Change:
    """A column has another name, in each table."""
    change = for_each_column(f"column_name = '{column}'", f"RENAME COLUMN %I TO {new}")
    return Change(change, {column: new})


def change_type(old: str, new: str) -> Change:
    """All columns of a type have another one."""
    return Change(for_each_column(f"data_type = '{old}'", f"ALTER COLUMN %I TYPE {new}"))


def move(*tables: str) -> str:
    return "CREATE SCHEMA app;" + ";".join(f"ALTER TABLE {table} SET SCHEMA app" for table in tables)


TABLES = (
    *("roadmap_metadata", "roadmap_tasks", "tutorial_metadata", "resource_recommendation_metadata"),
    *("quiz_metadata", "concept_metadata", "execution_logs"),
)

PARTITIONED = """
ALTER TABLE quiz_attempts DROP CONSTRAINT quiz_attempts_quiz_id_fkey;
ALTER TABLE quiz_metadata RENAME TO quiz_metadata_old;
CREATE TABLE quiz_metadata (LIKE quiz_metadata_old, PRIMARY KEY (quiz_id)) PARTITION BY HASH (quiz_id);
CREATE TABLE quiz_metadata_0 PARTITION OF quiz_metadata FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE quiz_metadata_1 PARTITION OF quiz_metadata FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO quiz_metadata SELECT * FROM quiz_metadata_old;
DROP TABLE quiz_metadata_old;
ALTER TABLE quiz_attempts ADD FOREIGN KEY (quiz_id) REFERENCES quiz_metadata
"""

NO_KEY = """
ALTER TABLE quiz_attempts DROP CONSTRAINT quiz_attempts_quiz_id_fkey;
ALTER TABLE quiz_metadata DROP CONSTRAINT quiz_metadata_pkey
"""

NO_USAGE = """
DO $$ DECLARE role record; BEGIN
    FOR role IN SELECT DISTINCT
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE CAST(CAST(grantee AS regrole) AS text) END AS name
        FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public' AND grantee <> nspowner
    LOOP
        EXECUTE format('REVOKE USAGE ON SCHEMA public FROM %s', role.name);
    END LOOP;
END $$
"""

AUDIT = """
CREATE TABLE audit (what text);
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO audit VALUES (TG_OP); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER audited AFTER UPDATE OR DELETE ON quiz_metadata FOR EACH ROW EXECUTE FUNCTION audited();
CREATE TRIGGER audited AFTER UPDATE OR DELETE ON tutorial_metadata FOR EACH ROW EXECUTE FUNCTION audited()
"""

CHECKED = """
CREATE TABLE limits (most integer);
INSERT INTO limits VALUES (1000);
CREATE FUNCTION permitted(total integer) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN RETURN total <= (SELECT most FROM limits); END $$;
ALTER TABLE quiz_metadata ADD CHECK (permitted(total_questions))
"""

ANY_CASE = """
DO $$ BEGIN
    CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN CREATE COLLATION any_case FROM "POSIX"; END $$
"""
"""A nondeterministic collation, if the server of the tests has ICU. Ours has not."""

_TENANT = {
    "hard_count, generated_at)": "hard_count, tenant, generated_at)",
    "0, 0, 0, 0, ": "0, 0, 0, 0, 't', ",
}

CHANGES: Mapping[str, Change] = {
    "concept_id renamed": rename("concept_id", "topic_id"),
    "roadmap_id renamed": rename("roadmap_id", "course_id"),
    "current_step renamed": rename("current_step", "stage"),
    "status renamed": rename("status", "state"),
    "celery_task_id renamed": rename("celery_task_id", "worker_task_id"),
    "attempts name their quiz otherwise": Change(
        "ALTER TABLE quiz_attempts DROP CONSTRAINT quiz_attempts_quiz_id_fkey;"
        "ALTER TABLE quiz_attempts RENAME quiz_id TO quiz_reference",
        replaced={
            "concept_id, quiz_id, total": "concept_id, quiz_reference, total",
            "quiz_attempts WHERE quiz_id": "quiz_attempts WHERE quiz_reference",
        },
    ),
    "content_version dropped": Change(
        "ALTER TABLE tutorial_metadata DROP COLUMN content_version",
        replaced={
            "content_status, content_version,": "content_status,",
            "'completed', 1, true": "'completed', true",
            "SET content_version = 1": "SET title = title",
        },
        unused=("modify a tutorial",),
    ),
    "is_latest dropped": Change(
        "ALTER TABLE tutorial_metadata DROP COLUMN is_latest",
        replaced={
            "content_version, is_latest,": "content_version,",
            ", true, 15": ", 15",
            "SET is_latest = false": "SET title = title",
            " AND is_latest": "",
        },
    ),
    "content_version a text": Change(
        "ALTER TABLE tutorial_metadata ALTER COLUMN content_version TYPE text", unused=("modify a tutorial",)
    ),
    "quizzes renamed": Change("ALTER TABLE quiz_metadata RENAME TO quizzes", {"quiz_metadata": "quizzes"}),
    "tasks renamed": Change("ALTER TABLE roadmap_tasks RENAME TO tasks", {"roadmap_tasks": "tasks"}),
    "roadmaps renamed": Change(
        "ALTER TABLE roadmap_metadata RENAME TO roadmaps", {"roadmap_metadata": "roadmaps"}
    ),
    "everything moved": Change(move(*TABLES, "quiz_attempts"), search_path="app,public"),
    "the schema renamed": Change(
        "ALTER SCHEMA public RENAME TO app; CREATE SCHEMA public", search_path="app,public"
    ),
    "quizzes partitioned": Change(PARTITIONED),
    "quizzes partitioned by roadmap": Change(
        PARTITIONED.replace(
            "(quiz_id)) PARTITION BY HASH (quiz_id)", "(quiz_id, roadmap_id)) PARTITION BY HASH (roadmap_id)"
        ).partition(";\nALTER TABLE quiz_attempts ADD")[0]
    ),
    "a key of two columns": Change(
        f"{NO_KEY}; ALTER TABLE quiz_metadata ADD PRIMARY KEY (quiz_id, roadmap_id)"
    ),
    "no key": Change(NO_KEY),
    "a check that is not valid": Change(
        "ALTER TABLE quiz_metadata ADD CHECK (total_questions < 1) NOT VALID"
    ),
    "a schema without rights": Change(NO_USAGE),
    "concept_metadata dropped": Change(
        "DROP TABLE concept_metadata",
        unused=("prepare a concept's metadata", "change a concept's metadata"),
    ),
    "our triggers disabled": Change("ALTER TABLE quiz_metadata DISABLE TRIGGER USER"),
    "times with a zone": change_type("timestamp without time zone", "timestamptz"),
    "a column without a default": Change(
        "ALTER TABLE quiz_metadata ADD COLUMN tenant text; UPDATE quiz_metadata SET tenant = 't';"
        "ALTER TABLE quiz_metadata ALTER COLUMN tenant SET NOT NULL",
        replaced=_TENANT,
    ),
    "generated columns": Change(
        "ALTER TABLE quiz_metadata ADD COLUMN n integer GENERATED ALWAYS AS (total_questions * 2) STORED,"
        " ADD COLUMN m bigint GENERATED ALWAYS AS IDENTITY"
    ),
    "a column with a default": Change(
        "ALTER TABLE quiz_metadata ADD COLUMN tenant text NOT NULL DEFAULT 't'"
    ),
    "texts": change_type("character varying", "text"),
    "another collation": Change(
        f"{ANY_CASE}; {change_type('character varying', 'varchar COLLATE any_case').sql}"
    ),
    "binary documents": change_type("json", "jsonb"),
    "large numbers": change_type("integer", "bigint"),
    "a trigger without schemas": Change(AUDIT),
    "a check without schemas": Change(CHECKED),
    "row level security": Change("ALTER TABLE quiz_metadata ENABLE ROW LEVEL SECURITY"),
    "our archive dropped": Change("DROP TABLE IF EXISTS content_archive"),
    "unique rows": Change(
        "ALTER TABLE quiz_metadata ADD UNIQUE (roadmap_id, concept_id)",
        unused=("insert a second quiz", "insert a second quiz beside attempts"),
    ),
    "a view in place of a table": Change(
        "ALTER TABLE quiz_metadata RENAME TO quizzes; CREATE VIEW quiz_metadata AS SELECT * FROM quizzes;"
        "DO $$ DECLARE role name; BEGIN FOR role IN SELECT DISTINCT pg_get_userbyid(grantee)"
        " FROM pg_class, aclexplode(relacl) WHERE relname = 'quizzes' LOOP"
        " EXECUTE format('GRANT ALL ON quiz_metadata TO %I', role); END LOOP; END $$"
    ),
    "a table of concepts": Change(
        "CREATE TABLE concepts (id varchar PRIMARY KEY);"
        "INSERT INTO concepts SELECT concept_id FROM concept_metadata;"
        "ALTER TABLE quiz_metadata ADD FOREIGN KEY (concept_id) REFERENCES concepts"
    ),
    "a table of users": Change(
        "CREATE TABLE people (id varchar PRIMARY KEY);"
        "INSERT INTO people SELECT DISTINCT user_id FROM roadmap_tasks;"
        "ALTER TABLE roadmap_tasks ADD FOREIGN KEY (user_id) REFERENCES people"
    ),
    "cascading deletes": Change(
        "ALTER TABLE quiz_metadata DROP CONSTRAINT quiz_metadata_roadmap_id_fkey,"
        " ADD FOREIGN KEY (roadmap_id) REFERENCES roadmap_metadata ON DELETE CASCADE"
    ),
}

QUIZ, TUTORIAL, RESOURCES = "quiz_metadata", "tutorial_metadata", "resource_recommendation_metadata"
CONTENT = (TUTORIAL, RESOURCES, QUIZ)


def each(kind: str, table: str, *names: str) -> set[str]:
    """The findings of a kind about a table's columns, triggers or indexes."""
    joined = "{1}.{0}" if kind.startswith("column") else "{0} of {1}"
    return {f"{kind} {joined.format(name, table)}" for name in names}


def renamed(old: str, new: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> set[str]:
    """A column has another name, which is required where the old one was."""
    return {f"column_missing {table}.{old}" for table in (*required, *optional)} | {
        f"column_required {table}.{new}" for table in required
    }


def fails(table: str, *triggers: str) -> set[str]:
    return each("trigger_fails", table, *(f"content_{trigger}" for trigger in triggers))


_SAVING_TUTORIALS = ("before_tutorial", "after_tutorial")
_KEEPING = {
    TUTORIAL: ("keep_tutorial_changed", "keep_tutorial_deleted"),
    RESOURCES: ("keep_resources_changed", "keep_resources_deleted"),
    QUIZ: ("keep_quiz_deleted",),
}
_BEFORE = {TUTORIAL: _SAVING_TUTORIALS, RESOURCES: ("before_resources",), QUIZ: ("before_quiz",)}
_NOTING = set().union(
    *(fails(table, "note_change") for table in (*CONTENT, "roadmap_metadata", "concept_metadata"))
)
_OF_ROWS = set().union(*(fails(table, *_BEFORE[table], *_KEEPING[table]) for table in CONTENT))
_QUIZ_TRIGGERS = tuple(
    f"content_{name}" for name in ("before_quiz", "keep_quiz_changed", "keep_quiz_deleted", "note_change")
)

_CREATED_AGAIN = (
    each("trigger_missing", QUIZ, *_QUIZ_TRIGGERS)
    | each("index_missing", QUIZ, "content_quiz_by_concept")
    | {f"privilege_missing {QUIZ}"}
)

FINDINGS: Mapping[str, set[str]] = {
    "concept_id renamed": renamed(
        "concept_id", "topic_id", (*CONTENT, "concept_metadata"), ("execution_logs",)
    )
    | _OF_ROWS
    | fails(TUTORIAL, "keep_version"),
    "roadmap_id renamed": renamed(
        "roadmap_id",
        "course_id",
        (*CONTENT, "concept_metadata"),
        ("execution_logs", "roadmap_metadata", "roadmap_tasks"),
    )
    | _OF_ROWS
    | _NOTING
    | fails(TUTORIAL, "keep_version")
    | fails("roadmap_metadata", "forget_roadmap")
    | fails("roadmap_tasks", "note_task"),
    "current_step renamed": renamed("current_step", "stage", (), ("roadmap_tasks",))
    | fails("roadmap_tasks", "before_task"),
    "status renamed": renamed("status", "state", (), ("roadmap_tasks",))
    | _NOTING
    | fails("roadmap_tasks", "before_task", "note_task"),
    "celery_task_id renamed": each("column_missing", "roadmap_tasks", "celery_task_id"),
    "attempts name their quiz otherwise": each("column_missing", "quiz_attempts", "quiz_id"),
    "content_version dropped": each("column_missing", TUTORIAL, "content_version")
    | fails(TUTORIAL, *_SAVING_TUTORIALS, "keep_version"),
    "is_latest dropped": each("column_missing", TUTORIAL, "is_latest") | fails(TUTORIAL, *_SAVING_TUTORIALS),
    "content_version a text": each("column_type", TUTORIAL, "content_version")
    | fails(TUTORIAL, *_SAVING_TUTORIALS),
    "quizzes renamed": {f"table_missing {QUIZ}"} | fails("quizzes", "before_quiz"),
    "tasks renamed": {"table_missing roadmap_tasks"} | _NOTING | fails("tasks", "note_task"),
    "roadmaps renamed": {"table_missing roadmap_metadata"}.union(
        *(fails(table, *_KEEPING[table]) for table in CONTENT), fails(QUIZ, "keep_quiz_changed")
    ),
    "everything moved": {f"table_missing {table}" for table in (*TABLES, "quiz_attempts")}
    | _OF_ROWS
    | _NOTING
    | fails(TUTORIAL, "keep_version")
    | fails("roadmap_tasks", "note_task"),
    "the schema renamed": {"table_missing content_installation"},
    "quizzes partitioned": _CREATED_AGAIN,
    "quizzes partitioned by roadmap": _CREATED_AGAIN,
    "concept_metadata dropped": {"table_missing concept_metadata"},
    "our triggers disabled": each("trigger_disabled", QUIZ, *_QUIZ_TRIGGERS),
    "times with a zone": {f"column_type {table}.generated_at" for table in CONTENT}
    | each("column_type", "roadmap_metadata", "created_at", "deleted_at")
    | each("column_type", "roadmap_tasks", "created_at", "updated_at", "completed_at")
    | each("column_type", "execution_logs", "created_at")
    | each("column_type", "concept_metadata", "created_at", "updated_at", "all_content_completed_at")
    | {f"column_type concept_metadata.{noun}_completed_at" for noun in ("tutorial", "resources", "quiz")},
    "a column without a default": each("column_required", QUIZ, "tenant"),
    "row level security": {f"rows_hidden {QUIZ}"},
    "our archive dropped": {"table_missing content_archive"}.union(
        *(fails(table, *_KEEPING[table]) for table in CONTENT),
        fails(QUIZ, "before_quiz"),
        fails(RESOURCES, "before_resources"),
        fails("roadmap_metadata", "forget_roadmap"),
    ),
}
"""The findings of each change, after every write. The other changes are harmless."""

_NOTHING = {"claim", "read", "restore", "sweep", "erasure"}
"""The first failure: a retry that cannot be claimed saves nothing."""

_NO_QUIZ = {"save of quiz", "replacement of quiz"}

_NO_SAVE = {f"save of {content_type}" for content_type in PRODUCT_TYPES}

_PLAY = "statement_fails "

OURS: Mapping[str, set[str]] = {
    **dict.fromkeys(("concept_id renamed", "current_step renamed", "status renamed"), _NOTHING - {"erasure"}),
    **dict.fromkeys(
        (
            *("roadmap_id renamed", "quizzes renamed", "tasks renamed", "roadmaps renamed"),
            *("everything moved", "the schema renamed", "quizzes partitioned", "a schema without rights"),
            *("quizzes partitioned by roadmap", "row level security"),
        ),
        _NOTHING,
    ),
    "a key of two columns": _NO_QUIZ,
    "no key": _NO_QUIZ,
    "a check that is not valid": _NO_QUIZ | {"restore"},
    "a check without schemas": _NO_QUIZ | {"restore"},
    "celery_task_id renamed": {"claim"},
    "content_version dropped": {"outcome", "restore", "sweep"},
    "is_latest dropped": {"outcome", "restore", "sweep"} | _NO_SAVE,
    "content_version a text": {"save of tutorial", "replacement of tutorial"},
    "a column without a default": {"save of quiz"},
    "our archive dropped": _NOTHING - {"claim", "read", "erasure"} | {"outcome"} | _NO_SAVE,
    "a trigger without schemas": {"replacement of quiz", "restore", "erasure"},
}
"""Our operations that fail after each change. With the other changes, nothing."""

UNKNOWN = {"a table of concepts": {"not_rehearsed save of quiz"}}
"""Plays that show nothing: the product's new table does not know the concept of the rehearsal."""

ONLY_TO_THE_READER = {"a schema without rights": {"table_missing content_installation"}}
"""The findings of health, which reads with another role than the tests."""

OLD_SESSIONS: Mapping[str, set[str]] = {
    "texts": _OF_ROWS - fails(TUTORIAL, "after_tutorial")
    | _NOTING
    | fails("roadmap_metadata", "forget_roadmap")
    | fails("roadmap_tasks", "before_task", "note_task"),
    "a view in place of a table": fails("quizzes", "before_quiz"),
    "large numbers": fails(TUTORIAL, *_SAVING_TUTORIALS) | fails("roadmap_tasks", "before_task"),
}
"""Operations that may fail only in sessions from before a change: PL/pgSQL keeps the types of NEW with the
plan of an expression. They do not fail if the server has reset the plans of all sessions since.
"""


@contextmanager
def session(url: str, search_path: str = "public") -> Iterator[Engine]:
    """One session of the product."""
    options = {"options": f"-c search_path={search_path}"}
    engine = create_engine(url, pool_size=1, max_overflow=0, connect_args={"startup_params": options})
    try:
        yield engine
    finally:
        engine.dispose()


def write(engine: Engine, change: Change) -> list[str]:
    """Do all writes of the product; return those that failed, with the reason."""
    failed = []
    for name in WRITES:
        if name in change.unused:
            continue
        try:
            with engine.begin() as connection:
                for statement in change.statements(name):
                    named = {key: value for key, value in IDS.items() if f":{key}" in statement}
                    connection.execute(text(statement), named)
        except DBAPIError as error:
            failed.append(f"{name}: {sqlstate_and_reason(error)}")
    return failed


def filled(url: str) -> Product:
    product = Product(url)
    product.install(FORMS["create_all"])
    fill(product)
    product.engine.dispose()
    return product


@pytest.fixture(scope="session")
def templates(database_server: Server) -> Iterator[tuple[str, str]]:
    """The product's database with rows, without us and adopted. The roles have the prefix of the latter."""
    with (
        copied_database(database_server.url) as (alone, url),
        copied_database(database_server.url) as (beside, adopted_url),
    ):
        filled(url)
        adopted = Deployment(filled(adopted_url), create_roles(adopted_url, f"{beside}_"))
        S3.create_bucket(Bucket="content")
        adopted.migrate()
        prepare(adopted)
        adopted.dispose()
        yield alone, beside
    drop_roles(database_server.url, f"{beside}_")


@contextmanager
def copy_of(server: Server, beside: str) -> Iterator[Deployment]:
    """A copy of the adopted database, with the same roles."""
    with copied_database(server.url, beside) as (_, url):
        copy = Deployment(Product(url), create_roles(url, f"{beside}_"))
        yield copy
        copy.dispose()


@pytest.mark.parametrize("name", CHANGES)
def test_a_later_change_breaks_no_write_of_the_product_and_is_predicted_for_ours(
    database_server: Server, templates: tuple[str, str], bucket_name: str, name: str
) -> None:
    """A play is compared if the rehearsal and reality have reached it. Of our triggers, some may not run."""
    change, (alone, beside), findings = CHANGES[name], templates, FINDINGS.get(name, set())
    with copied_database(database_server.url, alone) as (_, url), session(url, change.search_path) as product:
        with product.begin() as connection:
            connection.exec_driver_sql(change.sql)
        assert write(product, change) == [], "the product's own code fails"
    with copy_of(database_server, beside) as copy:
        rehearsal = rehearse(change.sql, copy.product.url)
        assert rehearsal.before == [], "a play fails on the copy itself"
        predicted = {f"{found.kind} {found.object}": found.message for found in rehearsal.findings}
    with (
        copy_of(database_server, beside) as copy,
        session(copy.product.url, change.search_path) as old,
        session(copy.product.url, change.search_path) as new,
    ):
        assert write(old, Change("")) == []
        with copy.product.engine.begin() as connection:
            connection.exec_driver_sql(change.sql)
        broken = write(new, change)
        found = findings_of(copy.product.engine)
        broken += write(old, change)
        found_in_old = findings_of(copy.product.engine) - found
        failed = failing(copy)

    refused = {finding.removeprefix(_PLAY) for finding in predicted if finding.startswith(_PLAY)}
    differences = {finding for finding in predicted if not finding.startswith(_PLAY)}
    assert (broken, found, failed) == ([], findings, OURS.get(name, set()))
    assert found_in_old <= OLD_SESSIONS.get(name, set())
    if "not_rehearsed our statements" in predicted:
        assert {"claim", "read"} <= failed
    else:
        compared = comparable(refused, failed)
        assert refused & compared == failed & compared, predicted
    unknown = UNKNOWN.get(name, set())
    assert unknown <= differences
    assert bool(predicted.keys() - unknown) == bool(failed or findings)
    differences -= {"not_rehearsed our statements", *unknown}
    differences ^= findings | ONLY_TO_THE_READER.get(name, set())
    assert {finding.split()[0] for finding in differences} <= {"trigger_fails"}


@pytest.fixture
def beside(database_server: Server, templates: tuple[str, str]) -> Iterator[Product]:
    """The product with rows, after the adoption."""
    with copied_database(database_server.url, templates[1]) as (_, url):
        product = Product(url)
        yield product
        product.engine.dispose()


def test_a_quiz_keeps_its_row_if_a_later_migration_renames_what_refers_to_it(beside: Product) -> None:
    change = CHANGES["attempts name their quiz otherwise"]
    beside.execute(change.sql.partition(";")[0])
    beside.execute(change.sql.partition(";")[2])
    kept = "SELECT quiz_id FROM quiz_metadata WHERE concept_id = :c"
    before = beside.rows(kept, c=CONCEPTS[1])

    beside.execute(_SECOND_QUIZ, roadmap_id="r-1", other_concept_id=CONCEPTS[1])

    assert beside.rows(kept, c=CONCEPTS[1]) == before


def test_migrating_restores_a_recreated_table(
    database_server: Server, templates: tuple[str, str], bucket_name: str
) -> None:
    """Its triggers archive again, and a migration finds nothing more."""
    with copy_of(database_server, templates[1]) as copy:
        with copy.product.engine.begin() as connection:
            connection.exec_driver_sql(PARTITIONED)
            connection.exec_driver_sql("ALTER TABLE roadmap_tasks DROP COLUMN attempt")
        copy.migrate()
        assert findings_of(copy.product.engine) == set()

        for _ in range(2):
            assert write(copy.product.engine, Change("")) == []

        assert findings_of(copy.product.engine) == set()
        assert copy.product.rows("SELECT 1 FROM content_archive WHERE source_table = 'quiz_metadata'")


OUR_TABLES = r"""
SELECT c.relname AS name, CAST(c.relacl AS text) AS rights,
    CAST(array_agg((a.attname, a.atttypid, a.atttypmod, a.attnotnull) ORDER BY a.attnum) AS text) AS columns,
    (SELECT array_agg(indexdef ORDER BY indexdef) FROM pg_indexes WHERE tablename = c.relname) AS indexes
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relkind = 'r' AND c.relname ~ '^(content_|generation_)' AND c.relname <> 'content_schema_version'
GROUP BY c.oid ORDER BY c.relname
"""


@pytest.mark.parametrize("dropped", ["content_archive", "every table"])
def test_migrating_creates_a_dropped_table_of_ours_again(
    database_server: Server, templates: tuple[str, str], bucket_name: str, dropped: str
) -> None:
    """As the finding advises. Its rows are gone."""
    with copy_of(database_server, templates[1]) as copy:
        before = copy.product.rows(OUR_TABLES)
        names = [row["name"] for row in before] if dropped == "every table" else [dropped]
        copy.product.execute(f"DROP TABLE {', '.join(names)} CASCADE")
        named = "content_installation" if dropped == "every table" else dropped
        assert "invoke migrate_database" in copy.findings()[f"table_missing {named}"]

        copy.migrate()

        assert copy.product.rows(OUR_TABLES) == before
        assert findings_of(copy.product.engine) == set()
        assert copy.product.rows("SELECT slots FROM content_capacity") == [{"slots": 10}]
        assert failing(copy) == set()


def test_a_key_that_does_not_know_the_rehearsal_stops_no_deployment(
    database_server: Server, templates: tuple[str, str], bucket_name: str
) -> None:
    with copy_of(database_server, templates[1]) as copy:
        copy.product.execute(CHANGES["a table of concepts"].sql)
        copy.migrate()


MIGRATION = """
-- a comment; with a semicolon
BEGIN;
ALTER TABLE quiz_metadata RENAME concept_id TO topic_id;
COMMIT;
CREATE INDEX CONCURRENTLY another ON quiz_metadata (topic_id);
DO $$ BEGIN PERFORM 1; PERFORM 'a;b'; END $$;
DO $$ BEGIN RAISE NOTICE '% of %', 1, 2; EXECUTE format('CREATE TABLE %I (what text)', 'notes'); END $$;
INSERT INTO notes SELECT 'a%b' WHERE '100%' LIKE '100%' AND 7 % 4 = 3;
ALTER TABLE roadmap_tasks ALTER COLUMN status TYPE text
"""


def test_a_migration_is_rehearsed_on_a_copy(beside: Product, tmp_path: Path) -> None:
    file = tmp_path / "product.sql"
    file.write_text(MIGRATION)
    beside.engine.dispose()
    before = beside.everything()
    arguments = ("doctor", "--product-migration", str(file), "--database", beside.url)

    found = CliRunner().invoke(app, arguments, catch_exceptions=False)

    assert found.exit_code == 1, found.output
    broken, *_ = found.stdout.partition("only in sessions from before")
    lines = {" ".join(line.split(":")[0].split()) for line in broken.splitlines()}
    assert {line for line in lines if not line.startswith(_PLAY)} == {
        *renamed("concept_id", "topic_id", (QUIZ,)),
        *fails(QUIZ, "before_quiz", "keep_quiz_deleted"),
    }
    assert f"{_PLAY}save of quiz" in lines
    assert beside.rows("SELECT what FROM notes") == [{"what": "a%b"}]
    assert beside.rows("SELECT count(*) AS rows FROM quiz_metadata") == [{"rows": len(before[QUIZ])}]

    file.write_text("ALTER TABLE quiz_metadata ADD COLUMN tenant text")
    again = CliRunner().invoke(app, arguments)
    harmless, _, already = again.stdout.partition("already before the migration")
    assert (again.exit_code, harmless) == (1, "the migration breaks nothing of ours\n")
    assert "statement_fails save of quiz" in already


def test_a_rehearsal_acts_as_the_owner_of_the_tables_and_as_our_roles(
    database_server: Server, templates: tuple[str, str]
) -> None:
    """A superuser may; a new table belongs to the owner: it may not act as our roles."""
    with copy_of(database_server, templates[1]) as copy:
        owner = f"owner_{make_url(copy.product.url).database}"
        copy.product.execute(
            f"CREATE ROLE {owner} LOGIN PASSWORD 'p'; GRANT CREATE ON SCHEMA public TO {owner}"
        )
        tables = (*TABLES, "quiz_attempts")
        copy.product.execute(";".join(f"ALTER TABLE {table} OWNER TO {owner}" for table in tables))
        copy.product.execute(f"GRANT {owner} TO {copy.roles.names.migrator}")
        try:
            url = make_url(copy.product.url)
            as_owner = url.set(username=owner, password="p").render_as_string(hide_password=False)
            with pytest.raises(RefusedError, match=f"{owner} may not act as .*_writer.*superuser"):
                rehearse("CREATE TABLE another (id text)", as_owner)
            for number, user in enumerate((copy.product.url, copy.roles.migrator)):
                rehearsal = rehearse(f"CREATE TABLE another_{number} (id text)", user)
                assert (rehearsal.before, rehearsal.is_broken) == ([], False)
            owners = "SELECT tableowner FROM pg_tables WHERE tablename LIKE 'another%'"
            assert copy.product.rows(owners) == 2 * [{"tableowner": owner}]
        finally:
            copy.product.execute(f"REASSIGN OWNED BY {owner} TO CURRENT_USER; DROP OWNED BY {owner}")
            copy.product.execute(f"DROP ROLE {owner}")


def test_a_rehearsal_refuses_a_database_that_is_not_adopted(product: Product) -> None:
    with pytest.raises(RefusedError, match="no copy of an adopted database"):
        rehearse("DROP TABLE quiz_metadata CASCADE", product.url)
    assert product.has("quiz_metadata")


def test_what_cannot_be_restored_stays_a_finding(beside: Product) -> None:
    beside.execute("ALTER TABLE quiz_metadata DROP COLUMN concept_id")
    with beside.engine.begin() as connection:
        restore(connection)
    assert findings_of(beside.engine) == each("column_missing", QUIZ, "concept_id") | each(
        "index_missing", QUIZ, "content_quiz_by_concept"
    )


def test_a_failure_is_recorded_once_per_transaction_and_trigger(beside: Product) -> None:
    beside.execute("ALTER TABLE roadmap_tasks RENAME current_step TO stage")
    for _ in range(2):
        with beside.engine.begin() as connection:
            for _ in range(3):
                connection.execute(text("UPDATE roadmap_tasks SET stage = 'init'"))
    assert beside.rows("SELECT object, count(*) AS rows FROM content_findings GROUP BY object") == [
        {"object": "content_before_task of roadmap_tasks", "rows": 2}
    ]


def test_the_row_is_written_as_it_came_also_if_the_trigger_changed_it_before_it_failed(
    beside: Product,
) -> None:
    body = "BEGIN NEW.title = 'of ours'; RAISE 'failed'; END;"
    with beside.engine.begin() as connection:
        create_trigger(connection, "content_changes_titles", "BEFORE UPDATE", TUTORIAL, body)
    beside.execute("UPDATE tutorial_metadata SET title = 'of the product'")
    assert {row["title"] for row in beside.rows("SELECT title FROM tutorial_metadata")} == {"of the product"}
    assert findings_of(beside.engine) == fails(TUTORIAL, "changes_titles")


def test_a_write_succeeds_if_the_failure_cannot_even_be_recorded(beside: Product) -> None:
    beside.execute("ALTER TABLE roadmap_tasks RENAME current_step TO stage; DROP TABLE content_findings")
    beside.execute("UPDATE roadmap_tasks SET stage = 'init'")
    assert {row["stage"] for row in beside.rows("SELECT stage FROM roadmap_tasks")} == {"init"}


@pytest.mark.parametrize(("limit", "sqlstate"), [("lock_timeout", ""), ("statement_timeout", "57014")])
def test_a_lock_that_ours_waits_for_fails_no_write_but_a_cancelled_statement_ends(
    beside: Product, limit: str, sqlstate: str
) -> None:
    with beside.engine.connect() as other, session(beside.url) as product:
        other.execute(text("LOCK TABLE content_archive IN EXCLUSIVE MODE"))
        with product.connect() as connection:
            connection.execute(text(f"SET {limit} = '50ms'"))
            refused = ""
            try:
                connection.execute(text(_SECOND_QUIZ), {"roadmap_id": "r-1", "other_concept_id": CONCEPTS[1]})
                connection.commit()
            except DBAPIError as error:
                refused = sqlstate_and_reason(error)[0]
        assert refused == sqlstate
        other.rollback()
    saved = beside.rows("SELECT 1 FROM quiz_metadata WHERE concept_id = :c", c=CONCEPTS[1])
    assert len(saved) == (1 if sqlstate else 2)
    assert findings_of(beside.engine) == (set() if sqlstate else fails(QUIZ, "before_quiz"))
