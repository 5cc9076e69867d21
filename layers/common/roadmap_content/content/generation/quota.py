"""The limits of tokens: of the model (its bucket is in `leases.py`), and of each task (`generation_tokens`).

All invocations share the model's quota. Its bucket counts as Bedrock does: a call takes its input and its
maximum output when it starts; at its end, this is replaced by its input and its output, whose tokens may
count several times. An invocation does not ask for each call, but leases a few seconds of the quota for the
calls that wait, and gives back the tokens that its calls did not use.

Leases add nothing to the throughput. They serve people evenly beside a bulk load (docs/performance.md).
"""

import threading
import time
from collections.abc import Callable
from math import ceil
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, Engine, text

from ...contracts.errors import ContentError, TokenBudgetExhaustedError, TransientError
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.settings import Settings
from .leases import Bucket, exchange

LOOK_SECONDS = 0.05
"""The shortest pause of a call that has to wait: another thread may make tokens available before."""

FIGURES_SECONDS = 60
"""After this time without an exchange, the tokens that were supplied meanwhile predict nothing."""

LEASE_SECONDS = 2.0
"""The largest lease, as a time of the whole quota; at least one call. Longer ones would let others wait."""

SHORTEST_WAIT, LONGEST_WAIT = 0.25, 2.0
"""Seconds between two exchanges. The longest bounds how long tokens that came early are unused."""


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


class GenerationStoppedError(TransientError, code="GenerationStopped", is_excused=True):
    """An operator has stopped generation. The state machine repeats the batch until it is resumed."""


