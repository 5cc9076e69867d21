"""What a content type is to the rest of the system.

A content type differs from another in its contract, its table and its fields in `framework_data`, and in
nothing else: planning, generating, saving and finalizing know it only as a `ContentKind`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ..contracts import first_fault
from ..documents import Document, unstorable
from ..errors import InvalidContentError
from ..items import ContentType

if TYPE_CHECKING:
    from ..storage.bucket import Bucket

MAX_INTEGER = 2**31 - 1
"""The largest value of PostgreSQL's `integer`."""

ContentId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Content(BaseModel):
    """One generated item as it is staged. Keys that this system does not know are kept as they are."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", defer_build=True)


class Draft(BaseModel):
    """One item as a generator makes it: no id and no version yet, those are given when it is staged."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)


Row = dict[str, Any]
"""An item's columns by name; what is large and JSON is text already, under `DOCUMENT`."""

DOCUMENT = "document"


class ContentKind(NamedTuple):
    """Everything that is particular to one content type."""

    content_type: ContentType
    content: type[Content]
    draft: type[Draft]
    id_field: str
    """The key of the item's own id, in staged content and as the table's primary key."""

    to_row: Callable[[str, str, Document], Row]
    """`(roadmap_id, concept_id, content)` → the item's row, as `save_sql` takes it."""

    complete: Callable[[Document, int], Document]
    """`(draft, version)` → the fields that staged content has besides the draft's and its id."""

    publish: "Callable[[Bucket, Row, Document], Row]"
    """Stores what does not go into the row, before the row is saved; → the row, with what came of it."""

    save_sql: str
    """Saves the rows that `save_parameters` gives it; the `concept_id` and the `row_status` of each that it
    refused, and of no other."""

    saved_sql: str
    """The `concept_id` of every item of `:roadmap_id` that has a completed row, once each."""

    current_sql: str
    """The current row of every completed item of `:roadmap_id`, as `project` takes it."""

    versions_sql: str | None
    """The highest `version`, saved or not, of each of `:concept_ids` (a JSON array) in `:roadmap_id`; of a
    type that has versions."""

    project: Callable[[Row | None], Document]
    """The concept's fields in `framework_data` that follow from its current row, or from having none."""

    def parse(self, body: bytes) -> Document:
        """Read one staged item.

        Raises:
            InvalidContentError: the body is not JSON, not of this type's shape, or cannot be stored; the
                message names the first fault and its place.
        """
        try:
            document = json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidContentError(f"not JSON: {error}") from error
        return self.check(document)

    def check(self, document: object) -> Document:
        """Hold an already decoded item against this type's contract; see `parse`."""
        if fault := unstorable(document):
            raise InvalidContentError(fault)
        try:
            self.content.model_validate(document)
        except ValidationError as error:
            raise InvalidContentError(first_fault(error)) from error
        assert isinstance(document, dict)  # noqa: S101 - the model has just accepted it
        return document


def save_parameters(roadmap_id: str, rows: Sequence[Row]) -> dict[str, str]:
    """The parameters of a `save_sql`: `rows`, a JSON array with an `ordinal` from 1 on, and `documents`.

    A document is a line of its own: escaped JSON holds no line feed. Inside `rows` it would be escaped and
    parsed twice over, and carried along where rows are only checked.
    """
    columns = [
        {"ordinal": ordinal} | {name: value for name, value in row.items() if name != DOCUMENT}
        for ordinal, row in enumerate(rows, start=1)
    ]
    documents = [row.get(DOCUMENT, "") for row in rows]
    return {"roadmap_id": roadmap_id, "rows": json.dumps(columns), "documents": "\n".join(documents)}


def nothing_to_publish(_bucket: "Bucket", row: Row, _content: Document) -> Row:
    """The row is all there is."""
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def status_field(row: Mapping[str, Any] | None) -> str:
    """The status of an item in `framework_data`: the tables know only completed and missing."""
    return "failed" if row is None else "completed"


NonNegative = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Field(ge=1, le=MAX_INTEGER)]
