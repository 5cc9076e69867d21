"""The checks for storable values: the fast checks must agree with the full walk."""

import json
import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from roadmap_content.contracts.documents import (
    MAX_DEPTH,
    is_plain_json,
    read_json,
    storable_json,
    storable_text,
    unstorable,
)

texts = st.text(st.characters(codec=None) | st.sampled_from('\x00\ud800\udfff\\u0d"'))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


def bad(value: Any) -> bool:
    """The rule itself: no NUL and no surrogate in any text, and no number that is not finite."""
    match value:
        case str():
            return any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in value)
        case float():
            return not math.isfinite(value)
        case dict():
            return any(bad(key) or bad(inner) for key, inner in value.items())
        case list():
            return any(map(bad, value))
    return False


@given(values)
@example({"a": "\\u0000"})
@example(["\\\\u0000", {"\\": "\\u0000"}])
@example({"\x00": 1})
@example({"a": [1.5, {"b": math.inf}]})
@example("\ud83d\ude42")
def test_exactly_the_values_that_cannot_be_stored_are_refused(value: Any) -> None:
    assert (unstorable(value) is not None) == bad(value)


def without_fractions(value: Any) -> Any:
    """A value without numbers that may not be finite."""
    match value:
        case float():
            return 0
        case dict():
            return {key: without_fractions(inner) for key, inner in value.items()}
        case list():
            return list(map(without_fractions, value))
    return value


@given(values, st.booleans(), st.sampled_from(["utf-8", "utf-16", "utf-32"]))
@example({"a": "\x00"}, True, "utf-8")
@example({"a": "\ud800"}, False, "utf-8")
@example({"a": "\udfff"}, True, "utf-8")
@example({"a": "\ud800"}, False, "utf-16")
def test_plain_bytes_are_never_those_of_a_value_that_cannot_be_stored(
    value: Any, ascii_only: bool, encoding: str
) -> None:
    body = json.dumps(without_fractions(value), ensure_ascii=ascii_only).encode(encoding, "surrogatepass")
    if is_plain_json(body):
        assert unstorable(json.loads(body)) is None


@given(texts)
def test_a_text_is_made_storable_and_a_storable_one_is_kept(text: str) -> None:
    stored = storable_text(text)
    assert not bad(stored)
    assert len(stored) == len(text)
    assert bad(text) or stored == text


@given(values)
@example({"a\\ud800": ["\\\\u0000", "\x00", "\ud83d\udc4d", "\udc4d\ud83d", "\ud83d"]})
def test_every_text_of_a_value_is_made_storable(value: Any) -> None:
    value = without_fractions(value)
    encoded = storable_json(value)
    assert not bad(json.loads(encoded))
    assert bad(value) or encoded == json.dumps(value)
    assert not bad(read_json(json.dumps(value).replace("\\ud", "\\uD")))


@pytest.mark.parametrize("hexadecimal", ["\\u0000", "\\uD800", "\\ud800", "\\uDFFF"])
def test_each_escape_of_an_unstorable_text_is_detected(hexadecimal: str) -> None:
    assert not is_plain_json(f'{{"a": "{hexadecimal}"}}'.encode())


def test_usual_content_is_plain() -> None:
    assert is_plain_json(json.dumps({"title": "Grüße, 中文", "numbers": [1, 2.5]}).encode())


def test_deep_nesting_is_not_plain() -> None:
    assert is_plain_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert not is_plain_json(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
