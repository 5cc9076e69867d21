"""The time and token limits for generating one item, and the tokens, model and prompt that it used."""

from typing import NamedTuple, Protocol

from ...platform.runtime.deadline import Deadline


class Usage(NamedTuple):
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def total(self) -> int:
        """Input and output tokens together, as a budget counts them."""
        return self.tokens_in + self.tokens_out

    def plus(self, other: "Usage") -> "Usage":
        return Usage(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out)


class Need(NamedTuple):
    """The most that a call may use. The input is an estimate, and the model enforces the output."""

    most_input: int
    most_output: int

    @property
    def total(self) -> int:
        """Input and output tokens together, as a budget counts them."""
        return self.most_input + self.most_output


class Quota(Protocol):
    """The model's quota of tokens, which concurrent calls share; see `quota.ModelQuota`."""

    @property
    def wait(self) -> float: ...

    def begin(self, need: Need) -> float | None: ...

    def give_up(self) -> None: ...

    def end(self, taken: float, need: Need, usage: Usage | None) -> None: ...


class Budget(Protocol):
    """A token budget that several items share."""

    def reserve(self, tokens: int) -> None:
        """Reserve tokens before a call.

        Raises:
            ContentError: the budget has too few tokens left, or could not be read.
        """
        ...

    def release(self, tokens: int) -> None:
        """Return reserved tokens that were not used; negative if more were used. Never raises."""
        ...


class Allowance:
    """The time and tokens for one item. Used by one thread; the budget is shared."""

    def __init__(
        self,
        deadline: Deadline,
        budget: Budget | None = None,
        quota: Quota | None = None,
        *,
        is_bulk: bool = False,
    ) -> None:
        self.deadline = deadline
        self.quota = quota
        self.is_bulk = is_bulk
        """Whether the system started the attempt, and no person waits for it."""

        self.usage = Usage()
        self.model_id: str | None = None
        """The model that was asked; `None` if the generator uses none."""

        self.prompt_version: str | None = None
        self._budget = budget

    def reserve(self, tokens: int) -> None:
        """Reserve the maximum cost of a call; see `Budget.reserve`."""
        if self._budget is not None:
            self._budget.reserve(tokens)

    def record_usage(self, reserved: int, usage: Usage) -> None:
        """Replace a reservation by the call's usage. Without this, the call stays counted at its maximum."""
        self.usage = self.usage.plus(usage)
        if self._budget is not None:
            self._budget.release(reserved - usage.total)
