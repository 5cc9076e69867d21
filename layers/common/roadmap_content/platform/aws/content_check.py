"""The product's own check of contents: a Lambda function that is asked about a batch before it is saved."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...contracts.errors import ContentCheckFailedError
from .clients import create_client

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
            ContentCheckFailedError: the function did not answer in time or crashed, or its answer is not
                JSON.
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
    """The error's type and message in the answer of a function that failed."""
    try:
        failure = json.loads(answer)
        return f"{failure.get('errorType', 'Error')}: {failure.get('errorMessage', '')}"[:500]
    except (ValueError, AttributeError, RecursionError):
        return "without a reason"
