"""What making one item may take, and what it took."""

from typing import NamedTuple, Protocol

from ..runtime.deadline import Deadline


class Usage(NamedTuple):
    """Tokens that a model read and wrote."""

    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def total(self) -> int:
        """What a budget counts."""
        return self.tokens_in + self.tokens_out

    def plus(self, other: "Usage") -> "Usage":
        """Both together."""
        return Usage(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)


class Budget(Protocol):
    """Tokens that several items share."""

    def reserve(self, tokens: int) -> None:
        """Take tokens before they are spent.

        Raises:
            ContentError: there are not so many left, or nobody can tell.
        """
        ...

    def release(self, tokens: int) -> None:
        """Give back what was reserved and not spent; negative, where more was spent. Never raises."""
        ...


class Allowance:
    """The time and the tokens for one item. Belongs to one thread; the budget behind it is shared."""

    def __init__(self, deadline: Deadline, budget: Budget | None = None) -> None:
        self.deadline = deadline
        self.usage = Usage()
        self._budget = budget

    def reserve(self, tokens: int) -> None:
        """Take the most that a call may cost; see `Budget.reserve`."""
        if self._budget is not None:
            self._budget.reserve(tokens)

    def finalize_attempt(self, reserved: int, usage: Usage) -> None:
        """Count what a call did cost. One that is never settled stays counted at its most."""
        self.usage = self.usage.plus(usage)
        if self._budget is not None:
            self._budget.release(reserved - usage.total)
