"""Ask a model for content, independently of the model and of how it is asked.

A module such as `bedrock.py` or `function.py` implements `Model`. This one contains the rest, for all: it
requests one correction of an invalid answer, retries with backoff at a pace that the quota allows, reserves
tokens before each call, and starts none that the time left does not cover.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from ...contracts.documents import Document
from ...contracts.errors import ContentError, InvalidContentError, ModelDeclinedError, TransientError
from ...contracts.items import Item
from ...platform.postgres.transactions import TIME_FOR_ANOTHER
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from .generator import Allowance, GenerationRequest, OutOfTimeError
from .quota import Need, Usage

FIRST_INTERVAL, SHORTEST_INTERVAL, LONGEST_INTERVAL = 0.1, 0.02, 3.0
"""Seconds. The longest bounds how much of the quota is unused when other invocations end."""

SHORTER, LONGER = 0.85, 1.2
"""Their product is about 1, so the interval stays where half of the calls are throttled."""


class Turn(NamedTuple):
    """The permission to make one call."""

    throttled: int
    """How often the process had been throttled when the call started."""


class Pace:
    """The pace of a process's model calls, which adapts to the quota by trial. Safe for several threads.

    A throttled call is refused immediately and costs nothing; an answer takes many seconds. Therefore the
    interval between the starts of two calls is adapted, and not the number of concurrent calls: a call that
    starts shortens the interval by `SHORTER`, a throttled call lengthens it by `LONGER`. Both balance where
    about half of the calls are throttled, so that the whole quota is used. Concurrent invocations share no
    state except the quota itself: all of them receive its 429s, and their intervals converge.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.interval = FIRST_INTERVAL
        """Seconds between the starts of two calls."""

        self._next = float("-inf")
        self._throttled = 0

    def begin(self) -> Turn | float:
        """Start a call, or return the seconds to wait before the next try."""
        with self._lock:
            wait = self._next - self._clock()
            if wait > 0:
                return wait
            self._hold()
            self.interval = max(self.interval * SHORTER, SHORTEST_INTERVAL)
            return Turn(self._throttled)

    def throttled(self, turn: Turn, seconds: float = 0.0) -> None:
        """Record that a call was throttled, and for how many seconds none may start. Of several concurrent
        calls, only the first lengthens the interval.
        """
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)
            if turn.throttled == self._throttled:
                self._throttled += 1
                # The call shortened the interval when it started.
                self.interval = min(self.interval / SHORTER * LONGER, LONGEST_INTERVAL)
                self._hold()

    def _hold(self) -> None:
        # With jitter, so that invocations that were throttled together do not retry together.
        pause = random.uniform(0.5, 1.5) * self.interval  # noqa: S311
        self._next = max(self._next, self._clock() + pause)


MAX_TRIES = 8
"""Maximum tries of one call, if the time suffices. With the pauses they take one to two minutes."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds: the upper limit of the random pause after the first try; each further try doubles it."""


class ModelError(TransientError, code="Model"):
    """The model did not answer in time."""


class ModelBusyError(ModelError, code="ModelBusy"):
    """The model was throttled, overloaded or failed. It gave no answer, and nothing is charged."""


class ModelThrottledError(ModelBusyError, code="ModelThrottled"):
    """The model's quota was exhausted until the time was up. Nothing is charged."""

    retry_after = 0.0
    """Seconds for which the model accepts no call, if they are known."""


class AnswerLostError(ModelError, code="AnswerLost"):
    """The model accepted the call, but its answer was lost. The call may be charged."""


@dataclass(frozen=True)
class Answer:
    """A model's answer."""

    usage: Usage | None
    """The tokens that it used; `None` if they are unknown: they stay counted at their maximum."""

    output: object = None
    fault: str | None = None
    """Why there is no complete output, for a correction."""

    declined: str | None = None
    error: ContentError | None = None
    """Why there will be none from another call."""

    original: list[Document] | None = None
    """The answer in the provider's format, for the correction request."""

    model_id: str | None = None
    prompt_version: str | None = None
    """The model and the prompt, for the origin of the content."""


@dataclass(frozen=True)
class Rejected:
    answer: Answer
    fault: str


QuestionT = TypeVar("QuestionT")


class Model(Protocol[QuestionT]):
    """One model of one provider, or a function that asks one. Safe for use by several threads."""

    @property
    def socket_timeout(self) -> float:
        """Timeout of a call, in seconds."""

    def question(self, request: GenerationRequest) -> QuestionT:
        """The question for an item."""

    def need(self, question: QuestionT, rejected: Rejected | None) -> Need:
        """The most tokens that a call may use."""

    def ask(self, question: QuestionT, rejected: Rejected | None) -> Answer:
        """Send one request. With `rejected`, request a correction of that answer.

        Raises:
            ModelBusyError, AnswerLostError: a retry may succeed.
            PermanentError: a retry would fail again.
        """

    def read(self, request: GenerationRequest, answer: Answer) -> Document:
        """The draft or content of an answer. Raises InvalidContentError: it needs a correction."""


