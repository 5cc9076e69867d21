"""Edit the text of `framework_data`: set fields of concepts, and keep every other byte.

The document belongs to the product. Decoding and encoding it would change numbers that a float cannot hold,
drop duplicate keys and rewrite spaces and escapes. So the text is edited in place: a concept's members are
found by their position, the values of our fields are replaced, and fields that are missing are appended.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LEVELS = ("stages", "modules", "concepts")
"""The lists that lead to a concept, each in an object of the one before."""

Span = tuple[int, int]
"""Where something begins, and where it ends."""

Edit = tuple[int, int, str]
"""A span, and what is written in its place."""

_SPACE = r"[ \t\n\r]*"
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'

_KEY = re.compile(rf"{_SPACE}({_STRING}){_SPACE}:{_SPACE}", re.DOTALL)
_PLAIN_VALUE = re.compile(rf"{_SPACE}:{_SPACE}({_STRING}|[^\s,\]}}{{\[\"]+)", re.DOTALL)
_SPACES = re.compile(_SPACE)

# Numbers are kept as text: only the end of a value matters, and `int` refuses very long ones.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def set_fields(text: str, changes: Mapping[int, Mapping[str, Any]]) -> str:
    """Set fields of concepts, which are numbered from 0 in the order in which they stand.

    A field that stands more than once in its concept is set each time: readers differ in which one counts.
    """
    concepts, _ = _find_concepts(text, _skip_space(text, 0), 0)
    pieces = []
    done = 0
    for number, fields in changes.items():
        if fields:
            concept = concepts[number]
            edits = _edits_of_plain_concept(text, concept, fields)
            for begin, end, replacement in _edits(text, concept, fields) if edits is None else edits:
                pieces += [text[done:begin], replacement]
                done = end
    return "".join((*pieces, text[done:]))


def _edits_of_plain_concept(text: str, concept: Span, fields: Mapping[str, Any]) -> list[Edit] | None:
    """The same as `_edits`, and much faster, for a concept that is written plainly; `None` for another.

    Without a second brace and without an escaped letter, a quoted key of ours that is followed by a colon is
    a member of the concept. A quote inside of a string has a backslash before it.
    """
    start, end = concept
    if text.count("{", start, end) > 1 or text.find("\\u00", start, end) >= 0:
        return None
    edits = []
    missing = {}
    for key, value in fields.items():
        quoted = f'"{key}"'
        begin = text.find(quoted, start, end)
        if begin < 0:
            missing[key] = value
            continue
        found = _PLAIN_VALUE.match(text, begin + len(quoted))
        again = text.find(quoted, begin + 1, end) >= 0
        if again or found is None or text[begin - 1] == "\\":
            return None
        edits.append((*found.span(1), json.dumps(value)))
    edits.sort()
    if missing:
        last = len(text[start : end - 1].rstrip(" \t\n\r")) + start
        edits.append((last, last, _members_text(missing)))
    return edits


def _edits(text: str, concept: Span, fields: Mapping[str, Any]) -> Iterator[Edit]:
    """What to write where, in order, to set the fields of a concept."""
    missing = dict(fields)
    last = concept[0]
    for key, begin, end in _members(text, concept[0]):
        last = end
        if key in fields:
            missing.pop(key, None)
            yield begin, end, json.dumps(fields[key])
    if missing:
        yield last, last, _members_text(missing)


def _members_text(fields: Mapping[str, Any]) -> str:
    return "".join(f", {json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items())


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """The keys of the object at `start`, each with the place of its value."""
    position = start + 1
    while found := _KEY.match(text, position):
        end = _end_of_value(text, found.end())
        yield _name(found[1]), found.end(), end
        position = _after_comma(text, end)


def _find_concepts(text: str, start: int, level: int) -> tuple[list[Span], int]:
    """The concepts in the object at `start`, which holds the list of `level`; and where the object ends.

    Of a list that stands more than once, the last counts, as it does when the document is decoded.
    """
    concepts: list[Span] = []
    position = start + 1
    while found := _KEY.match(text, position):
        end = found.end()
        if _name(found[1]) == LEVELS[level] and text[end] == "[":
            concepts, end = _find_in_list(text, end, level)
        else:
            end = _end_of_value(text, end)
        position = _after_comma(text, end)
    return concepts, _skip_space(text, position) + 1


def _find_in_list(text: str, start: int, level: int) -> tuple[list[Span], int]:
    """The concepts in the list at `start`, and where the list ends."""
    concepts: list[Span] = []
    position = _skip_space(text, start + 1)
    while text[position] != "]":
        if text[position] == "{" and level + 1 < len(LEVELS):
            found, end = _find_concepts(text, position, level + 1)
            concepts += found
        else:
            end = _end_of_value(text, position)
            if level + 1 == len(LEVELS):
                concepts.append((position, end))
        position = _skip_space(text, _after_comma(text, end))
    return concepts, position + 1


def _name(quoted: str) -> str:
    name: str = json.loads(quoted) if "\\" in quoted else quoted[1:-1]
    return name


def _end_of_value(text: str, start: int) -> int:
    _, end = _decode(text, start)
    return end


def _after_comma(text: str, position: int) -> int:
    """The place after the comma that follows, or the bracket where there is none."""
    position = _skip_space(text, position)
    return position + 1 if text[position] == "," else position


def _skip_space(text: str, position: int) -> int:
    found = _SPACES.match(text, position)
    assert found is not None  # noqa: S101 - it matches nothing as well
    return found.end()
