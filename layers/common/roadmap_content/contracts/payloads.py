"""Payload types that the state machine's functions share.

Payloads of a single function are defined with its step. `events/` has one example event per function.
Unknown keys are ignored, because the context object of Step Functions has more keys than are used here.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from .documents import storable_json, storable_text
from .errors import InvalidPayloadError
from .items import ContentType

TASK_ID = r"^[A-Za-z0-9_-]{1,64}$"
"""Valid task ids: they must be valid in an execution's name."""

USER_ID = r"^[^\x00-\x1f\x7f]{1,64}$"
"""Valid user ids: every token subject that can be stored."""

NOT_IN_PATH = "-"
"""In a path, for an id that is in the query as `exact`. Some ids would lead to no operation: `/` ends a
segment, `..` removes one, and the API's framework has a list of characters.
"""

TaskId = Annotated[str, StringConstraints(pattern=r"^[^\x00\x{FFFD}]{1,64}$")]
"""U+FFFD stands for a character that cannot be stored: the id could be that of another task."""

NOT_BLANK = r"\S"

AuditReason = Annotated[
    str, Field(min_length=1, max_length=500, pattern=NOT_BLANK, description="For the audit trail.")
]
Positive = Annotated[int, Field(ge=1)]
Attempt = Positive
Count = Annotated[int, Field(ge=0)]


class Payload(BaseModel):
    """Base class of payloads. Immutable, so that a step cannot change its request. `defer_build`: a function
    uses only a few payload types, so building all of them would slow the cold start.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True, defer_build=True)


PayloadT = TypeVar("PayloadT", bound=Payload)
RowT = TypeVar("RowT")


class Page(Payload, Generic[RowT]):
    """A page of a list."""

    items: list[RowT]
    next_cursor: str | None


def reason_for_owner(actor: str | None, reason: str | None) -> str | None:
    """A reason, unless it may be an operator's: those are for operators, and for viewers."""
    return reason if actor is not None and actor.startswith("user:") else None


def parse(payload_type: type[PayloadT], event: Any) -> PayloadT:  # noqa: ANN401 - any JSON value
    """Validate an event, of which Step Functions may have cut a text inside a character.
    Raises InvalidPayloadError: it does not match; the message names the first error.
    """
    try:
        return payload_type.model_validate(json.loads(storable_json(event)))
    except ValidationError as error:
        raise InvalidPayloadError(f"{payload_type.__name__}: {first_fault(error)}") from error


def first_fault(error: ValidationError) -> str:
    """Describe the first fault of a validation error with its path, and count the others."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in faults[0]["loc"])
    message = faults[0]["msg"].removeprefix("Value error, ")  # pydantic's prefix for a check of ours
    others = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{place.lstrip('.') or 'value'}: {message}{others}"


class Execution(Payload):
    """The execution, from the context object. Some contexts have no `RedriveCount`. `RedriveTime` exists only
    after a redrive.
    """

    arn: Annotated[str, Field(alias="Id")]
    start_time: Annotated[AwareDatetime | None, Field(alias="StartTime")] = None
    redrive_count: Annotated[int, Field(alias="RedriveCount", ge=0)] = 0
    redrive_time: Annotated[AwareDatetime | None, Field(alias="RedriveTime")] = None

    @property
    def requested_at(self) -> datetime | None:
        """When it was last redriven, or started; `None` if unknown."""
        return self.redrive_time if self.redrive_count else self.start_time


class RunInput(Payload):
    """The input of the state machine. Without an attempt, the execution claims one itself."""

    task_id: TaskId
    attempt: Attempt | None = None


# A truncated message matches up to its last complete character or escape sequence.
_ERROR_MESSAGE = re.compile(r'\{"errorMessage": *"((?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)')


class StateError(Payload):
    """An error that the state machine caught. Its texts come from outside, and are made storable here."""

    error: Annotated[str, AfterValidator(storable_text), Field(alias="Error")]
    cause: Annotated[str, AfterValidator(storable_text), Field(alias="Cause")] = ""

    @property
    def reason(self) -> str:
        """The error message for people. The cause of a function's error is JSON, possibly truncated."""
        message = _ERROR_MESSAGE.match(self.cause)
        if message is None:
            return self.cause
        return storable_text(json.loads(f'"{message[1]}"', strict=False))


class BatchReference(Payload):
    """One batch: the missing items of some concepts, in `length` bytes of the manifest at `offset`."""

    number: Count
    offset: Count
    length: Positive
    items: Mapping[ContentType, Positive]
    """The number of items of each content type that has some."""

    staged: bool = False
    """All items were staged and none refused when the attempt was planned: there is nothing to generate."""

    @property
    def total(self) -> int:
        return sum(self.items.values())


class Plan(Payload):
    """The plan of an attempt. The items themselves are in the manifest."""

    task_id: TaskId
    roadmap_id: str
    attempt: Attempt
    claimed_at: datetime
    manifest: str
    planned: Mapping[ContentType, Count]


class BatchRequest(Payload):
    """The request to `generate_content`, and then to `save_batch`, to handle one batch."""

    plan: Plan
    batch: BatchReference
    execution_arn: str
    generate_error: StateError | None = None


class FinalizeResult(Payload):
    """The outcome. `complete`: nothing is missing. `changed`: names of the fields that were corrected.
    `needs_person`: no automatic attempt follows, and a failure group is new or came back; only for metrics.
    """

    task_id: TaskId
    attempt: int | None
    status: str
    complete: bool
    missing: Mapping[ContentType, Count]
    changed: list[str] = []
    error: StateError | None = None
    needs_person: Annotated[bool, Field(exclude=True)] = False


ORIGIN = "origin"
"""The name of a staged object's metadata with the origin of its content."""

MAX_NAME = 400
"""Characters of a name: two, escaped, fit into the 2 kB of metadata that S3 stores with an object."""

Name = Annotated[str, StringConstraints(pattern=rf"^[ -~]{{1,{MAX_NAME}}}$")]
Tokens = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Origin(Payload):
    """The generator of a content. Content that is staged without an origin is the product's."""

    generator: Name = "product"
    """`product`, or the setting `GENERATOR`."""

    model_id: Name | None = None
    prompt_version: Name | None = None
    """The name of the prompt and a hash of its files."""

    tokens_in: Tokens | None = None
    tokens_out: Tokens | None = None
    instruction: Name | None = None
    """A fingerprint of the instruction with which it was generated."""

    def metadata(self) -> dict[str, str]:
        """The origin as metadata of a staged object, in ASCII."""
        return {ORIGIN: self.model_dump_json(exclude_none=True)}

    @classmethod
    def of_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """The origin in a staged object's metadata. Other metadata is the product's."""
        try:
            return cls.model_validate_json(metadata.get(ORIGIN, "{}"))
        except ValidationError:
            return cls()
