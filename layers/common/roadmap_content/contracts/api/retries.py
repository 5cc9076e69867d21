"""The answers of a retry, of its preview and of a cancellation."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from ..items import ContentType
from ..payloads import Count, Payload
from .queue import QueuePlace


class RetryAnswer(Payload):
    """The answer of `POST /api/v1/tasks/{task_id}/retry`."""

    success: bool = True
    recovery_type: Literal["content_retry", "checkpoint"]
    task_id: str
    roadmap_id: str | None
    status: str
    items_to_retry: Mapping[ContentType, Count]
    total_items: Count
    attempt: int
    execution_arn: str | None
    queue: Annotated[QueuePlace | None, Field(description="If the attempt waits for a slot.")] = None
    message: str


Basis = Literal["task", "roadmap", "none"]


class RetryPreview(Payload):
    """The answer of a retry with `dry_run`."""

    dry_run: bool = True
    task_id: str
    staged: Mapping[ContentType, Count]
    to_generate: Mapping[ContentType, Count]
    total_items: Count
    estimated_tokens: int | None
    estimate_basis: Basis


class CancelAnswer(Payload):
    """The answer of `POST /api/v1/tasks/{task_id}/cancel`."""

    success: bool = True
    task_id: str
    status: Literal["cancelled", "completed"]
    """`completed`: no item is missing, and only the attempt is cancelled."""

    attempt: int
    stopped_execution: str | None
