"""How much of an invocation is left: work that may be tried again stops early enough to report."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@dataclass(frozen=True)
class Deadline:
    """A point in time, on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def of(cls, context: "LambdaContext") -> "Deadline":
        """The end of the invocation that `context` belongs to."""
        return cls.after(context.get_remaining_time_in_millis() / 1000)

    @property
    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.at - time.monotonic()

    def within(self, seconds: float) -> "Deadline":
        """The deadline of a part of the work that may take so long, and no longer than the whole."""
        return min(self, Deadline.after(seconds), key=lambda deadline: deadline.at)
