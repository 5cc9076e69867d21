"""Edit the text of `framework_data`: set fields of concepts, and keep every other byte.

The document belongs to the product. Decoding and encoding it would change numbers that a float cannot hold,
drop duplicate keys, and rewrite whitespace and escapes. Therefore the text is edited in place: a concept's
members are found by position, the values of projected fields are replaced, and missing fields are appended.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LEVELS = ("stages", "modules", "concepts")
"""The keys of the nested lists that lead to a concept."""

Span = tuple[int, int]
"""The start and the end of a part of the text."""

Edit = tuple[int, int, str]
"""A span and its replacement."""

_SPACE = r"[ \t\n\r]*"
_STRING = r'"[^"\\]*(?:\\.[^"\\]*)*"'

_KEY = re.compile(rf"{_SPACE}({_STRING}){_SPACE}:{_SPACE}", re.DOTALL)
_PLAIN_VALUE = re.compile(rf"{_SPACE}:{_SPACE}({_STRING}|[^\s,\]}}{{\[\"]+)", re.DOTALL)
_SPACES = re.compile(_SPACE)

# Numbers are kept as text: only the end of a value is needed, and `int` refuses very long ones.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def set_fields(text: str, changes: Mapping[int, Mapping[str, Any]]) -> str:
    """Set fields of concepts, which are numbered from 0 in document order.

    A duplicate key is set at each occurrence, because readers differ in which one they use.
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
    """A much faster variant of `_edits` for a concept in plain notation; `None` for any other concept.

    Without a second brace and without an escaped letter, a quoted key that is followed by a colon is a member
    of the concept. A quote inside a string has a backslash before it.
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
    """The edits that set the fields of a concept, in order."""
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
    """The keys of the object at `start`, each with the span of its value."""
    position = start + 1
    while found := _KEY.match(text, position):
        end = _end_of_value(text, found.end())
        yield _name(found[1]), found.end(), end
        position = _after_comma(text, end)


def _find_concepts(text: str, start: int, level: int) -> tuple[list[Span], int]:
    """Find the concepts in the object at `start`, which has the list of `level`; also return the object's
    end.

    Of a duplicate list, the last one counts, as in decoding.
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
    """Find the concepts in the list at `start`; also return the list's end."""
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
    """The position after the following comma, or of the closing bracket."""
    position = _skip_space(text, position)
    return position + 1 if text[position] == "," else position


def _skip_space(text: str, position: int) -> int:
    found = _SPACES.match(text, position)
    assert found is not None  # noqa: S101 - it matches nothing as well
    return found.end()
