"""The product writes the texts of tutorials beside ours, to the same bucket, versioned or not.

Its generator overwrites the text of version 1, with any versions, and then saves a row.
"""

from typing import Any

import pytest

from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import product_text_key
from tests.integration.conftest import Send
from tests.integration.recoveries.test_recoveries import finish
from tests.integration.recoveries.test_regeneration import regenerate as regenerate_all
from tests.integration.recoveries.test_regeneration import undo
from tests.integration.test_revisions import FIRST, IDS, Items, regenerate
from tests.product.operations import _save_tutorial
from tests.support.factories import bundle_of
from tests.support.pipeline import S3, Pipeline
from tests.support.prepared import prepare
from tests.support.requests_to_api import Ask

KEY = product_text_key("r-1", FIRST, 1)


@pytest.fixture(params=[True, False], ids=["versioned", "not versioned"], autouse=True)
def _saved(request: pytest.FixtureRequest, pipeline: Pipeline) -> None:
    """Our tutorials, in a bucket with versioning or without it."""
    if request.param:
        S3.put_bucket_versioning(Bucket="content", VersioningConfiguration={"Status": "Enabled"})
    prepare(pipeline, save, request.param)


def save(pipeline: Pipeline, _versioned: bool) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.run()


def product_generates(pipeline: Pipeline, text: bytes) -> None:
    pipeline.bucket.put(KEY, text)
    for statement in _save_tutorial(":concept_id"):
        pipeline.execute(statement, roadmap_id="r-1", concept_id=FIRST)


def shown(ask: Ask, **query: Any) -> Any:
    reply = ask("GET", "/tasks/t-1/content/tutorial", {"concept_id": FIRST} | query)
    return reply.body.get("content", {}).get("markdown", reply.body.get("error"))


def test_a_text_of_the_product_overwrites_none_of_ours(pipeline: Pipeline, ask: Ask) -> None:
    items = Items(ask, ContentType.TUTORIAL)
    ours = items.content()
    product_generates(pipeline, b"# Theirs")
    theirs, former = items.revisions()
    assert (shown(ask), theirs["size"]) == ("# Theirs", 8)
    assert items.content(revision_id=former["revision_id"]) == ours

    answer = items.restore(former["revision_id"])

    assert (answer.status, answer.body["restored"]) == (200, True)
    assert items.content() == ours
    product_generates(pipeline, b"# Theirs again")
    assert items.restore(answer.body["content_id"]).body["restored"] is True
    assert items.content() == ours
    (row,) = pipeline.rows(
        "SELECT content_url FROM tutorial_metadata WHERE is_latest AND concept_id = :c", c=FIRST
    )
    text = pipeline.bucket.get(row["content_url"])  # as the product's reader follows it
    assert text is not None
    assert text.body.decode() == ours["markdown"]


def test_an_undo_restores_our_text_and_refuses_a_lost_one(pipeline: Pipeline, ask: Ask, send: Send) -> None:
    items = Items(ask, ContentType.TUTORIAL)
    ours = items.content()
    recovery_id = regenerate_all(send, {"content_type": "tutorial"})
    finish(pipeline, recovery_id)
    pipeline.bucket.put(KEY, b"# Theirs")  # its row is not saved yet
    (lost,) = pipeline.rows(
        "SELECT content_url FROM tutorial_metadata WHERE concept_id = :c AND content_version = 1", c=IDS[1]
    )
    pipeline.bucket.put(lost["content_url"], b"overwritten")

    counts = undo(send, recovery_id)

    assert (counts["restored"], counts["left_alone"]) == (1, 1)
    assert items.content() == ours
    (left,) = send("GET", f"/{recovery_id}/tasks").body["items"][0]["undone"]["left_alone"]
    assert left["concept_id"] == IDS[1]
    assert "RestoreRefused" in left["reason"]
    assert "its text was overwritten" in left["reason"]
    rows = pipeline.rows("SELECT 1 FROM tutorial_metadata WHERE concept_id = :c", c=IDS[1])
    assert len(rows) == 2, "nothing is changed"


