"""The content that a learner reads: saved items of one's own roadmap, and not again if it is known."""

import json
import urllib.parse

import pytest

from roadmap_content.api import revisions
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import product_text_key, text_key
from tests.support.factories import bundle_of, concept_ids, content_of, tutorial
from tests.support.memory_s3 import MemoryS3
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Ask, Reply

IDS = concept_ids(2)
FIRST = IDS[0]
KEY = text_key("r-1", FIRST, tutorial(FIRST)["markdown"].encode())


@pytest.fixture(autouse=True)
def loaded(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))


def read(
    ask: Ask,
    content_type: str,
    *,
    version: int | None = None,
    etag: str | None = None,
) -> Reply:
    query = {"concept_id": FIRST} | ({} if version is None else {"version": str(version)})
    headers = {} if etag is None else {"If-None-Match": etag}
    path = f"/tasks/t-1/content/{content_type}"
    return ask("GET", path, query, headers=headers)


@pytest.mark.parametrize("content_type", ContentType)
def test_the_content_is_what_was_staged(pipeline: Pipeline, ask: Ask, content_type: ContentType) -> None:
    assert read(ask, content_type).status == 404
    pipeline.run()
    reply = read(ask, content_type)
    assert reply.body["content"] == content_of(content_type, FIRST)
    assert (reply.body["concept_id"], reply.body["content_type"]) == (FIRST, content_type)


@pytest.mark.parametrize("content_type", ContentType)
def test_content_is_sent_once_until_it_changes(
    pipeline: Pipeline, ask: Ask, content_type: ContentType
) -> None:
    pipeline.run()
    etag = read(ask, content_type).headers["ETag"]
    for header in (etag, f"W/{etag}", f'"a, b", W/"c",{etag}', "*"):
        known = read(ask, content_type, etag=header)
        assert (known.status, known.body, known.headers["ETag"]) == (304, None, etag), header
    assert read(ask, content_type, etag=f'"a", {etag[:-2]}"').status == 200
    table = CONTENT_KINDS[content_type].table
    pipeline.execute(f"UPDATE {table} SET generated_at = generated_at + interval '1 s'")
    assert read(ask, content_type, etag=etag).status == 200


def test_an_older_version_of_a_tutorial_can_be_read(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.run()
    second = tutorial(FIRST, version=2, markdown="# Second")
    pipeline.bucket.put(product_text_key("r-1", FIRST, 2), second["markdown"].encode())
    pipeline.execute(
        "INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,"
        " content_status, content_version, is_latest, estimated_completion_time, generated_at)"
        " VALUES ('second', :concept, 'r-1', 'T', 'S', :key, 'completed', 2, true, 1, now())",
        concept=FIRST,
        key=product_text_key("r-1", FIRST, 2),
    )
    assert read(ask, "tutorial").body["content"]["markdown"] == "# Second"
    assert read(ask, "tutorial", version=1).body["content"] == tutorial(FIRST)
    assert read(ask, "tutorial", version=3).status == 404
    assert read(ask, "quiz", version=1).status == 422


def test_a_large_text_is_a_link_that_reads_it(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run()
    monkeypatch.setattr(revisions, "MOST_TEXT_BYTES", 10)
    # A real client signs the link, without a request.
    monkeypatch.setattr(pipeline.bucket, "link", Bucket(pipeline.bucket.name).link)
    body = read(ask, "tutorial").body
    assert "markdown" not in body["content"]
    link = urllib.parse.urlsplit(body["content_link"])
    assert urllib.parse.unquote(link.path).endswith(KEY)
    query = dict(urllib.parse.parse_qsl(link.query))
    assert (query["X-Amz-Algorithm"], query["X-Amz-Expires"]) == ("AWS4-HMAC-SHA256", "300")


def test_a_text_that_is_too_large_with_its_escapes_is_a_link(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Lambda response is limited to 6 MB, and a control character takes seven bytes of it."""
    pipeline.run()
    monkeypatch.setattr(pipeline.bucket, "link", Bucket(pipeline.bucket.name).link)
    pipeline.bucket.put("r-1/concepts/a/v1.md", b"\x01" * 1_000_000)
    pipeline.execute("UPDATE tutorial_metadata SET content_url = 'r-1/concepts/a/v1.md'")
    body = read(ask, "tutorial").body
    assert len(json.dumps(json.dumps(body))) < 6 * 1024**2
    assert "v1.md" in body["content_link"]


def test_the_sizes_of_revisions_take_no_request_each(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.run()
    pipeline.execute(
        "INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,"
        " content_status, content_version, is_latest, estimated_completion_time, generated_at)"
        " SELECT 'of ' || n, :concept, 'r-1', 'T', 'S', content_url, 'completed', n, true, 1, now()"
        " FROM tutorial_metadata, generate_series(2, 40) AS n WHERE concept_id = :concept",
        concept=FIRST,
    )
    monkeypatch.delattr(MemoryS3, "head_object")
    revisions = ask("GET", "/tasks/t-1/items/tutorial/revisions", {"concept_id": FIRST}).body["items"]
    assert len(revisions) == 40
    assert all(revision["size"] for revision in revisions)


def test_only_an_item_of_the_roadmap_may_have_no_revisions(pipeline: Pipeline, ask: Ask) -> None:
    """Regression: a mistyped concept had an empty list, as one that has not been saved yet."""
    path = "/tasks/t-1/items/tutorial/revisions"
    replies = [ask("GET", path, {"concept_id": each}) for each in (FIRST, "nosuch")]
    assert [(reply.status, reply.body.get("error")) for reply in replies] == [
        (200, None),
        (404, "ItemNotFound"),
    ]


def test_a_row_that_names_another_roadmap_s_text_gives_no_access_to_it(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.run()
    pipeline.bucket.put("r-2/concepts/c/v1.md", b"somebody else's")
    for key in ("r-2/concepts/c/v1.md", "staged/items/r-1/quiz/x.json"):
        pipeline.execute("UPDATE tutorial_metadata SET content_url = :key", key=key)
        assert read(ask, "tutorial").status == 404
