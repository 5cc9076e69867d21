"""After leaving, nothing of this system is left in the product's database, and its operations pass."""

import json
import re
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from migrations.baseline.tables import KEPT
from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content.platform.postgres.transactions import DataRefusedError
from roadmap_content.runs.installation.leave import LeaveRequest, LeaveResult, StillOpenError, leave_database
from tests.product.deployment import Deployment, deployment
from tests.product.operations import OPERATIONS, perform
from tests.product.product import Product
from tests.product.running import deadline, heal, retry
from tests.product.test_adoption import CONCEPTS, IDS, fill
from tests.support.factories import LATER_KINDS
from tests.support.pipeline import S3

__all__ = ["deployment"]

# Every object by PostgreSQL's own description, and every right on a table but those of its owner.
CATALOGUE = """
SELECT pg_describe_object(CAST('pg_class' AS regclass), oid, 0) AS line FROM pg_class
WHERE oid >= 16384 AND relnamespace <> CAST('pg_toast' AS regnamespace)
UNION ALL SELECT pg_describe_object(CAST('pg_proc' AS regclass), oid, 0) FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT pg_describe_object(CAST('pg_constraint' AS regclass), oid, 0) FROM pg_constraint
WHERE oid >= 16384
UNION ALL SELECT pg_describe_object(CAST('pg_trigger' AS regclass), oid, 0) FROM pg_trigger
WHERE NOT tgisinternal
UNION ALL SELECT relname || '.' || attname || ' ' || format_type(atttypid, atttypmod) FROM pg_attribute
JOIN pg_class c ON c.oid = attrelid
WHERE attrelid >= 16384 AND attnum > 0 AND NOT attisdropped
    AND relnamespace <> CAST('pg_toast' AS regnamespace)
UNION ALL SELECT relname || ' ' || CAST(g AS text) FROM pg_class c, aclexplode(relacl) g
WHERE c.oid >= 16384 AND g.grantee <> relowner
"""


def catalogue(product: Product) -> set[str]:
    return {row["line"] for row in product.rows(CATALOGUE)}


def rows_of(product: Product) -> dict[str, list[str]]:
    return {
        table: [re.sub(r',"attempt":\d+,"execution_arn":[^,}]+', "", line) for line in lines]
        for table, lines in product.everything().items()
    }


def at_work(deployment: Deployment) -> None:
    """An adopted database with a task that we have completed, and former content."""
    product = deployment.product
    fill(product)
    product.execute("DELETE FROM quiz_metadata")
    deployment.migrate()
    heal(deployment.services)
    product.execute("UPDATE quiz_metadata SET questions = '[]'")


def test_nothing_is_left_and_the_product_goes_on_and_may_adopt_again(deployment: Deployment) -> None:
    product = deployment.product
    before = catalogue(product)
    at_work(deployment)
    adopted, rows = catalogue(product), rows_of(product)

    preview = deployment.leave(dry_run=True, forget=True)
    assert catalogue(product) == adopted
    left = deployment.leave(forget=True)

    later = {line for line in catalogue(product) if any(kind.table in line for kind in LATER_KINDS)}
    assert catalogue(product) - later == before
    assert rows_of(product) == rows
    assert (left.removed, left.stays) == (preview.removed, [])
    assert {"table", "index", "function", "trigger", "column", "right"} <= left.removed.keys()
    assert deployment.leave(forget=True) == LeaveResult(
        removed={}, stays=[], statements=left.statements, dry_run=False
    )
    for name in OPERATIONS:
        perform(product.engine, name, IDS)
    deployment.migrate()
    assert retry(deployment.services).success


def test_former_content_and_the_register_stay_unless_they_are_asked_for(deployment: Deployment) -> None:
    at_work(deployment)
    product = deployment.product
    product.execute(
        "INSERT INTO content_erasures (erasure_id, user_hash, actor, product_rows, removed)"
        " VALUES ('e-1', 'h', 'operator:o', false, '{}')"
    )
    archived = product.rows("SELECT * FROM content_archive")

    stays = deployment.leave().stays

    assert len(archived) == len(CONCEPTS)
    assert {line.split(":")[0] for line in stays if line.startswith("table")} == {
        "table content_archive",
        "table content_erasures",
    }
    deployment.migrate()
    assert product.rows("SELECT * FROM content_archive") == archived
    assert product.rows("SELECT erasure_id FROM content_erasures") == [{"erasure_id": "e-1"}]
    assert deployment.leave(forget=True).stays == []


def test_the_statements_for_the_administrator_remove_the_roles(deployment: Deployment) -> None:
    at_work(deployment)
    for statement in deployment.leave().statements:
        deployment.product.execute(statement)
    roles = deployment.product.rows(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(:names)", names=list(deployment.roles.names)
    )
    assert roles == []


