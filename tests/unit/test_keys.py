"""Different ids never get the same key."""

from hypothesis import assume, given
from hypothesis import strategies as st

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import (
    encode,
    fingerprint,
    manifest_key,
    rejected_key,
    staged_key,
    tutorial_key,
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
    key = tutorial_key("prompt-engineering-9b2c8d4e", "prompt-engineering-9b2c8d4e:c-1-1-1", 2)
    assert key == "prompt-engineering-9b2c8d4e/concepts/prompt-engineering-9b2c8d4e:c-1-1-1/v2.md"


def test_dots_and_slashes_are_escaped() -> None:
    assert tutorial_key("..", "../../x", 1) == "%2E%2E/concepts/..%2F..%2Fx/v1.md"


@given(ids, ids)
def test_every_key_fits_into_s3(roadmap_id: str, concept_id: str) -> None:
    for content_type in ContentType:
        item = Item(concept_id, content_type)
        for key in (
            staged_key(roadmap_id, item),
            rejected_key(roadmap_id, item, 999, fingerprint(b"")),
            tutorial_key(roadmap_id, concept_id, 2**31 - 1),
            manifest_key(roadmap_id, 999, b""),
        ):
            assert len(key.encode()) <= 1024
