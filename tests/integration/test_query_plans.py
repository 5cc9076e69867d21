"""The query plans of a batch: the rows that it reads do not grow with the roadmap's other concepts."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from local_stack.database_roles import DatabaseRoles
from local_stack.postgres_server import Server
from roadmap_content.content.kind import ContentKind, save_parameters
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.rows import CURRENT_REVISIONS, current_revisions, current_row, current_rows
from roadmap_content.contracts.items import Item
from tests.integration.test_many_plans import nodes
from tests.support.databases import copied_database
from tests.support.factories import CONTENT_TABLES, bundle_of, concept_ids
from tests.support.pipeline import S3, Pipeline, services_for

SAVED, BATCH = 600, 20
MAX_ROWS_PER_CONCEPT = 5
"""Maximum rows that a batch may read per concept."""

# The roadmap's own row is read for each foreign key.
READ_IN_SCANS = text("""
SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname <> 'roadmap_metadata'
""")


@cache
def bundle() -> dict[str, Any]:
    """The roadmap that grows, with its content."""
    return bundle_of(concept_ids(SAVED + BATCH))


every_kind = pytest.mark.parametrize("kind", CONTENT_KINDS.values(), ids=CONTENT_KINDS)


@pytest.fixture
def database_url(new_database_url: str) -> str:
    """A new database: a plan depends on the statistics and on the size of each table."""
    return new_database_url


@pytest.fixture(scope="module")
def _grown(database_server: Server, migrated_template: tuple[str, DatabaseRoles]) -> Iterator[Engine]:
    """A roadmap that has grown since the last ANALYZE, so that it is empty according to the statistics."""
    with copied_database(database_server.url, migrated_template[0]) as (_, url):
        S3.create_bucket(Bucket="content")
        pipeline = Pipeline(services_for(url))
        neighbours = bundle_of(concept_ids(SAVED, "r-0"), roadmap_id="r-0", task_id="t-0")
        for each in (neighbours, bundle()):
            pipeline.load(each | {"content": []})
        for table in CONTENT_TABLES:
            pipeline.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        with pipeline.engine.begin() as connection:
            for kind in CONTENT_KINDS.values():
                _save(connection, kind, "r-0", neighbours["content"])
            connection.execute(text("ANALYZE"))
            for kind in CONTENT_KINDS.values():
                _save(connection, kind, "r-1", bundle()["content"][:SAVED])
        yield pipeline.engine
        pipeline.engine.dispose()


@pytest.fixture
def grown(_grown: Engine) -> Iterator[Connection]:
    """A transaction in the grown roadmap, which is rolled back."""
    with _grown.connect() as connection:
        yield connection


@every_kind
def test_save_reads_no_rows_of_other_concepts(grown: Connection, kind: ContentKind) -> None:
    """A join would read all 600 rows of the roadmap for each of the 20 concepts, because of the stale
    statistics.
    """
    plan = _save(grown, kind, "r-1", bundle()["content"][SAVED:], "EXPLAIN (ANALYZE, FORMAT JSON)")

    assert _rows_read(plan) <= MAX_ROWS_PER_CONCEPT * BATCH


@every_kind
def test_triggers_read_no_rows_of_other_concepts(pipeline: Pipeline, kind: ContentKind) -> None:
    """A session keeps the plans of its triggers. Those of this session are made while the table is empty."""
    pipeline.load(bundle() | {"content": []})
    content = bundle()["content"]
    for table in CONTENT_TABLES:
        pipeline.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    with pipeline.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    with pipeline.engine.begin() as connection:
        _save(connection, kind, "r-1", content[:SAVED])
    with pipeline.engine.begin() as connection:
        _save(connection, kind, "r-1", content[SAVED:])
        read = connection.scalar(READ_IN_SCANS)

    assert read <= MAX_ROWS_PER_CONCEPT * BATCH


def test_versions_are_looked_up_for_the_concepts_asked_for(grown: Connection) -> None:
    """The query that Generate runs for each batch."""
    (statement,) = (kind.sql.versions for kind in CONTENT_KINDS.values() if kind.sql.versions is not None)
    asked = {
        "roadmap_id": "r-1",
        "concept_ids": json.dumps([entry["concept_id"] for entry in bundle()["content"][SAVED:]]),
    }
    plan = grown.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"), asked)

    assert _rows_read(plan) <= MAX_ROWS_PER_CONCEPT * BATCH


def test_current_revisions_are_looked_up_for_the_items_asked_for(grown: Connection) -> None:
    """The query for a retry of a few saved items, and for its preview."""
    asked = [entry["concept_id"] for entry in bundle_of(concept_ids(BATCH))["content"]]
    parameters = {"roadmap_id": "r-1"} | {str(kind): json.dumps(asked) for kind in CONTENT_KINDS}
    plan = grown.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {CURRENT_REVISIONS.text}"), parameters)
    items = [Item(concept_id, content_type) for concept_id in asked for content_type in CONTENT_KINDS]
    found = current_revisions(grown, "r-1", items)
    rows = current_rows(grown, "r-1")
    wanted = {item: rows[item.content_type][item.concept_id]["revision"] for item in items}

    assert _rows_read(plan) <= MAX_ROWS_PER_CONCEPT * len(CONTENT_KINDS) * BATCH
    assert found == wanted
    assert len(found) == len(CONTENT_KINDS) * BATCH


@every_kind
def test_the_id_of_an_item_is_that_of_its_projected_row(grown: Connection, kind: ContentKind) -> None:
    """A product without unique constraints may have two rows of an item. All statements choose the same."""
    (concept_id,) = concept_ids(1)
    item = Item(concept_id, kind.content_type)
    table, columns = _without_constraints(grown, kind)
    for row_id in ("a", "z", "m"):
        rest = ", ".join(column for column in columns if column != kind.id_field)
        grown.execute(
            text(
                f"INSERT INTO {table} ({kind.id_field}, {rest})"
                f" SELECT :id, {rest} FROM {table} WHERE concept_id = :concept_id LIMIT 1"
            ),
            {"id": row_id, "concept_id": concept_id},
        )
    projected = current_rows(grown, "r-1")[kind.content_type][concept_id]
    assert current_revisions(grown, "r-1", [item]) == {item: projected["revision"]}
    row = current_row(grown, "r-1", item)
    assert row is not None
    assert row[kind.id_field] == projected[kind.id_field]


def _without_constraints(connection: Connection, kind: ContentKind) -> tuple[str, list[str]]:
    """Remove the uniqueness of an item's rows; return the table of a kind and its columns."""
    (table,) = (name for name in CONTENT_TABLES if name in kind.sql.saved(":roadmap_id"))
    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    indexes = connection.execute(
        text(
            "SELECT i.indexrelid::regclass AS name, c.conname FROM pg_index i"
            " LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid"
            f" WHERE i.indrelid = '{table}'::regclass AND i.indisunique AND NOT i.indisprimary"
        )
    ).all()
    for name, constraint in indexes:
        of_constraint = f"ALTER TABLE {table} DROP CONSTRAINT {constraint}"
        connection.execute(text(of_constraint if constraint else f"DROP INDEX {name}"))
    columns = connection.scalars(
        text("SELECT column_name FROM information_schema.columns WHERE table_name = :table"), {"table": table}
    )
    return table, list(columns)


def _save(
    connection: Connection, kind: ContentKind, roadmap_id: str, entries: list[dict[str, Any]], how: str = ""
) -> Any:
    rows = [kind.to_row(roadmap_id, entry["concept_id"], entry[kind.content_type]) for entry in entries]
    return connection.scalar(text(f"{how} {kind.sql.save}"), save_parameters(roadmap_id, rows))


def _rows_read(plan: list[dict[str, Any]]) -> float:
    """Rows returned by scans plus rows removed by filters."""
    read: float = sum(
        (
            ("Relation Name" in node and node["Node Type"] != "ModifyTable") * node["Actual Rows"]
            + sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
        )
        * node["Actual Loops"]
        for node in nodes(plan[0]["Plan"])
        if "CTE Name" not in node
    )
    return read