class ModelGenerator(Generic[QuestionT]):
    """A `Generator` that uses a model."""

    def __init__(
        self,
        model: Model[QuestionT],
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
    ) -> None:
        self._model = model
        self._sleep = sleep
        self._pace = pace or Pace()

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None, /) -> Document:
        """Generate an item. If the answer is invalid, request one correction.

        Raises:
            InvalidContentError: the corrected answer was invalid, too.
            ModelDeclinedError, ModelRefusedRequestError: the model cannot generate this item.
            ModelBusyError, ModelThrottledError, AnswerLostError, OutOfTimeError: no answer in time.
            GenerationStoppedError: an operator has stopped generation while the call waited for the quota.
            ContentError: the allowance was not sufficient (see `TaskBudget.reserve`), or an `Answer.error`.
        """
        allowance = allowance or Allowance(Deadline.after(float("inf")))
        question = self._model.question(request)
        answer = self.ask(question, None, allowance)
        try:
            return self._accept(request, answer)
        except InvalidContentError as error:
            rejected = Rejected(answer, str(error))
            item = Item(request.concept.concept_id, request.content_type)
            logger.warning("answer_sent_back", **item._asdict(), reason=rejected.fault)
        return self._accept(request, self.ask(question, rejected, allowance))

    def _accept(self, request: GenerationRequest, answer: Answer) -> Document:
        if answer.declined is not None:
            raise ModelDeclinedError(answer.declined)
        if answer.error is not None:
            raise answer.error
        if answer.fault is not None:
            raise InvalidContentError(answer.fault)
        return self._model.read(request, answer)

    def ask(self, question: QuestionT, rejected: Rejected | None, allowance: Allowance) -> Answer:
        """Call the model with retries, as long as the time suffices. A call is started only if the time left
        covers its timeout: because an abandoned call is charged and its answer is lost.
        """
        longest_pause = FIRST_PAUSE
        tries_left = MAX_TRIES
        throttled: ModelThrottledError | None = None
        need = self._model.need(question, rejected)
        while True:
            turn = self._await_turn(allowance.deadline, throttled)
            taken = self._await_quota(need, allowance)
            try:
                answer = self._ask_once(question, rejected, allowance, need, taken)
            except ModelThrottledError as error:  # not counted as a try: nothing was charged
                self._pace.throttled(turn, error.retry_after)
                emit({Metric.MODEL_THROTTLES: 1})
                # Not its reason, which may be one that a function of the team wrote: content.
                logger.info("model_throttled", interval=self._pace.interval, error_code=error.recorded_code)
                throttled = error
                continue
            except ModelError as error:
                tries_left -= 1
                pause = random.uniform(0, longest_pause)  # noqa: S311 - jitter
                if not tries_left or allowance.deadline.remaining - pause < self._call_seconds:
                    raise
                logger.warning("model_asked_again", **error.why, wait_seconds=pause)
            else:
                return answer
            self._sleep(pause)
            longest_pause = min(2 * longest_pause, LONGEST_PAUSE)

    @property
    def _call_seconds(self) -> float:
        """Seconds that must be left when a call starts: one reserve is for staging its answer."""
        return self._model.socket_timeout + TIME_FOR_ANOTHER

    def _await_turn(self, deadline: Deadline, throttled: ModelThrottledError | None) -> Turn:
        """Wait for the pace. Raises OutOfTimeError, ModelThrottledError: the time left covers no call."""
        pause = 0.0
        while deadline.remaining - pause >= self._call_seconds:
            if pause:
                self._sleep(pause)
            turn_or_pause = self._pace.begin()
            if isinstance(turn_or_pause, Turn):
                return turn_or_pause
            pause = turn_or_pause
        raise throttled or OutOfTimeError("the invocation had too little time left for the answer")

    def _await_quota(self, need: Need, allowance: Allowance) -> float:
        """Wait until the model's quota has the tokens of a call, and take them; return how many.
        Raises ModelThrottledError: the time left does not cover a call any more.
        """
        quota = allowance.quota
        if quota is None:
            return 0.0
        try:
            while (taken := quota.begin(need)) is None:
                if allowance.deadline.remaining - quota.seconds_to_wait < self._call_seconds:
                    raise ModelThrottledError(
                        "the tokens per minute of `roadmap capacity` were used up until the time was up"
                    )
                self._sleep(quota.seconds_to_wait)
        finally:
            quota.give_up()
        return taken

    def _ask_once(
        self,
        question: QuestionT,
        rejected: Rejected | None,
        allowance: Allowance,
        need: Need,
        taken: float,
    ) -> Answer:
        """Send one request, and settle its two accounts: the task's allowance and the model's quota. A call
        whose answer was lost may have been charged, and stays counted in both. A throttled one costs the task
        nothing, and shows that the quota has less than was counted: there, it stays.
        """
        counted: Usage | None = Usage()  # for the quota; `None`: all tokens that were taken
        try:
            allowance.reserve(need.total)
            try:
                answer = self._model.ask(question, rejected)
            except AnswerLostError:
                counted = None
                raise  # the reservation stays counted
            except ContentError as error:
                allowance.record_usage(need.total, Usage())
                if isinstance(error, ModelThrottledError):
                    counted = None
                raise
            counted = answer.usage
        finally:
            if allowance.quota is not None:
                allowance.quota.end(taken, need, counted)
        allowance.model_id, allowance.prompt_version = answer.model_id, answer.prompt_version
        if answer.usage is not None:
            allowance.record_usage(need.total, answer.usage)
        else:
            allowance.is_usage_known = False
        return answer
