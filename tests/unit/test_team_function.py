"""Each way in which a function of the team gives no answer is distinguished."""

import json
from io import BytesIO
from typing import Any

import boto3
import pytest
from botocore import exceptions
from botocore.response import StreamingBody
from botocore.stub import Stubber
from urllib3.exceptions import SSLError

from roadmap_content.contracts.documents import MAX_REQUEST
from roadmap_content.platform.aws.team_function import Fault, NoAnswerError, TeamFunction

SECONDS = 60


def function(answer: bytes = b"", *, failed: bool = False, **refusal: Any) -> TeamFunction:
    client = boto3.client("lambda", region_name="eu-central-1")
    stubber = Stubber(client)
    if refusal:
        stubber.add_client_error("invoke", **refusal)
    else:
        response = {"StatusCode": 200, "Payload": StreamingBody(BytesIO(answer), len(answer))}
        stubber.add_response("invoke", response | ({"FunctionError": "Unhandled"} if failed else {}))
    stubber.activate()
    return TeamFunction(client, "arn:function", SECONDS)


def refused(code: str, status: int = 400, after: str = "") -> TeamFunction:
    return function(
        service_error_code=code,
        http_status_code=status,
        response_meta={"HTTPHeaders": {"retry-after": after}},
    )


def crashed(name: str) -> TeamFunction:
    return function(json.dumps({"errorType": name, "errorMessage": "of the content"}).encode(), failed=True)


def test_the_answer_is_read() -> None:
    assert function(b'{"a": [1]}').call({"text": "\ud800"}, SECONDS) == {"a": [1]}


@pytest.mark.parametrize(
    ("called", "fault", "reason"),
    [
        (refused("TooManyRequestsException", 429), Fault.THROTTLED, "TooManyRequestsException"),
        (refused("AccessDeniedException", 403), Fault.FORBIDDEN, "AccessDeniedException"),
        (refused("ResourceNotFoundException", 404), Fault.MISSING, "ResourceNotFoundException"),
        (refused("RequestTooLargeException", 413), Fault.REQUEST_TOO_LARGE, "RequestTooLargeException"),
        (refused("ServiceException", 500), Fault.BUSY, "ServiceException"),
        (refused("InvalidParameterValueException"), Fault.REFUSED, "InvalidParameterValueException"),
        (crashed("KeyError"), Fault.FAILED, "the function failed: KeyError"),
        (crashed("Function.ResponseSizeTooLarge"), Fault.ANSWER_TOO_LARGE, "ResponseSizeTooLarge"),
        (function(b"[]", failed=True), Fault.FAILED, "without a reason"),
        (function(b"<html>"), Fault.NOT_JSON, "not JSON"),
        (function(b"[" * 100_000), Fault.NOT_JSON, "not JSON"),
    ],
)
def test_a_call_without_an_answer_names_its_fault(called: TeamFunction, fault: Fault, reason: str) -> None:
    with pytest.raises(NoAnswerError, match=reason) as caught:
        called.call({}, SECONDS)
    assert caught.value.fault is fault
    assert "of the content" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (exceptions.ReadTimeoutError(endpoint_url="https://lambda"), Fault.TIMED_OUT),
        (exceptions.ConnectionClosedError(endpoint_url="https://lambda"), Fault.TIMED_OUT),
        (exceptions.EndpointConnectionError(endpoint_url="https://lambda"), Fault.BUSY),
        (exceptions.ConnectTimeoutError(endpoint_url="https://lambda"), Fault.BUSY),
        (exceptions.NoCredentialsError(), Fault.REFUSED),
    ],
)
def test_a_lost_connection_is_told_from_one_that_was_not_made(
    monkeypatch: pytest.MonkeyPatch, error: Exception, fault: Fault
) -> None:
    called = function()

    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(called.client, "invoke", fail)
    with pytest.raises(NoAnswerError) as caught:
        called.call({}, SECONDS)
    assert caught.value.fault is fault


def test_an_answer_is_lost_if_its_encryption_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the errors while a body is read, botocore leaves this one to its caller."""

    def fail(_: StreamingBody) -> None:
        raise SSLError("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")

    monkeypatch.setattr(StreamingBody, "read", fail)
    with pytest.raises(NoAnswerError) as caught:
        function(b"{}").call({}, SECONDS)
    assert caught.value.fault is Fault.TIMED_OUT


def test_lambda_says_when_to_call_again() -> None:
    with pytest.raises(NoAnswerError) as caught:
        refused("TooManyRequestsException", 429, after="7").call({}, SECONDS)
    assert caught.value.retry_after == 7


def test_nothing_is_sent_without_the_time_or_above_the_limit() -> None:
    with pytest.raises(NoAnswerError, match="too little time") as caught:
        function().call({}, SECONDS - 1)
    assert caught.value.fault is Fault.OUT_OF_TIME
    with pytest.raises(NoAnswerError, match="can be sent") as caught:
        function().call({"text": "x" * MAX_REQUEST}, SECONDS)
    assert caught.value.fault is Fault.REQUEST_TOO_LARGE
