"""The layout of generated JSON."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from documents.layout import WIDTH, laid_out

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=60,
)


@given(DOCUMENTS)
def test_the_layout_changes_no_value(document: Any) -> None:
    assert json.loads(laid_out(document)) == document


def test_what_fits_is_on_one_line_and_names_fill_lines() -> None:
    names = [f"name-{number:02}" for number in range(20)]
    text = laid_out({"short": {"type": "string"}, "names": names})
    assert '  "short": {"type": "string"},\n' in text
    assert len(text.splitlines()) == 8
    assert all(len(line) <= WIDTH for line in text.splitlines())
