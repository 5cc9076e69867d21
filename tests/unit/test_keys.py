"""Different ids never get the same key."""

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from roadmap_content.contracts.errors import OtherBucketError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import (
    encode,
    fingerprint,
    hash_in,
    key_in_url,
    manifest_key,
    next_place,
    product_text_key,
    rejected_key,
    staged_key,
    text_in,
    text_key,
)

ids = st.text(min_size=1, max_size=400) | st.text("./~%:\x00\ud800é漢", min_size=1, max_size=12)


@given(ids, ids)
def test_different_ids_have_different_segments(one: str, other: str) -> None:
    assume(one != other)
    assert encode(one) != encode(other)


@given(ids)
def test_an_encoded_id_is_one_segment_of_printable_ascii(identifier: str) -> None:
    encoded = encode(identifier)
    assert encoded.isascii()
    assert encoded.isprintable()
    assert "/" not in encoded
    assert encoded not in ("", ".", "..")
    assert len(encoded) <= 265


def test_ids_of_the_product_are_not_changed() -> None:
    key = product_text_key("prompt-engineering-9b2c8d4e", "prompt-engineering-9b2c8d4e:c-1-1-1", 2)
    assert key == "prompt-engineering-9b2c8d4e/concepts/prompt-engineering-9b2c8d4e:c-1-1-1/v2.md"


def test_dots_and_slashes_are_escaped() -> None:
    assert product_text_key("..", "../../x", 1) == "%2E%2E/concepts/..%2F..%2Fx/v1.md"


@given(ids, ids)
def test_every_key_fits_into_s3(roadmap_id: str, concept_id: str) -> None:
    for content_type in ContentType:
        item = Item(concept_id, content_type)
        for key in (
            staged_key(roadmap_id, item),
            rejected_key(roadmap_id, item, 999, fingerprint(b"")),
            text_key(roadmap_id, concept_id, b""),
            manifest_key(roadmap_id, 999, b""),
        ):
            assert len(key.encode()) <= 1024


@given(ids, ids)
def test_a_key_of_a_text_names_its_roadmap(roadmap_id: str, concept_id: str) -> None:
    """Not if the id is truncated, or is no text of PostgreSQL."""
    key = text_key(roadmap_id, concept_id, b"a")
    assert text_in(key) in ((roadmap_id, hashlib.sha256(b"a").hexdigest()), None)
    if len(encode(roadmap_id)) < 200 and "\0" not in roadmap_id and "\ud800" not in roadmap_id:
        assert text_in(key) is not None
    assert next_place(key) == key
    assert next_place(f"staged/{key}") == "staged0"


def test_a_key_with_a_hash_is_the_key_of_one_text() -> None:
    keys = [text_key("r", "c", b"a"), text_key("r", "c", b"b"), product_text_key("r", "c", 1)]
    assert [hash_in(key) for key in keys] == [
        hashlib.sha256(b"a").hexdigest(),
        hashlib.sha256(b"b").hexdigest(),
        None,
    ]


@pytest.mark.parametrize(
    "place",
    [
        "https://content.s3.amazonaws.com/",
        "https://content.s3.eu-west-1.amazonaws.com:443/",
        "https://content.s3.dualstack.eu-west-1.amazonaws.com/",
        "https://content.s3.cn-north-1.amazonaws.com.cn/",
        "https://s3-eu-west-1.amazonaws.com/content/",
        "https://s3.eu-west-1.amazonaws.com/content/",
        "http://127.0.0.1:5000/content/",
        "s3://content/",
    ],
)
def test_the_url_of_an_object_of_the_bucket_has_its_key(place: str) -> None:
    for path in ("r-1/concepts/r-1%3Ac/v1%20%252E.md", "r-1/concepts/r-1:c/v1%20%252E.md"):
        for signature in ("", "?X-Amz-Expires=3600&X-Amz-Signature=a/content/b", "#top"):
            url = f"{place}{path}{signature}"
            assert key_in_url(url, "content", "http://127.0.0.1:5000") == "r-1/concepts/r-1:c/v1 %2E.md"


@pytest.mark.parametrize(
    "url",
    [
        "https://other.s3.amazonaws.com/content/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://content.old.s3.amazonaws.com/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://s3.eu-west-1.amazonaws.com/other/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://content.s3.amazonaws.com.example.org/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://example.org/content/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
    ],
)
def test_the_url_of_another_object_is_refused_without_its_signature(url: str) -> None:
    with pytest.raises(OtherBucketError) as raised:
        key_in_url(url, "content", "http://127.0.0.1:5000")
    assert str(raised.value) == f"its text is at {url.split('?')[0]}, not in the bucket content"
