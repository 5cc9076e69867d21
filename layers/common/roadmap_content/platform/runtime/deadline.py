"""Deadlines, so that work stops early enough before an invocation times out."""

import time
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class Deadline(NamedTuple):
    """A point in time on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """A deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def of(cls, context: "LambdaContext") -> Self:
        """The time at which an invocation times out."""
        return cls.after(context.get_remaining_time_in_millis() / 1000)

    @property
    def remaining(self) -> float:
        """Seconds left; negative after the deadline."""
        return self.at - time.monotonic()

    def within(self, seconds: float) -> "Deadline":
        """The earlier of this deadline and `seconds` from now."""
        return min(self, Deadline.after(seconds), key=lambda deadline: deadline.at)
