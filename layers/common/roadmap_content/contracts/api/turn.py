"""Who acts next for a task, or for a failure group."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from ..payloads import Payload
from ..states import Who


class Turn(Payload):
    """Who acts next, when, and why. Only `person` calls a person."""

    who: Who
    at: Annotated[
        AwareDatetime | None,
        Field(
            description="Of `automatic`: when; `null` means with the next sweep. Of `running`: the last sign "
            "of the run. A minute after it, the sweep asks Step Functions."
        ),
    ] = None
    why: str
    recovery_id: Annotated[
        str | None, Field(description="The recovery in which the task waits for its start.")
    ] = None
