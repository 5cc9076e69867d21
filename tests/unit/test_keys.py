"""Different ids never get the same key."""

import hashlib
import inspect
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from roadmap_content.contracts.errors import OtherBucketError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage import keys as functions_of_keys
from roadmap_content.platform.storage.keys import (
    ERASURES,
    WORKING,
    encode,
    fingerprint,
    hash_in,
    is_ours,
    is_text_of,
    key_in_url,
    manifest_key,
    next_place,
    owners_of,
    places_of,
    prefixes_of,
    product_text_key,
    rejected_key,
    staged_key,
    text_in,
    text_key,
)

ids = st.text(min_size=1, max_size=400) | st.text("./~%:\x00\ud800é漢", min_size=1, max_size=12)

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
awkward = st.sampled_from(["staged", "items", "concepts", "/", "..", "%", "%2F", "a", "v1.md", "/concepts/"])
storable_ids = (
    st.text(characters, min_size=1, max_size=300)
    | st.lists(awkward, min_size=1, max_size=5).map("".join)
    | st.sampled_from(["staged/items", "manifests/tasks/t", "erasures", "rejected"])
)
"""Ids that PostgreSQL stores."""


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
            manifest_key(roadmap_id, 999, "arn:1", b""),
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
    assert next_place(f"staged/items/{key}") == "staged/items0"


def test_the_manifests_of_two_executions_have_different_keys() -> None:
    """A late step of an earlier life of a task finds no manifest; a repeated plan overwrites none."""
    assert manifest_key("t-1", 1, "arn:1", b"") != manifest_key("t-1", 1, "arn:2", b"")
    assert manifest_key("t-1", 1, "arn:1", b"a") != manifest_key("t-1", 1, "arn:1", b"b")


@given(storable_ids, storable_ids)
def test_an_object_of_ours_has_one_owner(one_id: str, concept_id: str) -> None:
    """A new function of keys is found by its name."""
    known: dict[str, Any] = {
        "roadmap_id": one_id, "task_id": one_id, "concept_id": concept_id, "text": b"",
        "item": Item(concept_id, ContentType.QUIZ), "replaced_id": concept_id, "attempt": 1,
        "content_fingerprint": "f", "body": b"", "execution_arn": "arn:1",
    }  # fmt: skip
    made = {name: make for name, make in vars(functions_of_keys).items() if name.endswith("_key")}
    del made["product_text_key"]
    assert len(made) == 5
    for name, make in made.items():
        key = make(**{each: known[each] for each in inspect.signature(make).parameters})
        assert len(owners_of(key)) == 1, name
        assert owners_of(key) <= places_of([one_id], [one_id]).keys(), name
        assert key.startswith(tuple(prefixes_of([one_id], [one_id]))), name
        assert is_ours(key), name
        assert key.startswith(WORKING) is (name != "text_key"), "a text expires"


@given(storable_ids, storable_ids, storable_ids)
@example("rejected", "c", "r")
def test_a_text_of_the_product_belongs_to_its_roadmap_and_to_no_other_one_alone(
    roadmap_id: str, concept_id: str, other_id: str
) -> None:
    key = f"{roadmap_id}/concepts/{concept_id}/v1.md"
    assert is_text_of(roadmap_id, key)
    assert key.startswith(tuple(prefixes_of([roadmap_id], [])))
    assert not is_ours(key)
    assert "/" in roadmap_id or not key.startswith((*WORKING, ERASURES)), "a text expires"
    if other_id != roadmap_id:
        assert not owners_of(key) <= places_of([other_id], [other_id]).keys()
    assert is_text_of(roadmap_id, product_text_key(roadmap_id, concept_id, 1))


@pytest.mark.parametrize(
    ("key", "owners"),
    [
        ("r-1/concepts/r-1:c/v1.md", ["r-1"]),
        ("r-1/concepts/concepts/v1.md", ["r-1"]),
        ("r-1/concepts/c/a picture.png", ["r-1"]),
        ("staged/concepts/quiz/v1.md", ["staged"]),
        ("a/b/concepts/c/v1.md", ["a/b"]),
        ("a%2Fb/concepts/c/v1.md", ["a/b", "a%2Fb"]),
        ("%/concepts/c/v1.md", ["%"]),
        ("r-1/concepts/x/concepts/c/v1.md", ["r-1", "r-1/concepts/x"]),
        ("staged/items/r-1/concepts/c/v1.md", ["staged/items/r-1"]),
        ("staged/items/r-1", []),
    ],
)
def test_only_what_reads_in_two_ways_has_two_owners(key: str, owners: list[str]) -> None:
    assert owners_of(key) == {f"{encode(owner)}/concepts/" for owner in owners}


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
        "https://0123456789abcdef.r2.cloudflarestorage.com/content/",
        "https://content.0123456789abcdef.r2.cloudflarestorage.com/",
        "http://minio:9000/content/",
        "s3://content/",
    ],
)
def test_the_url_of_an_object_of_the_bucket_has_its_key(place: str) -> None:
    for path in ("r-1/concepts/r-1%3Ac/v1%20%252E.md", "r-1/concepts/r-1:c/v1%20%252E.md"):
        for signature in ("", "?X-Amz-Expires=3600&X-Amz-Signature=a/content/b", "#top"):
            url = f"{place}{path}{signature}"
            assert key_in_url(url, "content") == "r-1/concepts/r-1:c/v1 %2E.md"


@pytest.mark.parametrize(
    "url",
    [
        "https://other.s3.amazonaws.com/content/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://content.old.s3.amazonaws.com/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://s3.eu-west-1.amazonaws.com/other/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
        "https://minio:9000/other/r-1/concepts/content/v1.md?X-Amz-Signature=secret",
        "https://contents.example.org/r-1/concepts/c/v1.md?X-Amz-Signature=secret",
    ],
)
def test_the_url_of_another_object_is_refused_without_its_signature(url: str) -> None:
    with pytest.raises(OtherBucketError) as raised:
        key_in_url(url, "content")
    assert str(raised.value) == f"its text is at {url.split('?')[0]}, not in the bucket content"
