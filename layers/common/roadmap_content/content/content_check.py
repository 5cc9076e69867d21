"""The product's check of contents: a Lambda function that is called with a batch before it is saved."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from ..contracts.documents import Document
from ..contracts.errors import ContentCheckFailedError, InvalidContentError, PermanentError
from ..contracts.generation import TeamCode, TeamReason
from ..contracts.items import REJECTED_BY_CHECK
from ..contracts.payloads import Payload, first_fault
from ..platform.aws.team_function import TOO_LARGE, NoAnswerError, TeamFunction
from .kind import ContentKind


class TooMuchToCheckError(ContentCheckFailedError, code=ContentCheckFailedError.code):
    """The request or its answer is larger than Lambda accepts: fewer items may fit."""


class Accepted(Payload):
    """The content is saved, or the corrected one instead."""

    verdict: Literal["accept"]
    content: dict[str, Any] | None = None


class Rejection(Payload):
    """The content is refused. The next attempt gives the reason to the model."""

    verdict: Literal["reject"]
    code: TeamCode
    reason: TeamReason


class RejectedByCheckError(PermanentError, code="RejectedByCheck"):
    """The product's check has refused a content."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.reason)
        self._code = f"{REJECTED_BY_CHECK}{rejection.code}"

    @property
    def recorded_code(self) -> str:
        return self._code


class _Answer(Payload):
    verdicts: list[Any]


_VERDICT: TypeAdapter[Accepted | Rejection] = TypeAdapter(
    Annotated[Accepted | Rejection, Field(discriminator="verdict")], config=ConfigDict(defer_build=True)
)


def ask_check(check: TeamFunction, question: Document, seconds_left: float) -> Sequence[object]:
    """The verdicts on the items of a question, in their order, each for `read_verdict`.

    Raises:
        TooMuchToCheckError: fewer items may fit.
        ContentCheckFailedError: no answer, or not one verdict per item.
    """
    try:
        verdicts = _Answer.model_validate(check.call(question, seconds_left)).verdicts
    except NoAnswerError as error:
        failed = TooMuchToCheckError if error.fault in TOO_LARGE else ContentCheckFailedError
        raise failed(str(error)) from error
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong answer: {first_fault(error)}") from error
    items = len(question["items"])
    if len(verdicts) != items:
        raise ContentCheckFailedError(f"wrong answer: {len(verdicts)} verdicts for {items} items")
    return verdicts


def read_verdict(verdict: object) -> Accepted | Rejection:
    """Read one verdict. Raises ContentCheckFailedError: it does not match the contract."""
    try:
        return _VERDICT.validate_python(verdict)
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong verdict: {first_fault(error)}") from error


def corrected(kind: ContentKind, content: Document, correction: Document) -> Document:
    """The corrected content, with its id and version. Raises ContentCheckFailedError: it is not valid."""
    identity = {name: content[name] for name in (kind.id_field, "content_version") if name in content}
    try:
        return kind.check(correction | identity)
    except InvalidContentError as error:
        raise ContentCheckFailedError(f"wrong verdict: the corrected content: {error}") from error
