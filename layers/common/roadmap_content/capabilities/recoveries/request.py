"""The request to create a recovery, and its filters."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator

from ...contracts.api.filters import Filter, Moment, Short, TaskFilter
from ...contracts.api.tasks import Instruction
from ...contracts.items import ContentType
from ...contracts.payloads import AuditReason, Payload

MAX_TOKENS = 10**12
"""Maximum tokens of a budget."""


class RecoveryFilter(TaskFilter):
    """The tasks of a recovery: those that meet every condition when the recovery is created. Of these tasks,
    the items that fail for the named cause (group, code, content type) are retried.
    """

    all_missing: Annotated[
        bool, Field(description="Retry every missing item of the tasks, also those with another cause.")
    ] = False


class RegenerationFilter(Filter):
    """The saved items to regenerate: those that meet every condition when the recovery is created."""

    content_type: Annotated[ContentType | None, Field(description="Items of this type.")] = None
    generator: Annotated[
        Short | None, Field(description="What it wrote: `product`, `offline`, `bedrock` or `function`.")
    ] = None
    model_id: Annotated[
        Short | None, Field(description="What this model wrote: a `model_id` of `GET /api/v1/origins`.")
    ] = None
    prompt_version: Annotated[
        Short | None,
        Field(description="What this prompt wrote: a `prompt_version` of `GET /api/v1/origins`."),
    ] = None
    generated_after: Moment = None
    generated_before: Moment = None
    roadmap_id: Annotated[Short | None, Field(description="Items of this roadmap.")] = None
    error_code: Annotated[
        Short | None,
        Field(
            description="Items of which a later content was refused with this code, for example by the "
            "product's check with `Check.WrongKey`. Their current content has not been replaced."
        ),
    ] = None


class RecoveryRequest(Payload):
    """The request to create a recovery."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "filter": {"status": ["failed"], "error_code": "DatabaseUnavailable"},
                "reason": "The database was down from 02:10 to 02:40",
                "rate_per_minute": 60,
            }
        },
    )

    filter: RecoveryFilter = RecoveryFilter()
    regenerate: Annotated[
        RegenerationFilter | None,
        Field(description="Replace saved items of the selected tasks, instead of retrying missing ones."),
    ] = None
    instruction: Annotated[
        Instruction | None,
        Field(
            description="With `regenerate`: how the saved contents are changed. After its canary, such a "
            "recovery pauses: look at the changed contents, then resume it, or cancel and undo it."
        ),
    ] = None
    reason: AuditReason
    rate_per_minute: Annotated[
        StrictInt, Field(ge=1, le=100_000, description="Tasks to start in a minute.")
    ] = 60
    concurrency: Annotated[StrictInt, Field(ge=1, le=1_000, description="Tasks to run at the same time.")] = (
        10
    )
    token_budget: Annotated[
        Annotated[StrictInt, Field(ge=1, le=MAX_TOKENS)] | None,
        Field(description="Start no task that would probably exceed it."),
    ] = None
    canary: Annotated[
        StrictInt,
        Field(ge=0, le=1_000, description="Tasks to retry first; 0: none. If most of them fail, it stops."),
    ] = 5
    breaker: Annotated[
        StrictInt,
        Field(
            ge=0,
            le=1_000,
            description="Pause when more than half of this number of last ended tasks failed, or half of it "
            "with the same failure group; 0: do not.",
        ),
    ] = 10
    dry_run: Annotated[bool, Field(strict=True, description="Return a preview. Nothing is started.")] = False

    def in_utc(self) -> Self:
        """The request with the times of its filters in UTC. Raises InvalidRequestError as `Filter.in_utc`."""
        regenerate = self.regenerate and RegenerationFilter.in_utc(dict(self.regenerate))
        task_filter = RecoveryFilter.in_utc(dict(self.filter))
        return self.model_copy(update={"filter": task_filter, "regenerate": regenerate})

    @model_validator(mode="after")
    def _instruction_changes_saved_items(self) -> Self:
        if self.instruction is not None and self.regenerate is None:
            raise ValueError("instruction changes saved items: add `regenerate`")
        return self
