"""How a model is asked, whoever provides it: how often, for how long, and at whose expense."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from roadmap_content.content.kind import Draft
from roadmap_content.errors import ContentError, InvalidContentError, PermanentError, TransientError
from roadmap_content.generation.allowance import Allowance, Usage
from roadmap_content.generation.generator import OutOfTimeError, generator_named
from roadmap_content.generation.learner import ANYONE
from roadmap_content.generation.model import (
    LONGEST_PAUSE,
    MAX_TRIES,
    Answer,
    AnswerLostError,
    ModelBusyError,
    ModelDeclinedError,
    ModelGenerator,
    ModelRefusedRequestError,
    Rejected,
)
from roadmap_content.generation.prompting import Prompt
from roadmap_content.items import ContentType
from roadmap_content.roadmaps.framework import Concept
from roadmap_content.runtime.deadline import Deadline

CONCEPT = Concept("c", "Retries")
GOOD = Answer(
    Usage(100, 50), generator_named("offline").generate(CONCEPT, ContentType.QUIZ).model_dump(mode="json")
)
BAD = Answer(Usage(100, 20), {"questions": []})
BUSY, LOST = ModelBusyError("ThrottlingException: slow down"), AnswerLostError("read timeout")


@dataclass
class ScriptedModel:
    """A model that says what it is told to say, in order; the last again and again."""

    script: Sequence[Answer | ContentError]
    socket_timeout: float = 60.0
    max_output: int = 1000
    asked: list[Rejected | None] = field(default_factory=list)

    def ask(self, _prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Say what comes next."""
        self.asked.append(rejected)
        said = self.script[min(len(self.asked), len(self.script)) - 1]
        if isinstance(said, ContentError):
            raise said
        return said


@dataclass
class Purse:
    """A budget, with everything that was done to it."""

    left: int = 1_000_000
    reserved: list[int] = field(default_factory=list)

    def reserve(self, tokens: int) -> None:
        """Take tokens."""
        self.reserved.append(tokens)
        if tokens > self.left:
            raise PermanentError("exhausted")
        self.left -= tokens

    def release(self, tokens: int) -> None:
        """Give tokens back."""
        self.left += tokens


class SleptAway(Deadline):
    """A deadline that sleep brings nearer, though no time passes."""

    slept = 0.0

    @property
    def remaining(self) -> float:
        """Seconds left, had the sleep been one."""
        return super().remaining - self.slept


class Clock:
    """A sleep that takes no time but uses up a deadline."""

    def __init__(self, seconds: float) -> None:
        self.pauses: list[float] = []
        self.deadline = SleptAway.after(seconds)

    def sleep(self, seconds: float) -> None:
        """Remember it."""
        self.pauses.append(seconds)
        self.deadline.slept += seconds


class Asking:
    """One item that is asked for, and what that took."""

    def __init__(self, *script: Answer | ContentError, seconds: float = 900, left: int = 1_000_000) -> None:
        self.model, self.clock, self.purse = ScriptedModel(script), Clock(seconds), Purse(left)
        self.allowance = Allowance(self.clock.deadline, self.purse)

    def generate(self) -> Draft:
        """Ask for it."""
        generator = ModelGenerator(self.model, self.clock.sleep)
        return generator.generate(CONCEPT, ContentType.QUIZ, ANYONE, self.allowance)


def test_a_good_answer_is_the_draft_and_is_paid_once() -> None:
    asking = Asking(GOOD)
    assert asking.generate().model_dump(mode="json") == GOOD.output
    assert asking.allowance.usage == Usage(100, 50)
    assert asking.purse.left == 1_000_000 - 150
    assert asking.model.asked == [None]


def test_without_an_allowance_it_takes_what_it_takes() -> None:
    assert ModelGenerator(ScriptedModel([GOOD])).generate(CONCEPT, ContentType.QUIZ)


def test_busy_models_are_asked_again_after_growing_random_pauses_and_cost_nothing() -> None:
    asking = Asking(*[BUSY] * (MAX_TRIES - 1), GOOD)
    assert asking.generate()
    assert len(asking.clock.pauses) == MAX_TRIES - 1
    for number, pause in enumerate(asking.clock.pauses):
        assert 0 <= pause <= min(LONGEST_PAUSE, 2**number)
    assert asking.purse.left == 1_000_000 - 150


@pytest.mark.parametrize("error", [BUSY, LOST])
def test_a_model_that_stays_away_is_given_up_as_transient(error: TransientError) -> None:
    asking = Asking(error)
    with pytest.raises(type(error)):
        asking.generate()
    assert len(asking.model.asked) == MAX_TRIES


def test_a_lost_answer_stays_counted_at_its_most() -> None:
    asking = Asking(LOST, GOOD)
    assert asking.generate()
    most = asking.purse.reserved[0]
    assert most > asking.model.max_output
    assert asking.purse.left == 1_000_000 - most - 150
    assert asking.allowance.usage == Usage(100, 50)  # what is known to have been used


def test_no_call_begins_whose_answer_could_not_be_waited_for() -> None:
    asking = Asking(GOOD, seconds=60)  # as long as an answer may take, and nothing to stage it in
    with pytest.raises(OutOfTimeError):
        asking.generate()
    assert asking.model.asked == []
    assert asking.purse.reserved == []


def test_trying_again_stops_in_time_and_says_what_the_matter_was() -> None:
    asking = Asking(BUSY, seconds=70)
    with pytest.raises(ModelBusyError, match="slow down"):
        asking.generate()
    assert asking.model.asked
    assert asking.clock.deadline.remaining >= 60


def test_an_answer_that_is_not_valid_is_sent_back_once_with_what_is_wrong() -> None:
    asking = Asking(BAD, GOOD)
    assert asking.generate()
    first, second = asking.model.asked
    assert first is None
    assert second is not None
    assert second.answer is BAD
    assert second.fault == "questions: List should have at least 1 item after validation, not 0"
    assert asking.allowance.usage == Usage(200, 70)


def test_a_second_answer_that_is_not_valid_is_the_end_with_its_reason() -> None:
    asking = Asking(BAD, Answer(Usage(1, 1), fault="the answer was cut off"))
    with pytest.raises(InvalidContentError, match="cut off"):
        asking.generate()
    assert len(asking.model.asked) == 2


def test_a_busy_model_is_waited_for_also_when_an_answer_is_sent_back() -> None:
    asking = Asking(BAD, BUSY, GOOD)
    assert asking.generate()
    assert [rejected is not None for rejected in asking.model.asked] == [False, True, True]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Answer(Usage(1, 1), declined="the content filter"), ModelDeclinedError),
        (ModelRefusedRequestError("AccessDeniedException"), ModelRefusedRequestError),
    ],
)
def test_what_cannot_help_is_not_tried_again(said: Answer | ContentError, error: type[ContentError]) -> None:
    asking = Asking(said)
    with pytest.raises(error):
        asking.generate()
    assert len(asking.model.asked) == 1
    assert asking.purse.left >= 1_000_000 - 2


def test_nothing_is_asked_that_the_budget_does_not_cover() -> None:
    asking = Asking(GOOD, left=900)  # less than the answer alone may take
    with pytest.raises(PermanentError, match="exhausted"):
        asking.generate()
    assert asking.model.asked == []
    assert asking.purse.left == 900
