"""A deployed stack, and the list of changes to undo.

The list is a file with the requests that undo a change. Each is written before the change is made, so that a
process that is killed leaves it, and the next call sends them.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

from local_stack.stack_functions import functions_of
from release.clients import Clients
from roadmap_content.contracts.errors import ContentError

FAILURES = (BotoCoreError, ClientError, ContentError, OSError)
"""The errors of a request that is not answered, or refused."""


class Undo(NamedTuple):
    """A request that undoes a change: an operation, as `service.Operation`, or one of `Stack.undoing`."""

    operation: str
    request: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.operation} {json.dumps(self.request)}"


@dataclass
class Stack:
    """A deployed stack, on AWS or local."""

    name: str
    clients: Clients
    todo: Path
    """The file with the changes to undo."""

    undoing: Mapping[str, Callable[..., None]]
    """Functions that undo a change with more than one request, by a name. Each is called with the stack."""

    api_url: str = ""
    """Of a local stack; on AWS, the output `ApiUrl`."""

    is_local: bool = False
    artifact: str = ""
    token: str = field(default="", repr=False)
    """A token of the API, of any user."""

    pause: Callable[[float], None] = field(default=time.sleep)

    @property
    def region(self) -> str:
        """The region of the clients."""
        return str(self.client("cloudformation").meta.region_name)

    def client(self, service: str) -> Any:  # noqa: ANN401 - of any service
        """A client of AWS."""
        return self.clients(service, "")

    @property
    def left(self) -> list[Undo]:
        """The changes to undo, the oldest first."""
        return [Undo(*each) for each in json.loads(self.todo.read_text())] if self.todo.exists() else []

    def before(self, operation: str, **request: Any) -> None:  # noqa: ANN401 - parameters of AWS
        """Record how a change that is about to be made is undone."""
        undo = Undo(operation, request)
        self._keep([*(each for each in self.left if each != undo), undo])

    def remove_all(self) -> list[str]:
        """Undo every change; return those that are left, with the reasons."""
        faults = []
        for undo in self.left:
            try:
                self._send(undo)
            except FAILURES as error:
                faults.append(f"{undo}: {error}")
            else:
                self._keep([each for each in self.left if each != undo])
        return faults

    def _send(self, undo: Undo) -> None:
        if undo.operation in self.undoing:
            self.undoing[undo.operation](self, **undo.request)
            return
        service, _, operation = undo.operation.partition(".")
        try:
            getattr(self.client(service), xform_name(operation))(**undo.request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":  # it is removed already
                raise

    def _keep(self, left: list[Undo]) -> None:
        if not left:
            self.todo.unlink(missing_ok=True)
            return
        new = self.todo.with_suffix(".new")
        new.write_text(json.dumps(left, indent=1))
        new.replace(self.todo)  # at once: a reader finds the old or the new list

    def described_now(self) -> Mapping[str, Any]:
        """The stack as CloudFormation describes it."""
        (described,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        found: Mapping[str, Any] = described
        return found

    @cached_property
    def described(self) -> Mapping[str, Any]:
        """The same, read once."""
        return self.described_now()

    @property
    def tags(self) -> dict[str, str]:
        """The stack's tags, which the deployment sets."""
        return {tag["Key"]: tag["Value"] for tag in self.described.get("Tags", ())}

    @property
    def outputs(self) -> dict[str, str]:
        """The stack's outputs."""
        return {output["OutputKey"]: output["OutputValue"] for output in self.described["Outputs"]}

    @property
    def parameters(self) -> dict[str, str]:
        """The stack's parameters."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self.described["Parameters"]}

    @cached_property
    def functions(self) -> dict[str, str]:
        """The names of the functions, by logical id."""
        return functions_of(self.client("cloudformation"), self.name)

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return self.api_url or self.outputs["ApiUrl"]

    def resource(self, logical_id: str) -> str:
        """The physical id of a resource."""
        answer = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    def alias(self, logical_id: str) -> str:
        """The name of a function's alias."""
        return f"{self.functions[logical_id]}:live"

    def invoke(self, function: str, event: Mapping[str, Any]) -> tuple[Any, str]:
        """Invoke a function by its name; return its answer, and its error if it failed."""
        answered = self.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        answer = json.loads(answered["Payload"].read())
        has_failed = "FunctionError" in answered
        return answer, f"{answer.get('errorType')}: {answer.get('errorMessage')}" if has_failed else ""

    def until(self, ready: Callable[[], Any], seconds: int, every: int = 5) -> Any:  # noqa: ANN401
        """The result of `ready` as soon as it is true, or in the end."""
        for _ in range(seconds // every):
            if found := ready():
                return found
            self.pause(every)
        return ready()
