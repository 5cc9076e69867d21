"""How much of an invocation is left: work that may be tried again stops early enough to report."""

import time
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


class Deadline(NamedTuple):
    """A point in time, on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def of(cls, context: "LambdaContext") -> Self:
        """The end of the invocation that `context` belongs to."""
        return cls.after(context.get_remaining_time_in_millis() / 1000)

    @property
    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self.at - time.monotonic()

    def within(self, seconds: float) -> "Deadline":
        """The deadline of a part of the work that may take so long, and no longer than the whole."""
        return min(self, Deadline.after(seconds), key=lambda deadline: deadline.at)
