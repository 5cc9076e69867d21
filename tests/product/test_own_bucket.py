"""The deployed stack with the product's bucket."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_content.content.bundle import read_bundle
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import product_text_key, text_key
from tests.support.factories import bundle_of, concept_ids
from tests.support.stacks import temporary_stack

BUCKET = "products-own"
THEIR_RULE = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}


@pytest.fixture(scope="module")
def stack() -> Iterator[LocalStack]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        with temporary_stack({"ContentBucketName": BUCKET}) as stack:
            s3 = stack.client("s3")
            assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["artifacts"]
            s3.create_bucket(Bucket=BUCKET)
            s3.put_bucket_lifecycle_configuration(
                Bucket=BUCKET, LifecycleConfiguration={"Rules": [THEIR_RULE]}
            )
            yield stack


@pytest.fixture(scope="module")
def target(stack: LocalStack) -> Iterator[Target]:
    target = Target.local(stack)
    yield target
    target.engine.dispose()


def load(target: Target, name: str, concepts: int) -> list[str]:
    """A task without generated content yet; return the concept ids."""
    ids = concept_ids(concepts, f"r-{name}")
    bundle = bundle_of(ids, roadmap_id=f"r-{name}", task_id=f"t-{name}") | {"content": []}
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(600))
    return ids


def test_the_content_bucket_is_the_product_s_own(stack: LocalStack, target: Target) -> None:
    ids = load(target, "bucket", 3)
    s3 = stack.client("s3")
    paid = product_text_key("r-bucket", ids[0], 1)
    s3.put_object(Bucket=BUCKET, Key=paid, Body=b"# Paid\n\nFor.")

    arn = start_run(target.stepfunctions, target.state_machine_arn, "t-bucket")
    assert follow_run(target.stepfunctions, arn, lambda: None) == "SUCCEEDED"

    with target.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT content_url, title FROM tutorial_metadata WHERE roadmap_id = 'r-bucket'")
        ).all()
    titles = {row.content_url: row.title for row in rows}
    assert titles[text_key("r-bucket", ids[0], b"# Paid\n\nFor.")] == "Paid"
    assert len(titles) == len(ids)
    for url in titles:
        s3.head_object(Bucket=BUCKET, Key=url)
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["ID"] == "theirs"
