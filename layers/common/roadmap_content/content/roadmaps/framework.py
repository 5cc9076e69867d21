"""A roadmap's framework: read, check and project stages → modules → concepts. No I/O.

`framework_data` belongs to the product. Only the fields that a content type projects are written; every other
byte of its text is kept (see `framework_text`).
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

from ...contracts.documents import (
    MAX_DEPTH,
    Document,
    UndecodableError,
    decode,
    is_deep,
    storable_text,
    unstorable,
)
from ...contracts.errors import InvalidFrameworkError, ItemNotFoundError
from ...contracts.items import ContentType, Item
from ..kind import Row
from ..registry import CONTENT_KINDS
from .framework_text import LEVELS, set_fields

_LONGEST_HINT = 500
"""Maximum characters of an id in a hint."""

TOO_DEEP = f"framework_data is nested deeper than {MAX_DEPTH} levels"


class Concept(NamedTuple):
    """One concept and its place in the framework: the input of a generator. `estimated_hours` is in hours.
    Fields that the framework lacks are empty.
    """

    concept_id: str
    name: str
    description: str = ""
    difficulty: str = ""
    keywords: tuple[str, ...] = ()
    prerequisites: tuple[str, ...] = ()
    estimated_hours: float = 0.0
    stage: str = ""
    module: str = ""
    fields: Mapping[str, object] = MappingProxyType({})
    """All its fields as the framework has them, also unknown ones, with the names of its stage and module."""


@dataclass(frozen=True)
class Framework:
    """A `framework_data` with at least one concept that has a usable id."""

    nodes: Mapping[str, Document] = field(repr=False)
    """The concept objects of the document with a usable id, by id, in framework order. Of a repeated id, the
    first one.
    """

    places: Mapping[str, tuple[str, str]] = field(repr=False)
    """The names of a concept's stage and module, by concept id."""

    written: Sequence[tuple[str | None, Document]] = field(repr=False)
    """Every concept object, in document order, with its id; `None` if that is not usable."""

    skipped: Sequence[str] = ()
    """The faults of the concepts that are left out, with their places: an id that is no text, that cannot be
    stored, or that an earlier concept has.
    """

    text: str = field(default="", repr=False)
    """The stored text of the document, which `project` edits; empty if the document was not read from text.
    """

    @property
    def fault(self) -> str | None:
        """The first skipped concept, and the number of the others; `None` if none is."""
        others = f" (and {len(self.skipped) - 1} more)" if len(self.skipped) > 1 else ""
        return f"{self.skipped[0]}{others}" if self.skipped else None

    def items(self) -> Iterator[Item]:
        """All items of the roadmap: every concept in framework order, with every content type."""
        for concept_id in self.nodes:
            for content_type in ContentType:
                yield Item(concept_id, content_type)

    def missing(self, saved: Mapping[ContentType, Container[str]]) -> list[Item]:
        """The items without a completed row, in framework order."""
        return missing_items(self.nodes, saved)

    def require(self, concept_id: str) -> None:
        """Refuse an id that the roadmap does not have, with the full id if it is the end of one.
        Raises ItemNotFoundError: there is no such concept.
        """
        if concept_id in self.nodes:
            return
        ends = (node_id for node_id in self.nodes if concept_id and node_id.endswith(f":{concept_id}"))
        full = next(ends, None)
        hint = "" if full is None or len(full) > _LONGEST_HINT else f"; the full id is {full!r}"
        raise ItemNotFoundError(f"the roadmap has no concept {concept_id!r}{hint}")

    def concept(self, concept_id: str) -> Concept:
        """One concept. Fields that are absent or have another type are empty."""
        return concept_from(self.description(concept_id))

    def description(self, concept_id: str) -> Document:
        """The fields of one concept as the document has them, for `concept_from`."""
        stage, module = self.places[concept_id]
        return self.nodes[concept_id] | {"stage": stage, "module": module}

    def was_projected(self, item: Item) -> bool:
        """Whether the item is completed or failed in the document."""
        node = self.nodes[item.concept_id]
        keys = CONTENT_KINDS[item.content_type].project(None)
        return any(node.get(key) in ("completed", "failed") for key in keys if key.endswith("_status"))

    def project(self, current: Mapping[ContentType, Mapping[str, Row]]) -> str | None:
        """The text with the projected fields; `None` if nothing changes."""
        changes = [
            {} if concept_id is None else _differing(node, concept_id, current)
            for concept_id, node in self.written
        ]
        return set_fields(self.text, changes) if any(changes) else None


def _differing(node: Document, concept_id: str, current: Mapping[ContentType, Mapping[str, Row]]) -> Document:
    """The projected fields that a concept object lacks, or has with another value or type (`1 == True`)."""
    projected: Document = {}
    for content_type, kind in CONTENT_KINDS.items():
        projected |= kind.project(current[content_type].get(concept_id))
    return {
        key: value
        for key, value in projected.items()
        if key not in node or node[key] != value or type(node[key]) is not type(value)
    }


