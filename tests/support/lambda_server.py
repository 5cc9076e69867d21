"""Lambda's API `Invoke`, with one function of the team, over HTTP."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.http_server import HttpServer, Reply, Request, json_reply

Event = dict[str, Any]
Behaviour = Callable[[Event], Reply]
"""Answers an event as Lambda does."""

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:writer"

REFUSED: Mapping[int, str] = {
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "TooManyRequestsException",
    500: "ServiceException",
}


def answers(document: object) -> Reply:
    """The function has answered."""
    return json_reply(document)


def fails(error_type: str) -> Reply:
    """The function has raised an error."""
    failure = {"errorType": error_type, "errorMessage": "the learner's own words"}
    return json_reply(failure, X_Amz_Function_Error="Unhandled")


def refuses(status: int, **headers: str) -> Reply:
    """Lambda has not invoked the function."""
    document = {"Message": "of Lambda", "Type": "User"}
    return json_reply(document, status, X_Amzn_Errortype=REFUSED[status], **headers)


def is_late(seconds: float) -> Reply:
    """The answer comes after some seconds."""
    time.sleep(seconds)
    return answers({})


class LambdaServer(HttpServer):
    """Invokes a function, and keeps its events."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.events: list[Event] = []
        super().__init__(self._invoke)

    def _invoke(self, request: Request) -> Reply:
        assert request.path == f"/2015-03-31/functions/{ARN}/invocations"
        event = json.loads(request.body)
        self.events.append(event)
        return self.behaviour(event)
