"""After adoption every write operation of the product still succeeds, also concurrently with our Save."""

import random
import string
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from secrets import token_urlsafe
from types import SimpleNamespace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import MetaData, NullPool, create_engine, make_url, text

from local_stack.given_database import AdoptedDatabase, NotPermittedError
from local_stack.postgres_server import Server
from local_stack.stack import LocalStack
from migrations import migrate
from migrations.installation import OWN_COLUMNS
from migrations.rehearsal import insert_trial
from roadmap_content.api.health import attention_for
from roadmap_content.content.kind import save_parameters
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.metadata import lock_roadmap
from roadmap_content.content.rows import current_revisions, current_rows, merge_items, saved_concepts
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.state.tasks.time_zone import time_ahead
from tests.product.operations import NEEDS, OPERATIONS, perform
from tests.product.product import EVERY_FORM, Product
from tests.product.running import blocks_of, deadline, findings_of, heal
from tests.support.databases import copied_database
from tests.support.factories import LATER_KINDS, USER, bundle_of, content_of
from tests.support.pipeline import Pipeline
from tests.support.product_schema import FORMS

IDS = {
    "roadmap_id": "r-1",
    "task_id": "t-1",
    "user_id": USER,
    "concept_id": "r-1:c-1",
    "other_concept_id": "r-1:c-2",
}

LONGEST_ID = 2_692
"""Bytes, in an index of the product."""

CONCEPTS = [IDS["concept_id"], IDS["other_concept_id"]]

WRITTEN = (
    "roadmap_tasks",
    "roadmap_metadata",
    "tutorial_metadata",
    "resource_recommendation_metadata",
    "quiz_metadata",
)
"""The tables of the product that this system writes, and has triggers on."""


def operations_of(product: Product) -> list[str]:
    return [name for name in OPERATIONS if name not in NEEDS or product.has(NEEDS[name])]


def fill(product: Product) -> None:
    product.roadmap("r-1", CONCEPTS)
    product.task("t-1", "partial_failure", roadmap_id="r-1")
    for concept_id in CONCEPTS:
        product.complete("r-1", concept_id)


@EVERY_FORM
@pytest.mark.parametrize("times", [1, 2])
def test_every_write_operation_succeeds(adopted: Product, times: int) -> None:
    assert len(OPERATIONS) == 21
    fill(adopted)

    for _ in range(times):
        for name in operations_of(adopted):
            perform(adopted.engine, name, IDS)

    latest = adopted.rows(
        "SELECT concept_id, content_version, (SELECT max(content_version) FROM tutorial_metadata t "
        "WHERE t.concept_id = l.concept_id) AS highest FROM tutorial_metadata l WHERE is_latest"
    )
    assert sorted(row["concept_id"] for row in latest) == CONCEPTS
    assert all(row["content_version"] == row["highest"] for row in latest)


@pytest.mark.parametrize("length", [1_900, LONGEST_ID])
def test_every_write_operation_succeeds_with_ids_of_any_length(adopted: Product, length: int) -> None:
    """Of random texts: PostgreSQL compresses others before it measures them."""
    roadmap_id, *concepts = (token_urlsafe(length)[:length] for _ in range(3))
    task_id, user_id = (token_urlsafe(1_900)[:1_900] for _ in range(2))
    ids = {"roadmap_id": roadmap_id, "task_id": task_id, "user_id": user_id}
    ids |= {"concept_id": concepts[0], "other_concept_id": concepts[1]}
    adopted.roadmap(roadmap_id, concepts)
    adopted.task(task_id, "partial_failure", roadmap_id=roadmap_id)
    adopted.execute("UPDATE roadmap_tasks SET user_id = :user_id", user_id=user_id)

    for name in operations_of(adopted) * 2:
        perform(adopted.engine, name, ids)

    items = {Item(concept_id, content_type) for concept_id in concepts for content_type in PRODUCT_TYPES}
    with adopted.engine.connect() as connection:
        assert current_revisions(connection, roadmap_id, items).keys() == items
    assert findings_of(adopted.engine) == set()


INDEXES = """
SELECT format('DROP INDEX %s', CAST(indexrelid AS regclass)) AS drop FROM pg_index
WHERE NOT indisprimary AND CAST(CAST(indrelid AS regclass) AS text) = ANY(:tables)
"""

