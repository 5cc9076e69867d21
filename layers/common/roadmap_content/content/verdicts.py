"""The verdicts of the product's check of contents. No I/O."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError

from ..contracts.documents import Document
from ..contracts.errors import ContentCheckFailedError, InvalidContentError, PermanentError
from ..contracts.payloads import Payload, first_fault
from .kind import ContentKind
from .remedies import REJECTED_BY_CHECK


def _encodable(value: object) -> object:
    """A text without lone surrogates. A check that cuts a text by UTF-16 units leaves half an emoji."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


class Accepted(Payload):
    """The content is saved, or the corrected one instead."""

    verdict: Literal["accept"]
    content: dict[str, Any] | None = None


class Rejected(Payload):
    """The content is refused. The next attempt gives the reason to the model."""

    verdict: Literal["reject"]
    code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]{0,49}$")]
    reason: Annotated[str, BeforeValidator(_encodable), Field(min_length=1)]


class RejectedByCheckError(PermanentError, code="RejectedByCheck"):
    """The product's check has refused a content; `error_code` is that of its verdict."""

    def __init__(self, rejection: Rejected) -> None:
        super().__init__(rejection.reason)
        self.error_code = f"{REJECTED_BY_CHECK}{rejection.code}"


class _Answer(Payload):
    verdicts: list[Any]


_VERDICT: TypeAdapter[Accepted | Rejected] = TypeAdapter(
    Annotated[Accepted | Rejected, Field(discriminator="verdict")]
)


def read_answer(answer: object, items: int) -> Sequence[object]:
    """The verdicts on a number of items, in the order of the request, each for `read_verdict`.

    Raises:
        ContentCheckFailedError: the answer has not one verdict per item.
    """
    try:
        read = _Answer.model_validate(answer)
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong answer: {first_fault(error)}") from error
    if len(read.verdicts) != items:
        raise ContentCheckFailedError(f"wrong answer: {len(read.verdicts)} verdicts for {items} items")
    return read.verdicts


def read_verdict(verdict: object) -> Accepted | Rejected:
    """Read one verdict.

    Raises:
        ContentCheckFailedError: it does not match the contract.
    """
    try:
        return _VERDICT.validate_python(verdict)
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong verdict: {first_fault(error)}") from error


def corrected(kind: ContentKind, content: Document, correction: Document) -> Document:
    """The corrected content. It keeps the id and the version.

    Raises:
        ContentCheckFailedError: the corrected content is not valid.
    """
    identity = {name: content[name] for name in (kind.id_field, "content_version") if name in content}
    try:
        return kind.check(correction | identity)
    except InvalidContentError as error:
        raise ContentCheckFailedError(f"wrong verdict: the corrected content: {error}") from error
