"""The interface of a content type.

Content types differ only in their contract, their table and their fields in `framework_data`. Planning,
generating, saving and finalizing use them through `ContentKind`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..contracts.documents import Document, is_plain_json, unstorable
from ..contracts.errors import ConceptIdTooLongError, InvalidContentError
from ..contracts.items import ContentType
from ..contracts.payloads import Origin, first_fault
from .statements import TableStatements

MAX_INTEGER = 2**31 - 1
"""The largest value of PostgreSQL's `integer`."""

ContentId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=500)]
NonNegative = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]


class Content(BaseModel):
    """One staged item. Unknown keys are kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", defer_build=True)


class Draft(BaseModel):
    """One item from a generator. Its id and version are assigned when it is staged."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)

    def fault(self) -> str | None:
        """Describe the first fault that makes a well-formed draft unusable; `None` if there is none."""
        return None


def repeated(place: str, values: Sequence[object]) -> str | None:
    """Describe the value at `place` that is repeated most often; `None` if none is. There must be values."""
    value, times = Counter(values).most_common(1)[0]
    return f"{place} holds {value!r} more than once" if times > 1 else None


Row = dict[str, Any]
"""An item's columns by name. A large JSON column is already encoded, under the key `DOCUMENT`."""

DOCUMENT = "document"


class StoredText(NamedTuple):
    """The part of a content that is an S3 object."""

    field: str
    """Its field in staged content."""

    key_column: str
    """The column with the object's key."""


class Names(NamedTuple):
    """The names of a content type for people, in one language."""

    one: str
    many: str
    letter: str
    """One character, above the letters of `states`."""


class ContentKind(NamedTuple):
    """Everything that is specific to one content type."""

    content_type: ContentType
    names: Mapping[str, Names]
    """By language: `en` and `zh`."""

    table: str
    content: type[Content]
    draft: type[Draft]
    id_field: str
    """The name of the item's id, both in staged content and as the table's primary key."""

    to_row: Callable[[str, str, Document], Row]
    """`(roadmap_id, concept_id, content)` → the item's row, for `sql.save`."""

    complete: Callable[[Document, int], Document]
    """`(draft, version)` → the fields of staged content besides the draft's fields and the id."""

    sql: TableStatements
    """The statements of its table."""

    project: Callable[[Row | None], Document]
    """The concept's fields in `framework_data`, from its current row or from `None`."""

    output_share: float = 1.0
    """The maximum output tokens of a model's answer, as a share of the maximum for any answer: of a quota,
    only what an answer may need is taken.
    """

    stored_text: StoredText | None = None
    """The part of the content that is not in the row, and is stored before the row is saved."""

    def parse(self, body: bytes) -> Document:
        """Parse one staged item.
        Raises InvalidContentError: the body is not JSON, does not match the contract, or cannot be stored;
        the message names the first error and its path.
        """
        try:  # as `json.loads`, which would make a decoder for each body
            document = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
        except (ValueError, RecursionError) as error:
            raise InvalidContentError(f"not JSON: {error}") from error
        # Plain JSON holds nothing that cannot be stored. Searching its bytes is much faster than `check`.
        return self._validate(document) if is_plain_json(body) else self.check(document)

    def check(self, document: object) -> Document:
        """Validate a decoded item against this type's contract; see `parse`."""
        if fault := unstorable(document):
            raise InvalidContentError(fault)
        return self._validate(document)

    def _validate(self, document: object) -> Document:
        try:
            self.content.model_validate(document)
        except ValidationError as error:
            raise InvalidContentError(first_fault(error)) from error
        assert isinstance(document, dict)  # noqa: S101 - the model has just accepted it
        return document


def with_origin(row: Row, origin: Origin, task_id: str, attempt: int, content_fingerprint: str) -> Row:
    """A row for `sql.save` that records its origin."""
    saved = {"task_id": task_id, "attempt": attempt, "content_fingerprint": content_fingerprint}
    return row | origin.model_dump() | saved


def save_parameters(roadmap_id: str, rows: Sequence[Row]) -> dict[str, str]:
    """The parameters of `sql.save`: `rows`, a JSON array with an `ordinal` from 1 on, and `documents`.

    `documents` has one encoded document per line: escaped JSON contains no line feed. Inside `rows`,
    documents would be escaped and parsed twice, and copied in the steps that only check the rows.
    """
    columns = [
        {"ordinal": ordinal} | {name: value for name, value in row.items() if name != DOCUMENT}
        for ordinal, row in enumerate(rows, start=1)
    ]
    documents = "\n".join(row.get(DOCUMENT, "") for row in rows)
    return {"roadmap_id": roadmap_id, "rows": json.dumps(columns), "documents": documents}


MAX_KEY_BYTES = 2_600
"""Maximum bytes of a roadmap's and a concept's id together: an index row of PostgreSQL holds 2,704 bytes."""


def require_indexable(roadmap_id: str, concept_id: str) -> None:
    """Check that a row of the content tables can be indexed with these ids.
    Raises ConceptIdTooLongError: the ids are too long for an index of PostgreSQL.
    """
    size = len(roadmap_id.encode()) + len(concept_id.encode())
    if size > MAX_KEY_BYTES:
        raise ConceptIdTooLongError(
            f"the ids of roadmap and concept have {size} bytes together; {MAX_KEY_BYTES} can be saved"
        )


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("a number is larger than a float can be")
    return number


# Made once, because making a decoder takes as long as decoding a small document.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)

# Decoded JSON has no cycles, and the check for them takes a sixth of the time.
encode = json.JSONEncoder(check_circular=False).encode
"""Encode a part of a content as JSON in ASCII."""


def status_field(row: Mapping[str, Any] | None) -> str:
    """The status of an item in `framework_data`. An item without a completed row is `failed`."""
    return "failed" if row is None else "completed"