def missing_items(concept_ids: Iterable[str], saved: Mapping[ContentType, Container[str]]) -> list[Item]:
    """The items without a completed row, in the order of `concept_ids`."""
    by_type = [(content_type, saved[content_type]) for content_type in ContentType]
    return [
        Item(concept_id, content_type)
        for concept_id in concept_ids
        for content_type, saved_ids in by_type
        if concept_id not in saved_ids
    ]


def parse_framework(text: str) -> Framework:
    """Read a `framework_data` from its column's text. Raises InvalidFrameworkError: see `read_framework`."""
    try:
        return replace(read_framework(decode(text)), text=text)
    except UndecodableError as error:
        raise InvalidFrameworkError(TOO_DEEP) from error


def read_framework(document: object) -> Framework:
    """Read and check a `framework_data`. A concept whose id is not usable is skipped; the others are not.
    Raises InvalidFrameworkError: the document is not stages[] → modules[] → concepts[], has no concept with a
    usable id, or is nested too deeply; the message contains the path.
    """
    if not isinstance(document, dict):
        raise InvalidFrameworkError(f"framework_data is not an object: {document!r:.80}")
    if is_deep(document):
        # Encoding needs more stack than decoding, so a document that was read may be too deep to be written.
        raise InvalidFrameworkError(TOO_DEEP)
    nodes: dict[str, Document] = {}
    places: dict[str, tuple[str, str]] = {}
    positions: dict[str, Position] = {}
    written: list[tuple[str | None, Document]] = []
    skipped: list[str] = []
    concepts = list(_walk(document))
    ids: list[Any] = [node.get("concept_id") for _, _, node in concepts]
    # One search is much faster than one per id.
    may_be_unstorable = bool(unstorable("".join(each for each in ids if isinstance(each, str))))
    for (position, place, node), concept_id in zip(concepts, ids, strict=True):
        if not isinstance(concept_id, str) or not concept_id:
            fault: str | None = f"concept_id is not a text: {concept_id!r:.80}"
        else:
            fault = unstorable(concept_id, "concept_id") if may_be_unstorable else None
        written.append((concept_id if fault is None else None, node))
        if fault is not None:
            skipped.append(f"{_path(*position)}.{fault}")
        elif concept_id in nodes:
            skipped.append(
                f"concept_id {concept_id!r:.80} occurs twice: "
                f"at {_path(*positions[concept_id])} and at {_path(*position)}"
            )
        else:
            nodes[concept_id], places[concept_id], positions[concept_id] = node, place, position
    if not nodes:
        raise InvalidFrameworkError(skipped[0] if skipped else "framework_data contains no concept")
    return Framework(nodes, places, written, skipped)


Position = tuple[int, int, int]
"""The indexes of a concept's stage, of its module in the stage, and of the concept in the module."""


def _walk(document: Document) -> Iterator[tuple[Position, tuple[str, str], Document]]:
    """The concepts of a document, each with its position and the names of its stage and module."""
    for s, stage in enumerate(_children(document)):
        for m, module in enumerate(_children(stage, s)):
            place = _text(stage.get("name")), _text(module.get("name"))
            for c, node in enumerate(_children(module, s, m)):
                yield (s, m, c), place, node


def concept_from(fields: Document) -> Concept:
    """A concept from its fields in the framework, which may have any type."""
    return Concept(
        concept_id=fields["concept_id"],
        name=_text(fields.get("name")) or fields["concept_id"],
        description=_text(fields.get("description")),
        difficulty=_text(fields.get("difficulty")),
        keywords=_texts(fields.get("keywords")),
        prerequisites=_texts(fields.get("prerequisites")),
        estimated_hours=_number(fields.get("estimated_hours")),
        stage=_text(fields.get("stage")),
        module=_text(fields.get("module")),
        fields=fields,
    )


def _children(parent: Document, *position: int) -> list[Document]:
    """The objects one level below `parent`, which has the indexes `position`."""
    key = LEVELS[len(position)]
    children = parent.get(key)
    if not isinstance(children, list):
        raise InvalidFrameworkError(f"{_path(*position)}.{key} is not a list: {children!r:.80}")
    for index, child in enumerate(children):
        if not isinstance(child, dict):
            raise InvalidFrameworkError(f"{_path(*position, index)} is not an object: {child!r:.80}")
    return children


def _path(*position: int) -> str:
    steps = (f".{level}[{index}]" for level, index in zip(LEVELS, position, strict=False))
    return f"framework_data{''.join(steps)}"


def _text(value: object) -> str:
    return storable_text(value) if isinstance(value, str) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(entry) for entry in value if isinstance(entry, str)) if isinstance(value, list) else ()


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    try:
        number = float(value)
    except OverflowError:  # JSON integers are unbounded
        return 0.0
    return number if math.isfinite(number) else 0.0
