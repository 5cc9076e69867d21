"""The check for storable values: the fast check must agree with the full walk."""

import math
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from roadmap_content.documents import unstorable

texts = st.text(st.characters(codec=None) | st.sampled_from('\x00\ud800\udfff\\u0d"'))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


def bad(value: Any) -> bool:
    """The rule itself: no NUL and no surrogate in any text, no number that is not finite."""
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
