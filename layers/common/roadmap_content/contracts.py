"""What the payloads between the state machine and its functions have in common.

What one function alone is asked or answers stands with its step. Each function has one file in `events/`.
Unknown keys are ignored: the context object of Step Functions carries more than is used, and grows.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .errors import InvalidPayloadError
from .items import ContentType

TaskId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Positive = Annotated[int, Field(ge=1)]
Attempt = Positive
Count = Annotated[int, Field(ge=0)]


class Payload(BaseModel):
    """A payload. Immutable, so that a step cannot change what it was asked.

    A function uses a few of them: each is made ready when it is first used, not with every cold start.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True, defer_build=True)


PayloadT = TypeVar("PayloadT", bound=Payload)


def parse(payload_type: type[PayloadT], event: Any) -> PayloadT:  # noqa: ANN401 - whatever was sent
    """Read a payload.

    Raises:
        InvalidPayloadError: it has not the agreed shape; the message names the first fault.
    """
    try:
        return payload_type.model_validate(event)
    except ValidationError as error:
        raise InvalidPayloadError(f"{payload_type.__name__}: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """Name the place of a validation error's first fault, and how many others there are."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in faults[0]["loc"])
    others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place.lstrip('.') or 'value'}: {faults[0]['msg']}{others}"


class Execution(Payload):
    """The run, as the context object describes it. Some contexts lack the count of redrives."""

    arn: Annotated[str, Field(alias="Id")]
    start_time: Annotated[AwareDatetime | None, Field(alias="StartTime")] = None
    redrive_count: Annotated[int, Field(alias="RedriveCount", ge=0)] = 0


class RunInput(Payload):
    """The input of the state machine. Without an attempt the run claims one itself."""

    task_id: TaskId
    attempt: Attempt | None = None


# As much of the message as there is: whole characters and whole escapes.
_ERROR_MESSAGE = re.compile(r'\{"errorMessage": *"((?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)')


class StateError(Payload):
    """An error as the state machine caught it."""

    error: Annotated[str, Field(alias="Error")]
    cause: Annotated[str, Field(alias="Cause")] = ""

    @property
    def reason(self) -> str:
        """The cause for people: of a function's error, which is JSON and may be cut off, the message."""
        message = _ERROR_MESSAGE.match(self.cause)
        return self.cause if message is None else json.loads(f'"{message[1]}"', strict=False)


class BatchReference(Payload):
    """One batch: items of one content type, standing in `length` bytes of the manifest from `offset` on."""

    number: Count
    content_type: ContentType
    offset: Count
    length: Positive
    items: Positive


class Plan(Payload):
    """What an attempt is about to do; the items themselves stand in the manifest."""

    task_id: TaskId
    roadmap_id: str
    attempt: Attempt
    claimed_at: datetime
    manifest: str
    planned: Mapping[ContentType, Count]


class BatchRequest(Payload):
    """Asks `generate_content` and then `save_batch` to handle one batch."""

    plan: Plan
    batch: BatchReference
    execution_arn: str
    generate_error: StateError | None = None


class FinalizeResult(Payload):
    """The outcome. `complete` means that nothing is missing; `changed` names what said otherwise before."""

    task_id: TaskId
    attempt: int | None
    status: str
    complete: bool
    missing: Mapping[ContentType, Count]
    changed: list[str] = []
    error: StateError | None = None
