"""The number of calls in flight follows the quota of the model."""

import pytest

from roadmap_content.generation.pace import FIRST_LIMIT, Pace, Turn
from roadmap_content.storage.bucket import PARALLEL


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def turns(pace: Pace, clock: Clock) -> list[Turn]:
    """Begin as many calls as may be in flight, after any hold."""
    clock.now += 60
    begun = []
    while isinstance(turn := pace.begin(), Turn):
        begun.append(turn)
    return begun


def test_no_more_calls_begin_than_the_limit_allows(pace: Pace, clock: Clock) -> None:
    assert len(turns(pace, clock)) == FIRST_LIMIT


def test_answers_raise_the_limit_up_to_the_number_of_threads(pace: Pace, clock: Clock) -> None:
    for _ in range(100):
        for turn in turns(pace, clock):
            pace.end(turn)
    assert len(turns(pace, clock)) == PARALLEL


def test_calls_that_are_throttled_together_cut_the_limit_once(pace: Pace, clock: Clock) -> None:
    for turn in turns(pace, clock):
        pace.end(turn, throttled=True)
    assert pace.limit == FIRST_LIMIT / 2


def test_a_throttled_call_holds_every_call_and_one_call_remains_allowed(pace: Pace, clock: Clock) -> None:
    holds = []
    for _ in range(8):
        first, *others = turns(pace, clock)
        pace.end(first, throttled=True)
        for turn in others:
            pace.end(turn, throttled=True)
        hold = pace.begin()
        assert not isinstance(hold, Turn)
        holds.append(hold)
    assert pace.limit == 1
    assert all(0 < hold <= 8 for hold in holds)
    assert holds[-1] > holds[0]
