"""Clients of AWS that answer from a table, with requests and answers validated against botocore's shapes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

Answer = Mapping[str, Any] | Exception
Answers = dict[str, Answer | Callable[[Mapping[str, Any]], Answer]]
"""An answer, or a function of the request's parameters, by `service.Operation`."""


class RecordedAws:
    """Answers from a table, and a list of the operations that were called."""

    def __init__(self) -> None:
        self._answers: Answers = {}
        self.called: list[str] = []
        self.session = boto3.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name="eu-central-1"
        )
        self._given: Mapping[str, Any] = {}
        # `before-parameter-build` has the parameters as given; `before-call` may answer in place of AWS.
        events = self.session._session  # noqa: SLF001 - boto3 has no public way to its hooks
        events.register("before-parameter-build", self._note)
        events.register("before-call", self._answer)

    def answer_with(self, answers: Answers) -> None:
        """Answer from this table from now on."""
        self._answers = answers
        self.called.clear()

    def _note(self, **event: Any) -> None:
        self._given = dict(event["params"])

    def _answer(self, **event: Any) -> Any:
        model = event["model"]
        name = f"{model.service_model.service_name}.{model.name}"
        self.called.append(name)
        answer = self._answers[name]
        if callable(answer):
            answer = answer(self._given)
        if isinstance(answer, Exception):
            raise answer
        if model.output_shape is not None:
            answer = completed(answer, model.output_shape)
            validate_parameters(answer, model.output_shape)
        headers: dict[str, str] = {}
        answered = {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers}}
        return type("Response", (), {"status_code": 200, "headers": headers})(), answered


_OF_TYPE: Mapping[str, Any] = {"string": "x", "timestamp": datetime(2026, 1, 1, tzinfo=UTC), "list": []}


def completed(answer: Any, shape: Any) -> Any:
    """An answer with the fields that AWS always sends and a test does not name."""
    if shape.type_name == "list" and isinstance(answer, list):
        return [completed(each, shape.member) for each in answer]
    if shape.type_name != "structure" or not isinstance(answer, Mapping):
        return answer
    members = shape.members
    required = {name: _OF_TYPE.get(members[name].type_name) for name in shape.required_members}
    named = {
        name: completed(value, members[name]) if name in members else value for name, value in answer.items()
    }
    return required | named


def refusal(code: str, message: str = "refused", operation: str = "Operation") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)