def test_the_etag_of_a_content_follows_its_text(pipeline: Pipeline, ask: Ask) -> None:
    product_generates(pipeline, b"# Theirs")
    path, query = "/tasks/t-1/content/tutorial", {"concept_id": FIRST}
    etag = ask("GET", path, query).headers["ETag"]
    headers = {"If-None-Match": etag}
    assert ask("GET", path, query, headers=headers).status == 304
    pipeline.bucket.put(KEY, b"# Theirs again")
    again = ask("GET", path, query, headers=headers)
    assert (again.status, again.body["content"]["markdown"]) == (200, "# Theirs again")
    assert again.headers["ETag"] != etag
    pipeline.bucket.delete(KEY)
    assert ask("GET", path, query, headers=headers).status == 404


def test_a_presigned_url_of_the_bucket_is_read_and_restored_as_its_key(pipeline: Pipeline, ask: Ask) -> None:
    items = Items(ask, ContentType.TUTORIAL)
    product_generates(pipeline, b"# Theirs")
    url = Bucket("content").link(KEY, 60)
    assert "%3A" in url
    pipeline.execute(
        "UPDATE tutorial_metadata SET content_url = :url WHERE is_latest AND concept_id = :c",
        url=url,
        c=FIRST,
    )
    assert shown(ask) == "# Theirs"
    regenerate(pipeline, ContentType.TUTORIAL)
    former = items.revisions()[1]
    assert (shown(ask, revision_id=former["revision_id"]), former["size"]) == ("# Theirs", 8)
    assert items.restore(former["revision_id"]).body["restored"] is True
    assert items.restore(former["revision_id"]).body["restored"] is False
    assert shown(ask) == "# Theirs"
    (row,) = pipeline.rows(
        "SELECT content_url FROM tutorial_metadata WHERE is_latest AND concept_id = :c", c=FIRST
    )
    assert row["content_url"] == KEY


def test_a_url_of_another_bucket_is_refused(pipeline: Pipeline, ask: Ask) -> None:
    items = Items(ask, ContentType.TUTORIAL)
    url = Bucket("other").link(KEY, 60)
    pipeline.execute("UPDATE tutorial_metadata SET content_url = :url", url=url)
    assert shown(ask) == "OtherBucket"
    current = items.revisions()[0]
    answer = items.restore(current["revision_id"])
    assert (answer.status, answer.body["error"], current["size"]) == (409, "RestoreRefused", None)
    assert "not in the bucket content" in answer.body["message"]
    assert "X-Amz" not in answer.body["message"]


def test_an_overwritten_text_is_neither_shown_nor_restored(pipeline: Pipeline, ask: Ask) -> None:
    items = Items(ask, ContentType.TUTORIAL)
    product_generates(pipeline, b"# Theirs")
    product_generates(pipeline, b"# Theirs again")
    assert shown(ask, version="2") == "# Theirs again", "perhaps the same content, saved again"
    pipeline.execute("UPDATE tutorial_metadata SET title = 'Their first' WHERE content_version = 2")
    revisions = items.revisions()
    (first,) = [each for each in revisions if each["version"] == 2 and each["replaced_at"] is None]
    assert shown(ask) == "# Theirs again"
    assert shown(ask, version="2") == shown(ask, revision_id=first["revision_id"]) == "ItemNotFound"
    answer = items.restore(first["revision_id"])
    assert (answer.status, answer.body["error"]) == (409, "RestoreRefused")
    assert "overwritten by that of a later row" in answer.body["message"]
    assert items.revisions() == revisions


def test_a_text_under_its_hash_is_shown_although_a_later_row_names_it(pipeline: Pipeline, ask: Ask) -> None:
    before = shown(ask, version="1")
    product_generates(pipeline, b"# Theirs")
    pipeline.execute(
        "UPDATE tutorial_metadata t SET title = 'Another', content_url = f.content_url"
        " FROM tutorial_metadata f WHERE t.content_version = 2 AND f.content_version = 1"
        " AND f.concept_id = t.concept_id"
    )
    assert shown(ask, version="1") == before != "ItemNotFound"
