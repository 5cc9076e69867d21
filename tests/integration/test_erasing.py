"""`database/erase.sql` deletes all rows of a user, and none of another user."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws
from sqlalchemy import MetaData, select

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.bucket import Bucket
from smoke.erasing import erase_objects, erase_rows, erase_statements
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


GROUPS = "SELECT group_id, tasks, items FROM content_failure_groups WHERE items > 0 ORDER BY group_id"
TASK_GROUPS = """
SELECT group_id, count(DISTINCT task_id) AS tasks, sum(items) AS items FROM content_task_failures
GROUP BY group_id ORDER BY group_id
"""


def rows(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    metadata = MetaData()
    metadata.reflect(pipeline.engine)
    with pipeline.engine.connect() as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)):
                yield table.name, str(row)


def test_each_statement_names_both_parameters() -> None:
    statements = list(erase_statements())
    assert len(statements) > 10
    for statement in statements:
        assert ":user_id" in statement
        assert ":roadmap_id" in statement


@pytest.fixture
def s3(bucket_name: str) -> Iterator["S3Client"]:
    """moto: the S3 in memory has no versions of objects."""
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=bucket_name)
        yield client


@pytest.fixture
def of_two_users(pipeline: Pipeline, s3: "S3Client") -> Pipeline:
    """A run with failures for each of two users, and a second one of the first user."""
    pipeline.services.bucket = Bucket("content", s3)
    for user, number in (("alice", 1), ("bob", 1), ("alice", 2)):
        task = Pipeline(pipeline.services, f"{user}-t-{number}", pipeline.engine)
        ids = concept_ids(2, f"{user}-r-{number}")
        bundle: dict[str, Any] = bundle_of(ids, roadmap_id=f"{user}-r-{number}", task_id=task.task_id)
        bundle["roadmap"]["user_id"] = bundle["task"]["user_id"] = user
        task.load(bundle)
        task.stage(Item(ids[0], ContentType.QUIZ), b"{")
        task.run()
        task.execute(
            "INSERT INTO content_events (event_id, detail_type, task_id, detail)"
            " VALUES (:id, 'a', :id, '{}')",
            id=task.task_id,
        )
    return pipeline


def keys(s3: "S3Client", prefix: str) -> list[str]:
    found = s3.list_objects_v2(Bucket="content").get("Contents", [])
    return [entry["Key"] for entry in found if prefix in entry["Key"]]


def test_all_rows_of_a_user_are_erased_and_no_others(of_two_users: Pipeline) -> None:
    before = [row for row in rows(of_two_users) if "bob" in row[1]]
    touched = {table for table, row in rows(of_two_users) if "alice" in row}
    assert touched >= {"roadmap_metadata", "content_attempts", "content_failures", "content_events"}
    erase_rows(of_two_users.engine, "alice")
    assert [row for row in rows(of_two_users) if "alice" in row[1]] == []
    assert [row for row in rows(of_two_users) if "bob" in row[1]] == before
    assert of_two_users.rows(GROUPS) == of_two_users.rows(TASK_GROUPS) != []


def test_one_roadmap_is_erased_with_its_objects(of_two_users: Pipeline, s3: "S3Client") -> None:
    kept = [row for row in rows(of_two_users) if "alice-r-2" in row[1] or "alice-t-2" in row[1]]
    erase_rows(of_two_users.engine, "alice", "alice-r-1")
    erase_objects(s3, "content", "alice-r-1", "alice-t-1")
    assert [row for row in rows(of_two_users) if "alice-r-1" in row[1] or "alice-t-1" in row[1]] == []
    assert [row for row in rows(of_two_users) if "alice-r-2" in row[1] or "alice-t-2" in row[1]] == kept
    assert keys(s3, "alice-r-1") == keys(s3, "alice-t-1") == []
    assert keys(s3, "alice-r-2")
    assert keys(s3, "bob-r-1")
