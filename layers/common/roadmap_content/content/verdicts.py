"""The verdicts of the product's check of contents. No I/O."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from ..contracts import Payload, first_fault
from ..documents import Document
from ..errors import ContentCheckFailedError, InvalidContentError
from ..remedies import REJECTED_BY_CHECK
from .kind import ContentKind


class Accepted(Payload):
    """The content is saved, or the corrected one instead."""

    verdict: Literal["accept"]
    content: dict[str, Any] | None = None


class Rejected(Payload):
    """The content is refused. The next attempt gives the reason to the model."""

    verdict: Literal["reject"]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,49}$")]
    reason: Annotated[str, Field(min_length=1)]

    @property
    def error_code(self) -> str:
        """The code of the failure."""
        return f"{REJECTED_BY_CHECK}{self.code}"


class _Answer(Payload):
    verdicts: list[Annotated[Accepted | Rejected, Field(discriminator="verdict")]]
    requests: Annotated[int, Field(ge=0)] | None = None


def read_requests(answer: object, items: int) -> int:
    """The number of requests that an answer states; without a statement, one per item.

    Raises:
        ContentCheckFailedError: the answer does not match the contract.
    """
    stated = _read(answer).requests
    return items if stated is None else stated


def read_verdicts(answer: object, items: int) -> list[Accepted | Rejected]:
    """The verdicts in an answer, one per item, in the order of the request.

    Raises:
        ContentCheckFailedError: the answer does not match the contract.
    """
    verdicts = _read(answer).verdicts
    if len(verdicts) != items:
        raise ContentCheckFailedError(f"wrong answer: {len(verdicts)} verdicts for {items} items")
    return verdicts


def _read(answer: object) -> _Answer:
    try:
        return _Answer.model_validate(answer)
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong answer: {first_fault(error)}") from error


def corrected(kind: ContentKind, content: Document, correction: Document) -> Document:
    """The corrected content. It keeps the id and the version.

    Raises:
        ContentCheckFailedError: the corrected content is not valid.
    """
    identity = {name: content[name] for name in (kind.id_field, "content_version") if name in content}
    try:
        return kind.check(correction | identity)
    except InvalidContentError as error:
        raise ContentCheckFailedError(f"wrong answer: the corrected content: {error}") from error
