"""Generated content has been paid for, so it is staged immediately and counted once."""

from typing import Any

from sqlalchemy import event

from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.documents import MAX_STAGED
from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import product_text_key
from tests.support.commits import Commits, How, Strike, When
from tests.support.factories import bundle_of, concept_ids, counts
from tests.support.memory_s3 import ObservedS3
from tests.support.pipeline import S3, Pipeline, services_for

IDS = concept_ids(1)


def planned(pipeline: Pipeline) -> BatchRequest:
    """The batch of a run that has one tutorial to generate."""
    bundle = bundle_of(IDS)
    del bundle["content"][0]["tutorial"]
    pipeline.load(bundle)
    (request,) = pipeline.requests(pipeline.plan())
    return request


def test_a_generated_item_is_staged_without_other_work_in_between(pipeline: Pipeline) -> None:
    """If the process were killed in between, paid content would be lost."""
    request = planned(pipeline)
    happened: list[str] = []

    class Noting(OfflineGenerator):
        def generate(self, *arguments: Any) -> Any:
            draft = super().generate(*arguments)
            happened.append("generated")
            return draft

    pipeline.services.generator = Noting()
    observed = ObservedS3(
        S3.client, lambda name, arguments: happened.append(f"{name} {arguments.get('Key')}")
    )
    pipeline.services.bucket = Bucket("content", observed.client)
    event.listen(pipeline.services.engine, "begin", lambda _: happened.append("transaction"))
    pipeline.generate(request)
    after = happened[happened.index("generated") + 1]
    assert after.startswith("put_object staged/")


def test_items_are_counted_once_if_the_commit_is_not_answered(pipeline: Pipeline, database_url: str) -> None:
    request = planned(pipeline)
    aside = services_for(database_url).engine
    commits = Commits(pipeline.services.engine, aside)
    last = 4  # after the context, the lock, the check for cancellation, and the release of the lock
    with commits.struck(Strike(last, When.AFTER, How.CONNECTION)):
        pipeline.generate(request)
    (attempt,) = pipeline.rows("SELECT generated FROM content_attempts")
    aside.dispose()
    assert commits.strikes == 1
    assert attempt["generated"] == counts(tutorial=1)


def test_a_text_that_was_paid_for_is_not_counted_as_generated(pipeline: Pipeline) -> None:
    request = planned(pipeline)
    pipeline.bucket.put(product_text_key("r-1", IDS[0], 1), b"# Paid")
    assert pipeline.generate(request).generated == 0
    assert pipeline.rows("SELECT generated FROM content_attempts") == [{"generated": None}]


def test_a_stored_text_that_is_too_large_to_be_staged_is_no_obstacle(pipeline: Pipeline) -> None:
    """Regression: each attempt adopted it, and failed."""
    request = planned(pipeline)
    pipeline.bucket.put(product_text_key("r-1", IDS[0], 1), b"# Paid\n\n" + b"word " * (MAX_STAGED // 5))
    assert pipeline.generate(request).generated == 1
    pipeline.save(request)
    (row,) = pipeline.rows("SELECT content_version FROM tutorial_metadata")
    assert row["content_version"] == 2
