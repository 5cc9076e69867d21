"""The verdicts of the product's check of contents. No I/O."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError

from ..contracts.documents import Document
from ..contracts.errors import ContentCheckFailedError, InvalidContentError
from ..contracts.payloads import Payload, first_fault
from .kind import ContentKind
from .remedies import REJECTED_BY_CHECK


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


class CheckAnswer(Payload):
    """The verdicts, one per item, in the order of the request."""

    verdicts: list[Annotated[Accepted | Rejected, Field(discriminator="verdict")]]
    requests: Annotated[int, Field(ge=0)] | None = None

    @property
    def cost(self) -> int:
        """The number of requests of the check; without a statement, one per item."""
        return len(self.verdicts) if self.requests is None else self.requests


def read_answer(answer: object, items: int) -> CheckAnswer:
    """Read the answer to a request with a number of items.

    Raises:
        ContentCheckFailedError: the answer does not match the contract.
    """
    try:
        read = CheckAnswer.model_validate(answer)
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong answer: {first_fault(error)}") from error
    if len(read.verdicts) != items:
        raise ContentCheckFailedError(f"wrong answer: {len(read.verdicts)} verdicts for {items} items")
    return read


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
