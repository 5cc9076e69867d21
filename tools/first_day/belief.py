"""A belief about AWS: a plan that can be read, a try, and an undo for everything that the try makes."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from local_stack.stack_functions import functions_of
from release.clients import Clients
from roadmap_content.contracts.errors import PermanentError

from .ledger import Ledger


class Verdict(StrEnum):
    """The result of a try."""

    HELD = "held"
    REFUTED = "refuted"
    NOT_TRIED = "not tried"


class Answer(NamedTuple):
    """A verdict, and what AWS answered."""

    verdict: Verdict
    said: str


def held_if(condition: object, said: object) -> Answer:
    """`held` if the condition is true; otherwise `refuted`."""
    return Answer(Verdict.HELD if condition else Verdict.REFUTED, str(said))


class NotTriedError(PermanentError, code="NotTried"):
    """Something that the try needs is missing. The message names it."""


class NotRemovedError(PermanentError, code="NotRemoved"):
    """Something could not be removed yet. The message says when or how it can be."""


@dataclass
class Stack:
    """A deployed stack, on AWS or local."""

    name: str
    clients: Clients
    ledger: Ledger
    api_url: str = ""
    """Of a local stack; on AWS, the output `ApiUrl`."""

    is_local: bool = False
    artifact: str = ""
    pause: Callable[[float], None] = field(default=time.sleep)

    def client(self, service: str) -> Any:  # noqa: ANN401 - of any service
        """A client of AWS."""
        return self.clients(service, "")

    @cached_property
    def described(self) -> Mapping[str, Any]:
        """The stack as CloudFormation describes it."""
        (described,) = self.client("cloudformation").describe_stacks(StackName=self.name)["Stacks"]
        found: Mapping[str, Any] = described
        return found

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

    def invoke(self, logical_id: str, event: Mapping[str, Any]) -> tuple[Any, str]:
        """Invoke a function's alias; return its answer, and the kind of its error if it failed."""
        return self.invoke_named(f"{self.functions[logical_id]}:live", event)

    def invoke_named(self, name: str, event: Mapping[str, Any]) -> tuple[Any, str]:
        """The same for a function by its name."""
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
        return json.loads(answer["Payload"].read()), answer.get("FunctionError", "")

    def until(self, ready: Callable[[], Any], seconds: int, every: int = 5) -> Any:  # noqa: ANN401
        """What `ready` returns as soon as it is true, or in the end."""
        for _ in range(seconds // every):
            if found := ready():
                return found
            self.pause(every)
        return ready()


class Belief(ABC):
    """A belief. The docstring of its class is the claim."""

    name: ClassVar[str]
    plan: ClassVar[tuple[str, ...]]
    """The operations that a try and its undo may send, as `service.Operation`."""

    disturbs: ClassVar[bool] = False
    """Whether users may notice the try: it runs only if it is named, and never in production."""

    smoke: ClassVar[bool] = False
    """Whether it belongs to the short part that runs between staging and production."""

    local: ClassVar[bool] = False
    """Whether the local stack can answer."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    @abstractmethod
    def attempt(self) -> Answer:
        """Try it. Raises NotTriedError: something is missing."""

    def undo(self, made: Mapping[str, str]) -> None:
        """Remove or restore what an entry of the ledger names; nothing happens if that is done already.
        Raises NotRemovedError: not yet.
        """
        raise NotImplementedError(f"{self.name} makes nothing: {made}")

    def making(self, **made: str) -> None:
        """Record what is about to be made or changed."""
        self.stack.ledger.note(self.name, made)
