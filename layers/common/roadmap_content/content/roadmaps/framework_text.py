"""Edit the text of `framework_data`: set fields of concepts, and keep every other byte.

The document belongs to the product. Decoding and encoding it would change numbers that a float cannot hold,
drop duplicate keys, and rewrite whitespace and escapes. Therefore the text is edited in place: a concept's
members are found by position, the values of projected fields are replaced, and missing fields are appended.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
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
_SPACES = re.compile(_SPACE)

# Numbers are kept as text: only the end of a value is needed, and `int` does not accept very long numbers.
_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def set_fields(text: str, changes: Sequence[Mapping[str, Any]]) -> str:
    """Set fields of concepts: `changes` has those of each one, in document order. A duplicate key is set at
    each occurrence, because readers differ in which one they use.
    """
    encode = json.JSONEncoder(ensure_ascii=text.isascii()).encode
    concepts, _ = _find_concepts(text, _skip_space(text, 0), 0)
    pieces = []
    done = 0
    for concept, fields in zip(concepts, changes, strict=True):
        encoded = {key: encode(value) for key, value in fields.items()}
        for begin, end, replacement in _edits(text, concept, encoded):
            pieces += [text[done:begin], replacement]
            done = end
    return "".join((*pieces, text[done:]))


def _edits(text: str, concept: Span, fields: Mapping[str, str]) -> Iterator[Edit]:
    """The edits that set encoded fields of a concept, in order: values are replaced, and missing fields
    appended.
    """
    if not fields:
        return
    missing = dict(fields)
    last = concept[0]
    for key, begin, end in _members(text, concept[0]):
        last = end
        if key in fields:
            missing.pop(key, None)
            yield begin, end, fields[key]
    if missing:  # after the last member: a concept has one, its id
        members = (f", {json.dumps(key)}: {value}" for key, value in missing.items())
        yield last, last, "".join(members)


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """The keys of the object at `start`, each with the span of its value."""
    position = start + 1
    while key := _KEY.match(text, position):
        end = _end_of_value(text, key.end())
        yield _name(key[1]), key.end(), end
        position = _after_comma(text, end)


def _find_concepts(text: str, start: int, level: int) -> tuple[list[Span], int]:
    """Find the concepts in the object at `start`, which has the list of `level`; also return the object's
    end. Of a duplicate key, the last one counts, as in decoding: the framework has been read, so it is a
    list.
    """
    concepts: list[Span] = []
    position = start + 1
    while key := _KEY.match(text, position):
        end = key.end()
        if _name(key[1]) == LEVELS[level] and text[end] == "[":
            concepts, end = _find_in_list(text, end, level)
        else:
            end = _end_of_value(text, end)
        position = _after_comma(text, end)
    return concepts, _skip_space(text, position) + 1


def _find_in_list(text: str, start: int, level: int) -> tuple[list[Span], int]:
    """Find the concepts in the list of `level` that begins at `start`; also return the list's end. Only a
    list that a later duplicate replaces holds anything but objects, and concepts in it do not count.
    """
    concepts: list[Span] = []
    position = _skip_space(text, start + 1)
    while text[position] != "]":
        if text[position] == "{" and level + 1 < len(LEVELS):
            nested, end = _find_concepts(text, position, level + 1)
            concepts += nested
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
    spaces = _SPACES.match(text, position)
    assert spaces is not None  # noqa: S101 - the pattern always matches, also an empty string
    return spaces.end()
