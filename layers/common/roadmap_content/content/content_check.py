"""The product's check of contents: a Lambda function that is asked about a batch before it is saved."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from ..contracts.documents import Document
from ..contracts.errors import ContentCheckFailedError, InvalidContentError, PermanentError
from ..contracts.items import REJECTED_BY_CHECK
from ..contracts.payloads import Payload, first_fault
from ..platform.aws.clients import create_client
from .kind import ContentKind

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

MAX_REQUEST = 6 * 1024 * 1024
"""Bytes of the largest request that Lambda accepts."""

_ANSWER_TOO_LARGE = "Function.ResponseSizeTooLarge"


class TooMuchToCheckError(ContentCheckFailedError, code=ContentCheckFailedError.code):
    """The request or its answer is larger than Lambda accepts: fewer items may fit."""


class ContentCheck:
    """The check function. Args: `function`: its ARN or name; `seconds`: the time limit of one call."""

    def __init__(self, function: str, seconds: int) -> None:
        self._function = function
        self._seconds = seconds

    @cached_property
    def _client(self) -> "LambdaClient":
        # One try: the state machine or the next attempt asks again.
        retries = {"mode": "standard", "total_max_attempts": 1}
        client: LambdaClient = create_client(
            "lambda", connect_timeout=3, read_timeout=self._seconds, retries=retries
        )
        return client

    def ask(self, document: Mapping[str, Any], seconds: float) -> Any:  # noqa: ANN401 - any JSON value
        """The function's answer. It is not asked if fewer `seconds` are left than it may take.

        Raises:
            TooMuchToCheckError: fewer items may fit.
            ContentCheckFailedError: the function did not answer in time, crashed, or sent no JSON.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if seconds < self._seconds:
            raise ContentCheckFailedError("the invocation had too little time left for the check")
        payload = json.dumps(document).encode()
        if len(payload) > MAX_REQUEST:
            raise TooMuchToCheckError(f"the request has {len(payload)} bytes; {MAX_REQUEST} can be sent")
        try:
            response = self._client.invoke(FunctionName=self._function, Payload=payload)
            answer = response["Payload"].read()
        except self._client.exceptions.RequestTooLargeException as error:
            raise TooMuchToCheckError(str(error)) from error
        except (BotoCoreError, ClientError) as error:
            raise ContentCheckFailedError(str(error)) from error
        if "FunctionError" in response:
            message = f"the function failed: {_message(answer)}"
            too_large = _ANSWER_TOO_LARGE in message
            raise TooMuchToCheckError(message) if too_large else ContentCheckFailedError(message)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise ContentCheckFailedError(f"the answer is not JSON: {error}") from error


def _message(answer: bytes) -> str:
    """The type of the error. A message that the function wrote may contain content; its own log has it."""
    try:
        failure = json.loads(answer)
        return str(failure.get("errorType") or failure.get("errorMessage"))[:500]
    except (ValueError, AttributeError, RecursionError):
        return "without a reason"


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
    Annotated[Accepted | Rejected, Field(discriminator="verdict")], config=ConfigDict(defer_build=True)
)


def read_answer(answer: object, items: int) -> Sequence[object]:
    """The verdicts on a number of items, in the order of the request, each for `read_verdict`.
    Raises ContentCheckFailedError: the answer has not one verdict per item.
    """
    try:
        read = _Answer.model_validate(answer)
    except ValidationError as error:
        raise ContentCheckFailedError(f"wrong answer: {first_fault(error)}") from error
    if len(read.verdicts) != items:
        raise ContentCheckFailedError(f"wrong answer: {len(read.verdicts)} verdicts for {items} items")
    return read.verdicts


def read_verdict(verdict: object) -> Accepted | Rejected:
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