KEYS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', CAST(conrelid AS regclass), conname) AS drop
FROM pg_constraint WHERE contype = 'p' AND CAST(CAST(conrelid AS regclass) AS text) = ANY(:tables)
"""

TEXTS_IN_OUR_INDEXES = """
SELECT DISTINCT CAST(x.indrelid AS regclass) AS "table", a.attname AS "column"
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_depend d ON d.classid = CAST('pg_class' AS regclass) AND d.objid = i.oid AND d.refobjid = x.indrelid
JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = d.refobjsubid
JOIN pg_type t ON t.oid = a.atttypid AND t.typcategory = 'S'
WHERE i.relname LIKE 'content\\_%' AND CAST(CAST(x.indrelid AS regclass) AS text) = ANY(:tables)
"""


def test_no_index_of_ours_refuses_a_text(product: Product) -> None:
    """Without the product's own keys and indexes, which have a limit themselves. The texts are random:
    PostgreSQL compresses others before it measures them.
    """
    tables = list(WRITTEN)
    for index in product.rows(INDEXES, tables=tables):
        product.execute(index["drop"])
    migrate(product.url)
    fill(product)
    for key in product.rows(KEYS, tables=tables):
        product.execute(key["drop"])
    written = [
        row for row in product.rows(TEXTS_IN_OUR_INDEXES, tables=tables) if row["column"] not in OWN_COLUMNS
    ]
    assert {row["column"] for row in written} >= {"user_id", "status", "task_id", "roadmap_id", "concept_id"}

    with product.engine.connect() as connection:

        @given(st.integers(1, 8_100))
        @example(2_692)
        @example(8_100)
        def write(length: int) -> None:
            text_value = "".join(random.Random(length).choices(string.printable, k=length))  # noqa: S311
            for row in written:
                savepoint = connection.begin_nested()
                statement = text(f"UPDATE {row['table']} SET {row['column']} = :text")
                connection.execute(statement, {"text": text_value})
                savepoint.rollback()

        write()


COLLATED = """
SELECT CAST(i.relname AS text) AS name
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid, unnest(x.indcollation) AS c
WHERE i.relname LIKE 'content\\_%' AND CAST(CAST(x.indrelid AS regclass) AS text) = ANY(:tables)
    AND i.relam <> (SELECT oid FROM pg_am WHERE amname = 'hash')
    AND c <> 0 AND c <> (SELECT oid FROM pg_collation WHERE collname = 'C')