def test_it_is_refused_while_an_attempt_is_open(deployment: Deployment) -> None:
    fill(deployment.product)
    deployment.product.execute("DELETE FROM quiz_metadata")
    deployment.migrate()
    retry(deployment.services)
    with pytest.raises(StillOpenError, match="task t-1"):
        deployment.leave()


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE VIEW asked AS SELECT content_quiz_at('q', content_now()) AS questions", "view asked"),
        (
            "CREATE FUNCTION asked() RETURNS timestamp BEGIN ATOMIC SELECT content_now(); END",
            r"function asked\(\)",
        ),
        (
            "CREATE TRIGGER asked AFTER INSERT ON quiz_metadata EXECUTE FUNCTION content_note_change()",
            "trigger asked on table quiz_metadata",
        ),
        ("CREATE VIEW asked AS SELECT attempt FROM roadmap_tasks", "view asked"),
    ],
)
def test_it_is_refused_while_an_object_of_the_product_uses_one_of_ours(
    deployment: Deployment, statement: str, named: str
) -> None:
    deployment.migrate()
    deployment.product.execute(statement)
    before = catalogue(deployment.product)
    with pytest.raises(DataRefusedError, match=f"{named} depends on"):
        deployment.leave(dry_run=True)
    assert catalogue(deployment.product) == before


def test_what_the_product_names_as_we_do_stays(deployment: Deployment) -> None:
    for statement in (
        "CREATE FUNCTION content_asked() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER content_asked AFTER INSERT ON quiz_metadata EXECUTE FUNCTION content_asked()",
        "CREATE FUNCTION content_answered() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE VIEW asked AS SELECT content_answered()",
    ):
        deployment.product.execute(statement)
    before = catalogue(deployment.product)
    deployment.migrate()
    deployment.leave(forget=True)
    assert catalogue(deployment.product) >= before


def test_it_works_after_the_product_has_removed_or_moved_objects_of_ours(deployment: Deployment) -> None:
    at_work(deployment)
    for statement in (
        "DROP INDEX content_task_by_update",
        "ALTER TABLE roadmap_tasks DROP COLUMN execution_arn",
        "DROP TRIGGER content_before_task ON roadmap_tasks",
        "CREATE SCHEMA learning",
        "ALTER TABLE tutorial_metadata SET SCHEMA learning",
    ):
        deployment.product.execute(statement)
    stays = deployment.leave(forget=True).stays
    assert {line.split()[1].split("_")[0] for line in stays} == {"learning.content"}


@pytest.mark.parametrize(
    "dropped",
    [
        f"{KEPT[0]}, {KEPT[1]}",
        "content_attempts, content_queue",
        "content_installation",
        "content_schema_version",
    ],
)
def test_it_works_after_tables_of_ours_were_dropped(deployment: Deployment, dropped: str) -> None:
    at_work(deployment)
    deployment.product.execute(f"DROP TABLE {dropped}")
    assert deployment.leave(forget=True).stays == []


def test_the_command_copies_or_lists_the_texts(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.product.failed(CONCEPTS)
    deployment.migrate()
    heal(deployment.services)
    S3.create_bucket(Bucket="of-the-product")

    def invoke(function: str, event: dict[str, object]) -> dict[str, object]:
        assert function == "MigrateDatabaseFunction"
        request = LeaveRequest.model_validate(event)
        return leave_database(request, deployment.migrator(), deadline()).model_dump(mode="json")

    target = SimpleNamespace(bucket=deployment.services.bucket, s3=S3.client, invoke=invoke)
    monkeypatch.setattr(Target, "named", lambda _stack: target)

    def roadmap(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["leave", *arguments])
        assert result.exit_code == code, result.output
        return result.output

    assert "to remove: " in roadmap(code=1)
    assert deployment.product.has("content_queue")
    assert "removed: " in roadmap("--yes", "--texts-to", "of-the-product")
    urls = deployment.product.rows("SELECT content_url FROM tutorial_metadata")
    copied = S3.list_objects_v2(Bucket="of-the-product")["Contents"]
    assert {entry["Key"] for entry in copied} == {row["content_url"] for row in urls}
    assert len(urls) == len(CONCEPTS)
    again = roadmap("--yes")
    assert "nothing is left to remove" in again
    listed = {line.removeprefix("text: ") for line in again.splitlines() if line.startswith("text: ")}
    assert (
        listed == {row["content_url"] for row in urls} == {*json.loads(roadmap("--yes", "--json"))["texts"]}
    )