class ModelQuota:
    """The share of one invocation in the model's quota. Safe for use by several threads. The settings are
    read at the first call of a model.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        deadline: Deadline,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._deadline = deadline
        self._clock = clock
        self._lock = threading.Lock()
        self._is_limited = True
        """Until an exchange finds that no quota is configured."""

        self._waiting: dict[int, float] = {}
        """The tokens that each thread waits for, in the order of their first tries. Threads enter and leave
        without the lock, so it is iterated as a copy.
        """

        self._at_work = 0
        """The calls that have taken tokens and not ended."""

        self._lease_id, self._rest = "", 0.0
        """The lease, and its tokens that are not due."""

        self._available = 0.0
        """Tokens that are due and not used by a call."""

        self._returned = 0.0
        """Tokens to return with the next exchange; negative if calls used more than they took."""

        self._rate = self._supplied = 0.0
        """Those of the bucket at the last exchange."""

        self._exchanged_at = float("-inf")
        self._next_exchange_at = float("-inf")
        self._estimated_input = self._counted_input = 0.0
        """Sums over all answers: the estimates of their input, and the tokens that Bedrock counted."""

    def begin(self, need: Need) -> float | None:
        """Take the tokens of a call, and return how many. `None`: try again after `seconds_to_wait`.

        Raises:
            GenerationStoppedError: an operator has stopped generation.
            DatabaseUnavailableError: the bucket could not be read.
        """
        # Estimates are upper bounds: earlier answers show which share of them Bedrock counts.
        share = self._counted_input / self._estimated_input if self._estimated_input else 1.0
        tokens = need.most_output + need.most_input * share
        # Before the lock, so that the thread that holds it leases for this one, too. Another try of a call
        # keeps its place.
        self._waiting.setdefault(threading.get_ident(), tokens)
        with self._lock:
            # The next calls here use the tokens that earlier ones did not. But while a part of the lease is
            # not due, other invocations, whose leases are older, wait for tokens: the next exchange returns
            # these to them.
            if self._returned > 0 and not self._rest:
                self._available, self._returned = self._available + self._returned, 0.0
            if self._has_enough():
                return self._take()
            if self._is_limited and self._clock() >= self._next_exchange_at:
                stopped_reason = self._exchange(self._deadline)
                if stopped_reason is not None:
                    raise GenerationStoppedError(stopped_reason)
            return self._take() if self._has_enough() else None

    @property
    def seconds_to_wait(self) -> float:
        """Seconds until the next try of a call that has to wait."""
        return max(LOOK_SECONDS, self._next_exchange_at - self._clock())

    def give_up(self) -> None:
        """The calling thread does not wait any more. If it got no tokens, and no other one waits, those that
        were leased are given back. Never raises.
        """
        if self._waiting.pop(threading.get_ident(), None) is None or self._waiting:
            return
        with self._lock:
            self._return()

    def end(self, taken: float, need: Need, usage: Usage | None) -> None:
        """Replace the tokens that a call took by those that Bedrock counts; `None`: it may count all of them.
        Never raises.
        """
        with self._lock:
            self._at_work -= 1
            if usage is not None:
                self._returned += (
                    taken - usage.tokens_in - self._settings.model_output_burndown * usage.tokens_out
                )
                if usage.tokens_in:
                    self._estimated_input += need.most_input
                    self._counted_input += usage.tokens_in
            # Usually the next exchange returns the tokens. At once: a debt, so that others do not use these
            # tokens, too; the rest of the last call, which no exchange follows; and at intervals, because
            # others may wait.
            is_last = not self._at_work and not self._waiting
            if self._returned < 0 or is_last or self._clock() >= self._exchanged_at + LONGEST_WAIT:
                self._return()

    def close(self) -> None:
        """Return all tokens, also those that are not due yet. Never raises."""
        with self._lock:
            self._return()

    def _has_enough(self) -> bool:
        """Whether there are enough tokens for the calling thread and those that came before it."""
        needed = 0.0
        for thread, tokens in self._waiting.copy().items():
            needed += tokens
            if thread == threading.get_ident():
                break
        return not self._is_limited or needed <= self._available

    def _take(self) -> float:
        """Take the tokens of the calling thread; return how many."""
        tokens = self._waiting.pop(threading.get_ident())
        self._at_work += 1
        if self._is_limited:
            self._available -= tokens
        return tokens

    def _return(self) -> None:
        """Give back the tokens that this process does not need. If no call waits, these are all of them, and
        the lease ends.
        """
        is_kept = bool(self._waiting)
        if not is_kept:
            self._returned += self._available
            self._available = 0.0
        is_lease_ended = bool(self._rest) and not is_kept
        if not self._is_limited or not (self._returned or is_lease_ended):
            return
        try:
            # One try, so that staging of the content is not delayed.
            self._exchange(Deadline.after(0), is_kept=is_kept)
        except ContentError as error:
            logger.warning("quota_not_returned", **error.why)

    def _exchange(self, deadline: Deadline, *, is_kept: bool = True) -> str | None:
        """Return unused tokens. Take those of the lease that are due by now; without a lease, lease those
        that are missing; unless the lease `is_kept`, end it. Return why generation is stopped, or `None`.
        """
        asked = 0.0 if self._rest else self._missing()
        if asked:
            # Before the COMMIT: if that gets no answer, the next exchange finds the lease by its id.
            self._lease_id, self._rest = uuid4().hex, asked
        exchanged = transact(
            self._engine,
            exchange,
            deadline,
            self._lease_id,
            asked=asked,
            returned=self._returned,
            is_kept=is_kept,
        )
        self._returned = 0.0
        if exchanged is None:  # no quota is configured
            self._is_limited = False
            return None
        lease = exchanged.bucket.lease
        if lease is not None:
            self._available += self._rest - lease.rest
        self._rest = lease.rest if lease is not None else 0.0
        self._plan_next_exchange(exchanged.bucket)
        return exchanged.stopped_reason

    def _plan_next_exchange(self, bucket: Bucket) -> None:
        """Plan the next exchange for when the rest of the lease is likely to be due."""
        now = self._clock()
        # Calls return tokens, so that the bucket is supplied faster than by the quota alone.
        elapsed = now - self._exchanged_at
        supply = (bucket.supplied - self._supplied) / elapsed if 0 < elapsed < FIGURES_SECONDS else 0.0
        self._rate, self._supplied, self._exchanged_at = bucket.rate, bucket.supplied, now
        lease = bucket.lease
        missing = lease.range_end - bucket.supplied if lease is not None and lease.rest else 0.0
        seconds = missing / max(supply, bucket.rate)
        self._next_exchange_at = now + min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)

    def _missing(self) -> float:
        """The tokens to lease: for the calls that have waited longest, as many as `LEASE_SECONDS` permit, at
        least for one. Not for a part of a call, which could not use them. Before the first exchange, the rate
        is unknown (0).
        """
        missing = -self._available
        limit = LEASE_SECONDS * self._rate
        for number, tokens in enumerate(self._waiting.copy().values()):
            if number and missing + tokens > limit:
                break
            missing += tokens
        return max(0, ceil(missing))


# Guarantees: one row per task; concurrent reservations never take the sum above the budget.
# A retry after a COMMIT with an unknown outcome may count twice: too many tokens, never too few.
RESERVE_TOKENS = text("""
INSERT INTO generation_tokens AS reserved (task_id, tokens)
SELECT :task_id, CAST(:tokens AS bigint) WHERE CAST(:tokens AS bigint) <= :budget
ON CONFLICT (task_id) DO UPDATE SET tokens = reserved.tokens + excluded.tokens
WHERE reserved.tokens + excluded.tokens <= :budget RETURNING tokens
""")

RELEASE = text("UPDATE generation_tokens SET tokens = tokens - :tokens WHERE task_id = :task_id")

READ = text("SELECT tokens FROM generation_tokens WHERE task_id = :task_id")


class TaskBudget:
    """The token budget of a task, shared by all its attempts. The setting is read at the first reservation.

    All invocations and threads share one row, so that one statement checks and reserves. The maximum cost of
    a call is reserved before the call; unused tokens are returned after it. The sum can exceed the budget
    only by the error of an estimate. If a process dies, its reservations stay counted as spent, because the
    calls may have been charged.
    """

    def __init__(self, engine: Engine, settings: Settings, task_id: str, deadline: Deadline) -> None:
        self._engine = engine
        self._settings = settings
        self._task_id = task_id
        self._deadline = deadline

    def reserve(self, tokens: int) -> None:
        """Reserve tokens before a call.

        Raises:
            TokenBudgetExhaustedError: the reservation would exceed the task's budget.
            DatabaseUnavailableError: the budget could not be read.
        """
        budget = self._settings.task_token_budget
        parameters = {"task_id": self._task_id, "tokens": tokens, "budget": budget}

        def reserve(connection: Connection) -> int | None:
            """`None` if the tokens were reserved; otherwise the number of tokens already counted."""
            if connection.execute(RESERVE_TOKENS, parameters).first() is not None:
                return None
            return connection.scalar(READ, parameters) or 0

        counted = transact(self._engine, reserve, self._deadline)
        if counted is not None:
            raise TokenBudgetExhaustedError(
                f"{counted} of the task's {budget} tokens are spent or reserved, and a call may take "
                f"{tokens}: raise TASK_TOKEN_BUDGET, then retry"
            )

    def release(self, tokens: int) -> None:
        """Return unused tokens. Tried only once, so that staging of the generated content is not delayed."""
        parameters = {"task_id": self._task_id, "tokens": tokens}
        try:
            transact(
                self._engine, lambda connection: connection.execute(RELEASE, parameters), Deadline.after(0)
            )
        except ContentError as error:
            logger.warning("tokens_not_released", task_id=self._task_id, tokens=tokens, **error.why)