"""


def test_no_index_of_ours_sorts_by_a_collation_of_the_product(adopted: Product) -> None:
    """It may be nondeterministic, which has no patterns: only ICU has such, and our own server has no ICU."""
    assert adopted.rows(COLLATED, tables=list(WRITTEN)) == [{"name": "content_task_by_execution"}]


def test_every_write_operation_succeeds_in_another_schema(database_server: Server, form: str) -> None:
    with copied_database(database_server.url) as (name, url):
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.exec_driver_sql('CREATE SCHEMA "Learning App"')
            connection.exec_driver_sql(f'ALTER DATABASE {name} SET search_path = "Learning App"')
        product = Product(url)
        product.install(FORMS[form])
        migrate(url)
        fill(product)
        for operation in operations_of(product) * 2:
            perform(product.engine, operation, IDS)
        with product.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql(
                "INSERT INTO quiz_metadata SELECT 'another', concept_id, roadmap_id, questions, 0, 0, 0, 0, "
                "generated_at FROM quiz_metadata LIMIT 1"
            )
            connection.exec_driver_sql("SET LOCAL session_replication_role = origin")
            assert merge_items(connection, "r-1") == 1
        assert product.rows("SELECT 1 FROM content_archive")
        product.engine.dispose()


@EVERY_FORM
@pytest.mark.parametrize("table", WRITTEN)
def test_the_product_s_migrations_can_change_the_type_of_each_column(adopted: Product, table: str) -> None:
    """PostgreSQL refuses it for a column that the definition of a trigger names."""
    columns = adopted.rows(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped",
        table=table,
    )
    assert len(columns) > 5
    keys = adopted.rows(
        "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', CAST(conrelid AS regclass), conname) AS drop"
        " FROM pg_constraint WHERE contype = 'f'"
    )
    for column in columns:
        change = f"ALTER TABLE {table} ALTER COLUMN {column['attname']} TYPE"
        adopted.execute(f"{change} {column['type']}")
        with adopted.engine.connect() as connection:  # rolled back
            for key in keys:
                connection.execute(text(key["drop"]))
            connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column['attname']} DROP DEFAULT"))
            digest = f"CAST(md5(CAST({column['attname']} AS text)) AS uuid)"
            connection.execute(text(f"{change} uuid USING {digest}"))
            if column["attname"].endswith("status"):
                connection.execute(text("CREATE TYPE state AS ENUM ('failed')"))
                connection.execute(text(f"{change} state USING CAST('failed' AS state)"))


@EVERY_FORM
def test_adoption_changes_no_row_and_succeeds_with_every_row(product: Product) -> None:
    fill(product)
    before = product.everything()

    migrate(product.url)

    after = product.everything()
    after["roadmap_tasks"] = [
        line.replace(',"attempt":0,"execution_arn":null', "") for line in after["roadmap_tasks"]
    ]
    assert after == before | {kind.table: [] for kind in LATER_KINDS}


def test_the_product_s_schema_tool_proposes_nothing_about_what_is_ours(product: Product) -> None:
    """With its own `env.py` after the change of the document."""
    models = MetaData()
    models.reflect(product.engine)
    models.remove(models.tables["alembic_version"])
    migrate(product.url)
    options: dict[str, Any] = {}
    context = SimpleNamespace(configure=lambda *_, **given: options.update(given))
    (block,) = blocks_of("adopting.md", "python")
    exec(block, {"context": context})  # noqa: S102 - our own document
    with product.engine.connect() as connection:

        def proposed(**opts: Any) -> list[Any]:
            return list(compare_metadata(MigrationContext.configure(connection, opts=opts), models))

        assert proposed(**options) == []
        assert {"remove_table", "remove_column", "remove_index"} <= {change[0] for change in proposed()}


def save(
    product: Product, content_type: ContentType, before_commit: Callable[[], object] = lambda: None
) -> list[str]:
    """Save an item of the first concept like Save; return why it was not written."""
    kind = CONTENT_KINDS[content_type]
    with product.engine.begin() as connection:
        lock_roadmap(connection, "r-1")
        row = kind.to_row("r-1", "r-1:c-1", content_of(content_type, "r-1:c-1"))
        unwritten = connection.execute(text(kind.sql.save), save_parameters("r-1", [row])).all()
        before_commit()
    return [each.row_status for each in unwritten]


_OPERATION_OF = {
    ContentType.TUTORIAL: "save a tutorial",
    ContentType.RESOURCES: "save resources",
    ContentType.QUIZ: "save a quiz",
}

WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


def await_waiting(product: Product) -> None:
    pause = threading.Event()
    for _ in range(500):
        with product.engine.connect() as connection:
            if connection.scalar(text(WAITING)):
                return
        pause.wait(0.01)
    pytest.fail("nobody waits")


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("content_type", PRODUCT_TYPES)
def test_save_and_the_product_insert_while_the_other_has_not_committed(
    adopted: Product, content_type: ContentType, first: str
) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    wrote, hold = threading.Event(), threading.Event()
    works: list[Callable[..., object]] = [
        partial(save, adopted, content_type),
        partial(perform, adopted.engine, _OPERATION_OF[content_type], IDS),
    ]
    earlier, later = works if first == "ours" else reversed(works)

    def wait() -> None:
        wrote.set()
        hold.wait(600)

    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(earlier, wait)
        wrote.wait(600)
        other = pool.submit(later)
        await_waiting(adopted)
        hold.set()
        waiting.result()
        other.result()

    require_one_current_row(adopted, content_type)


def require_one_current_row(product: Product, content_type: ContentType) -> None:
    with product.engine.connect() as connection:
        current = current_rows(connection, "r-1")[content_type]
        assert saved_concepts(connection, "r-1")[content_type] == {"r-1:c-1"}
    if content_type is ContentType.TUTORIAL:
        rows = product.rows("SELECT tutorial_id, content_version, is_latest FROM tutorial_metadata")
        assert len({row["content_version"] for row in rows}) == len(rows)
        highest = max(rows, key=lambda row: row["content_version"])
        assert [row for row in rows if row["is_latest"]] == [highest]
        assert current["r-1:c-1"]["tutorial_id"] == highest["tutorial_id"]
    else:
        kind = CONTENT_KINDS[content_type]
        table = {"resources": "resource_recommendation_metadata", "quiz": "quiz_metadata"}[content_type]
        (row,) = product.rows(f"SELECT * FROM {table}")
        assert current["r-1:c-1"][kind.id_field] == row[kind.id_field]


def test_the_product_never_waits_long_for_a_stalled_save(adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    hold, release = threading.Event(), threading.Event()

    def hang() -> None:
        with adopted.engine.begin() as connection:
            lock_roadmap(connection, "r-1")
            hold.set()
            release.wait(600)

    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(hang)
        hold.wait(600)
        perform(adopted.engine, "save a batch of tutorials", IDS)
        assert not hanging.done()
        release.set()

    assert len(adopted.rows("SELECT 1 FROM tutorial_metadata WHERE is_latest")) == 2


def test_if_two_texts_share_a_version_the_visible_one_is_current(adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    adopted.complete("r-1", "r-1:c-1")
    adopted.execute("ALTER TABLE tutorial_metadata DISABLE TRIGGER USER")
    adopted.execute(
        "INSERT INTO tutorial_metadata SELECT 'another', concept_id, roadmap_id, title, summary, "
        "content_url, content_status, content_version, false, 1, generated_at + interval '1 hour' "
        "FROM tutorial_metadata"
    )

    with adopted.engine.connect() as connection:
        current = current_rows(connection, "r-1")[ContentType.TUTORIAL]
    assert current["r-1:c-1"]["tutorial_id"] == "tutorial of r-1:c-1"

    assert save(adopted, ContentType.TUTORIAL) == ["kept"]
    assert len(adopted.rows("SELECT 1 FROM tutorial_metadata")) == 2

    # Of a row without a status, PostgreSQL does not know whether it is completed.
    adopted.execute("ALTER TABLE tutorial_metadata ALTER content_status DROP NOT NULL")
    adopted.execute("UPDATE tutorial_metadata SET content_status = NULL WHERE tutorial_id = 'another'")
    assert save(adopted, ContentType.TUTORIAL) == ["kept"]


@pytest.mark.parametrize("known_by", ["a foreign key", "its name"])
def test_a_second_row_of_the_product_replaces_the_first_in_place_if_a_row_refers_to_it(
    adopted: Product, known_by: str
) -> None:
    fill(adopted)
    perform(adopted.engine, "record a quiz attempt", IDS)
    if known_by == "its name":
        adopted.execute("ALTER TABLE quiz_attempts DROP CONSTRAINT quiz_attempts_quiz_id_fkey")
    insert = (
        "INSERT INTO quiz_metadata SELECT 'second of ' || concept_id, concept_id, roadmap_id, '[]', 0, 0, 0, "
        "0, generated_at + interval '1 second' FROM quiz_metadata"
    )

    adopted.execute(insert)

    kept = adopted.rows("SELECT quiz_id, total_questions FROM quiz_metadata ORDER BY 1")
    assert kept == [
        {"quiz_id": "quiz of r-1:c-1", "total_questions": 0},
        {"quiz_id": "second of r-1:c-2", "total_questions": 0},
    ]
    archived = adopted.rows(
        "SELECT source_row->>'quiz_id' AS id, replaced_by FROM content_archive ORDER BY 1"
    )
    assert archived == [
        {"id": "quiz of r-1:c-1", "replaced_by": "second of r-1:c-1"},
        {"id": "quiz of r-1:c-2", "replaced_by": None},
    ]
    with adopted.engine.connect() as connection:
        current = current_rows(connection, "r-1")[ContentType.QUIZ]
    assert {row["quiz_id"] for row in current.values()} == {"quiz of r-1:c-1", "second of r-1:c-2"}


def test_the_version_stays_unique_when_the_product_saves_a_tutorial_twice(adopted: Product) -> None:
    """Its worker inserts the row, and then updates all columns, with version 1 again."""
    adopted.roadmap("r-1", CONCEPTS)
    for _ in range(3):
        perform(adopted.engine, "save a tutorial", IDS)
        with adopted.engine.begin() as connection:
            connection.execute(text("UPDATE tutorial_metadata SET is_latest = false WHERE is_latest"))
            connection.execute(
                text(
                    "UPDATE tutorial_metadata SET content_version = 1, is_latest = true, summary = 'Twice' "
                    "WHERE tutorial_id = (SELECT tutorial_id FROM tutorial_metadata ORDER BY generated_at "
                    "DESC, content_version DESC LIMIT 1)"
                )
            )

    rows = adopted.rows("SELECT content_version, is_latest FROM tutorial_metadata ORDER BY 1")
    assert [row["content_version"] for row in rows] == [1, 2, 3]
    assert [row["is_latest"] for row in rows] == [False, False, True]


def test_a_role_that_may_only_write_its_own_tables_still_writes_them(adopted: Product) -> None:
    fill(adopted)
    adopted.execute("DROP ROLE IF EXISTS product_writer")
    adopted.execute("CREATE ROLE product_writer")
    try:
        adopted.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON tutorial_metadata, quiz_metadata, quiz_attempts, "
            "roadmap_metadata, resource_recommendation_metadata TO product_writer"
        )
        with adopted.engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE product_writer"))
            # Qualified names and no search path, as in some of its tools.
            connection.execute(text("SET LOCAL search_path = pg_catalog"))
            connection.execute(
                text(
                    "INSERT INTO public.quiz_metadata SELECT 'second of ' || concept_id, concept_id, "
                    "roadmap_id, '[]', 0, 0, 0, 0, generated_at FROM public.quiz_metadata"
                )
            )
    finally:
        adopted.execute("DROP OWNED BY product_writer")
        adopted.execute("DROP ROLE product_writer")
    assert len(adopted.rows("SELECT 1 FROM content_archive")) == 2


def test_the_contradiction_stays_visible_when_the_time_has_passed(
    pipeline: Pipeline, adopted: Product
) -> None:
    """The database was adopted with UTC, and the product writes Beijing time."""

    def ahead() -> timedelta:
        return transact(pipeline.engine, time_ahead, deadline())

    adopted.roadmap("r-1", ["r-1:c-1"])
    assert ahead() == timedelta(0)
    adopted.task("t-1", "failed", roadmap_id="r-1", age="1 second")
    assert timedelta(hours=7.9) < ahead() < timedelta(hours=8)

    heal(pipeline.services)
    (task,) = adopted.rows("SELECT created_at, completed_at, execution_summary FROM roadmap_tasks")
    assert task["completed_at"] < task["created_at"], "what was seen"
    assert task["execution_summary"]["duration_seconds"] >= 0
    for table, column in (("roadmap_tasks", "created_at"), ("content_attempts", "claimed_at")):
        adopted.execute(f"UPDATE {table} SET {column} = {column} - interval '2 days'")

    assert timedelta(hours=7.9) < ahead() < timedelta(hours=8)
    (found,) = attention_for(ahead=ahead())
    assert found.what == "time_zone"
    adopted.execute("UPDATE roadmap_tasks SET created_at = created_at - interval '8 hours'")
    assert ahead() == timedelta(0)


def test_a_user_who_may_not_create_the_roles_is_refused_before_anything_is_built(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    product.execute("CREATE ROLE poor LOGIN PASSWORD 'p'")
    url = make_url(product.url).set(username="poor", password="p").render_as_string(hide_password=False)
    monkeypatch.setattr("local_stack.stack.build_layers", lambda: pytest.fail("it builds"))
    try:
        with pytest.raises(NotPermittedError, match="poor of DATABASE_URL may not create the roles"):
            LocalStack.start(tmp_path, adopted=AdoptedDatabase(url))
    finally:
        product.execute("DROP ROLE poor")


def test_a_bundle_is_loaded_and_run_beside_the_product(pipeline: Pipeline) -> None:
    """Regression: the product requires hours, weeks and a step."""
    bundle = bundle_of(["a"])
    bundle["roadmap"] |= {"total_estimated_hours": None, "recommended_completion_weeks": None}
    pipeline.load(bundle)
    assert pipeline.run().complete


def test_a_trial_can_be_inserted_beside_the_product(adopted: Product) -> None:
    """Regression: the first day on AWS could not begin."""
    with adopted.engine.begin() as connection:
        insert_trial(connection, "first-day-1")
