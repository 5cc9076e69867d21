"""A Lambda function of the team, called with JSON: the check of contents, and the generator."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from ...contracts.documents import MAX_REQUEST, storable_json
from .clients import create_client

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_lambda import LambdaClient


class Fault(Enum):
    """Why there is no answer."""

    OUT_OF_TIME = auto()
    """Less time was left than a call may take."""

    THROTTLED = auto()
    BUSY = auto()
    """Lambda was not reached, or failed."""

    FORBIDDEN = auto()
    MISSING = auto()
    REFUSED = auto()
    """Another refusal: of the request, or of its signature."""

    REQUEST_TOO_LARGE = auto()
    ANSWER_TOO_LARGE = auto()
    """For Lambda."""

    FAILED = auto()
    """The function raised an error, or took longer than its own timeout."""

    TIMED_OUT = auto()
    """No complete answer in time. The function may go on."""

    NOT_JSON = auto()


_FAULTS = {
    "RequestTooLargeException": Fault.REQUEST_TOO_LARGE,
    "TooManyRequestsException": Fault.THROTTLED,
    "AccessDeniedException": Fault.FORBIDDEN,
    "ResourceNotFoundException": Fault.MISSING,
}
"""By the code of Lambda's error."""

TOO_LARGE = (Fault.REQUEST_TOO_LARGE, Fault.ANSWER_TOO_LARGE)


class NoAnswerError(Exception):
    """A call without an answer. The caller raises its own error instead, by `fault`."""

    def __init__(self, fault: Fault, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.fault, self.retry_after = fault, retry_after


@dataclass(frozen=True)
class TeamFunction:
    """A function of the team. Safe for use by several threads."""

    client: "LambdaClient"
    arn: str
    """Its ARN or name."""

    seconds: int
    """The time limit of one call."""

    def call(self, document: Mapping[str, Any], seconds_left: float) -> Any:  # noqa: ANN401 - any JSON value
        """The function's answer to a document. One try: the caller decides about others.
        Raises NoAnswerError.
        """
        from botocore import exceptions
        from urllib3.exceptions import HTTPError  # botocore does not wrap all errors while a body is read

        if seconds_left < self.seconds:
            raise NoAnswerError(Fault.OUT_OF_TIME, "the invocation had too little time left for the call")
        payload = storable_json(document).encode()
        if len(payload) > MAX_REQUEST:
            reason = f"the request has {len(payload)} bytes; {MAX_REQUEST} can be sent"
            raise NoAnswerError(Fault.REQUEST_TOO_LARGE, reason)
        try:
            response = self.client.invoke(FunctionName=self.arn, Payload=payload)
            answer = response["Payload"].read()
        except exceptions.ClientError as error:
            raise _refusal(error) from error
        except (exceptions.ConnectTimeoutError, exceptions.EndpointConnectionError) as error:
            raise NoAnswerError(Fault.BUSY, str(error)) from error
        except (exceptions.HTTPClientError, HTTPError) as error:
            raise NoAnswerError(Fault.TIMED_OUT, str(error)) from error
        except exceptions.BotoCoreError as error:
            raise NoAnswerError(Fault.REFUSED, str(error)) from error
        if "FunctionError" in response:
            name = _error_type(answer)
            fault = Fault.ANSWER_TOO_LARGE if name == "Function.ResponseSizeTooLarge" else Fault.FAILED
            raise NoAnswerError(fault, f"the function failed: {name}")
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise NoAnswerError(Fault.NOT_JSON, f"the answer is not JSON: {error}") from error


def team_function(arn: str, seconds: int, connections: int = 1) -> TeamFunction:
    """A function by its ARN or name, the time limit of one call, and the number of calls at the same time.
    Sends no request.
    """
    client: LambdaClient = create_client(
        "lambda",
        region_name=arn.split(":")[3] if arn.startswith("arn:") else None,
        connect_timeout=3,
        read_timeout=seconds,
        max_pool_connections=connections,
        tcp_keepalive=True,  # NAT gateways drop connections that are idle until the answer is complete
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    return TeamFunction(client, arn, seconds)


def _refusal(error: "ClientError") -> NoAnswerError:
    """The error for a refusal by Lambda, with its `Retry-After` in seconds."""
    metadata, details = error.response["ResponseMetadata"], error.response["Error"]
    status, code = metadata["HTTPStatusCode"], details.get("Code", "")
    fault = _FAULTS.get(code, Fault.BUSY if status >= 500 else Fault.REFUSED)
    after = metadata.get("HTTPHeaders", {}).get("retry-after", "")
    return NoAnswerError(fault, str(error), float(after) if after.isdecimal() else 0.0)


def _error_type(answer: bytes) -> str:
    """The type of the function's error. Its message may contain content, and is in the function's own log. An
    error of Lambda itself, such as a timeout, has only a message.
    """
    try:
        failure = json.loads(answer)
        return str(failure.get("errorType") or failure.get("errorMessage"))[:500]
    except (ValueError, AttributeError, RecursionError):
        return "without a reason"
