"""Calls of a model for all providers: number of tries, pauses, deadlines and the token budget."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from roadmap_content.content.generation.generator import (
    Allowance,
    GenerationRequest,
    OutOfTimeError,
    generator_named,
)
from roadmap_content.content.generation.model import (
    LONGEST_PAUSE,
    MAX_TRIES,
    Answer,
    AnswerLostError,
    ModelBusyError,
    ModelGenerator,
    ModelThrottledError,
    Pace,
    Rejected,
)
from roadmap_content.content.generation.prompting import Prompt, PromptedModel
from roadmap_content.content.generation.quota import Need, Usage
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import (
    ContentError,
    InvalidContentError,
    PermanentError,
    TransientError,
)
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline

REQUEST = GenerationRequest(Concept("c", "Retries"), ContentType.QUIZ)
GOOD = Answer(Usage(100, 50), generator_named("offline").generate(REQUEST))
BAD = Answer(Usage(100, 20), {"questions": []})
BUSY, LOST = ModelBusyError("ThrottlingException: slow down"), AnswerLostError("read timeout")


@dataclass
class ScriptedModel(PromptedModel):
    """A model with scripted answers, in order. The last one is repeated."""

    script: Sequence[Answer | ContentError]
    model_id: str = "scripted"
    socket_timeout: float = 60.0
    max_output: int = 1000
    asked: list[Rejected | None] = field(default_factory=list)

    def ask(self, _prompt: Prompt, rejected: Rejected | None) -> Answer:
        self.asked.append(rejected)
        said = self.script[min(len(self.asked), len(self.script)) - 1]
        if isinstance(said, ContentError):
            raise said
        return said


@dataclass
class RecordingBudget:
    """A budget that records its calls."""

    left: int = 1_000_000
    reserved: list[int] = field(default_factory=list)

    def reserve(self, tokens: int) -> None:
        self.reserved.append(tokens)
        if tokens > self.left:
            raise PermanentError("exhausted")
        self.left -= tokens

    def release(self, tokens: int) -> None:
        self.left += tokens


@dataclass
class RecordingQuota:
    """A quota that holds enough after some tries, and records its calls."""

    tries: int = 0
    seconds_to_wait: float = 1.0
    taken: list[Need] = field(default_factory=list)
    ended: list[Usage | None] = field(default_factory=list)
    given_up: int = 0

    def begin(self, need: Need) -> float | None:
        """Take the tokens of a call."""
        self.tries -= 1
        if self.tries >= 0:
            return None
        self.taken.append(need)
        return need.total

    def give_up(self) -> None:
        self.given_up += 1

    def end(self, taken: float, need: Need, usage: Usage | None) -> None:
        """Replace the tokens of a call."""
        assert taken == need.total
        self.ended.append(usage)


class FakeDeadline(Deadline):
    """A deadline that is shortened by fake sleeps."""

    slept = 0.0

    @property
    def remaining(self) -> float:
        """Seconds left after the fake sleeps."""
        return super().remaining - self.slept


class Clock:
    """A fake sleep that shortens a deadline."""

    def __init__(self, seconds: float) -> None:
        self.pauses: list[float] = []
        self.deadline = FakeDeadline.after(seconds)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.deadline.slept += seconds


class ItemRequest:
    """A request for one item, and its recorded usage."""

    def __init__(
        self,
        *script: Answer | ContentError,
        seconds: float = 900,
        left: int = 1_000_000,
        pace: Pace | None = None,
        quota: RecordingQuota | None = None,
    ) -> None:
        self.model, self.clock, self.budget = ScriptedModel(script), Clock(seconds), RecordingBudget(left)
        self.pace = pace or Pace(lambda: self.clock.deadline.slept)
        self.quota = quota or RecordingQuota()
        self.allowance = Allowance(self.clock.deadline, self.budget, self.quota)  # type: ignore[arg-type] # fakes

    def generate(self) -> Document:
        generator = ModelGenerator(self.model, self.clock.sleep, self.pace)
        return generator.generate(REQUEST, self.allowance)


def test_a_valid_answer_is_the_draft_and_is_counted_once() -> None:
    request = ItemRequest(GOOD)
    assert request.generate() == GOOD.output
    assert request.allowance.usage == Usage(100, 50)
    assert request.budget.left == 1_000_000 - 150
    assert request.model.asked == [None]


def test_without_an_allowance_there_are_no_limits() -> None:
    assert ModelGenerator(ScriptedModel([GOOD])).generate(REQUEST)


def test_a_busy_model_is_retried_with_backoff_and_jitter_and_costs_nothing() -> None:
    no_intervals = Pace(count(step=60).__next__)
    request = ItemRequest(*[BUSY] * (MAX_TRIES - 1), GOOD, pace=no_intervals)
    assert request.generate()
    assert len(request.clock.pauses) == MAX_TRIES - 1
    for number, pause in enumerate(request.clock.pauses):
        assert 0 <= pause <= min(LONGEST_PAUSE, 2**number)
    assert request.budget.left == 1_000_000 - 150


@pytest.mark.parametrize("error", [BUSY, LOST])
def test_a_model_that_stays_busy_is_a_transient_error(error: TransientError) -> None:
    request = ItemRequest(error)
    with pytest.raises(type(error)):
        request.generate()
    assert len(request.model.asked) == MAX_TRIES


def test_a_lost_answer_stays_counted_at_its_maximum() -> None:
    request = ItemRequest(LOST, GOOD)
    assert request.generate()
    most = request.budget.reserved[0]
    assert most > request.model.max_output
    assert request.budget.left == 1_000_000 - most - 150
    assert request.allowance.usage == Usage(100, 50)  # the usage of the first answer


@pytest.mark.parametrize(
    ("seconds", "left", "tried", "error"),
    [
        (60, 1_000_000, 0, OutOfTimeError),  # time for a call, but not for staging the item
        (900, 900, 1, PermanentError),  # less than the maximum of one answer
    ],
)
def test_no_call_is_started_without_time_or_budget_for_it(
    seconds: float, left: int, tried: int, error: type[Exception]
) -> None:
    request = ItemRequest(GOOD, seconds=seconds, left=left)
    with pytest.raises(error):
        request.generate()
    assert request.model.asked == []
    assert (len(request.budget.reserved), request.budget.left) == (tried, left)


def test_retries_stop_in_time_and_raise_the_last_error() -> None:
    request = ItemRequest(BUSY, seconds=70)
    with pytest.raises(ModelBusyError, match="slow down"):
        request.generate()
    assert request.model.asked
    assert request.clock.deadline.remaining >= 60


def test_a_second_invalid_answer_fails_with_its_fault() -> None:
    request = ItemRequest(BAD, Answer(Usage(1, 1), fault="the answer was cut off"))
    with pytest.raises(InvalidContentError, match="cut off"):
        request.generate()
    assert len(request.model.asked) == 2


def test_a_busy_model_is_also_retried_for_a_correction() -> None:
    request = ItemRequest(BAD, BUSY, GOOD)
    assert request.generate()
    assert [rejected is not None for rejected in request.model.asked] == [False, True, True]


def test_throttled_calls_do_not_count_as_tries_and_cost_nothing() -> None:
    throttled = ModelThrottledError("ThrottlingException: quota")
    request = ItemRequest(*[throttled] * (3 * MAX_TRIES), GOOD)
    assert request.generate() == GOOD.output
    assert request.budget.left == 1_000_000 - 150


def test_each_throttled_call_is_counted_for_the_alarm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "a-stack")
    throttled = ModelThrottledError("ThrottlingException: quota")
    ItemRequest(throttled, throttled, GOOD).generate()
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert [line["ModelThrottles"] for line in counted if "ModelThrottles" in line] == [[1], [1]]


def test_an_exhausted_quota_is_reported_when_the_time_is_up() -> None:
    request = ItemRequest(ModelThrottledError("ThrottlingException: quota"), seconds=100)
    with pytest.raises(ModelThrottledError, match="quota"):
        request.generate()
    assert request.budget.left == 1_000_000


def test_each_call_takes_from_the_quota_its_input_and_the_most_output_of_its_content_type() -> None:
    request = ItemRequest(BAD, GOOD)
    assert request.generate()
    assert [need.most_output for need in request.quota.taken] == [450, 450]
    assert [need.most_input for need in request.quota.taken] == [
        request.budget.reserved[0] - 450,
        request.budget.reserved[1] - 450,
    ]
    assert request.quota.ended == [Usage(100, 20), Usage(100, 50)]


def test_the_quota_counts_what_may_have_been_charged_and_what_the_model_refused() -> None:
    throttled = ModelThrottledError("ThrottlingException: quota")
    request = ItemRequest(BUSY, LOST, throttled, GOOD)
    assert request.generate()
    assert request.quota.ended == [Usage(), None, None, Usage(100, 50)]


def test_a_call_that_the_budget_refuses_gives_its_tokens_back_to_the_quota() -> None:
    request = ItemRequest(GOOD, left=10)
    with pytest.raises(PermanentError, match="exhausted"):
        request.generate()
    assert request.quota.ended == [Usage()]


def test_a_call_waits_for_the_quota_while_the_time_suffices() -> None:
    request = ItemRequest(GOOD, seconds=100, quota=RecordingQuota(tries=20))
    assert request.generate()
    assert request.clock.pauses == [1.0] * 20
    late = ItemRequest(GOOD, seconds=100, quota=RecordingQuota(tries=50))
    with pytest.raises(ModelThrottledError, match="were used up until the time was up"):
        late.generate()
    assert (late.model.asked, late.budget.reserved, late.quota.ended) == ([], [], [])
    assert late.quota.given_up == 1
    assert late.clock.deadline.remaining >= 60
