"""The queue in the answers of the API."""

from typing import Annotated

from pydantic import Field

from ..payloads import Count, Payload, Positive
from ..times import UtcTime


class QueuePlace(Payload):
    """The place of a waiting attempt in the queue."""

    position: Annotated[Positive, Field(description="1 is next.")]
    at_least: Annotated[
        bool,
        Field(
            description="Whether others may still come before it: between a user's own attempts, while the "
            "user has one at work, before a bulk attempt, and a bulk attempt if none is at work."
        ),
    ]
    stopped: Annotated[bool, Field(description="Whether an operator has stopped generation.")]
    starts_in_seconds: Annotated[
        Count | None,
        Field(description="An estimate; null if too few attempts have ended, or generation is stopped."),
    ]


class GenerationStop(Payload):
    """An operator has stopped generation, for all tasks."""

    since: UtcTime | None
    reason: str

    def __str__(self) -> str:
        """A sentence without its full stop."""
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d %H:%M} UTC"
        return f"Generation is stopped{since}: {self.reason}; what is staged is saved"
