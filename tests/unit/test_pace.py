"""The interval between calls follows the quota of the model."""

import pytest

from roadmap_content.content.generation.model import LONGEST_INTERVAL, SHORTEST_INTERVAL, Pace, Turn


class Clock:
    """A clock that a test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def turn(pace: Pace, clock: Clock) -> Turn:
    """Wait as long as the pace requires, and start a call."""
    while not isinstance(found := pace.begin(), Turn):
        clock.now += found
    return found


def test_a_second_call_begins_after_the_interval(pace: Pace, clock: Clock) -> None:
    assert isinstance(pace.begin(), Turn)
    wait = pace.begin()
    assert not isinstance(wait, Turn)
    clock.now += wait
    assert isinstance(pace.begin(), Turn)


def test_without_throttling_the_interval_shrinks_to_the_shortest(pace: Pace, clock: Clock) -> None:
    for _ in range(100):
        turn(pace, clock)
    assert pace.interval == SHORTEST_INTERVAL


def test_a_throttled_call_lengthens_the_interval_and_holds_the_next_call(pace: Pace, clock: Clock) -> None:
    begun = turn(pace, clock)
    before = pace.interval
    pace.throttled(begun)
    assert pace.interval > before
    assert not isinstance(pace.begin(), Turn)


def test_calls_that_are_throttled_together_lengthen_the_interval_once(pace: Pace, clock: Clock) -> None:
    together = [turn(pace, clock) for _ in range(8)]
    pace.throttled(together[0])
    once = pace.interval
    for begun in together[1:]:
        pace.throttled(begun)
    assert pace.interval == once


def test_the_interval_stays_short_enough_to_notice_a_quota_that_is_free_again(
    pace: Pace, clock: Clock
) -> None:
    for _ in range(100):
        pace.throttled(turn(pace, clock))
    assert pace.interval == LONGEST_INTERVAL
    for _ in range(20):
        turn(pace, clock)
    assert pace.interval < 0.2


@pytest.mark.parametrize("rate", [0.5, 3.0, 15.0])
def test_calls_are_admitted_nearly_as_often_as_the_quota_allows(
    pace: Pace, clock: Clock, rate: float
) -> None:
    """A token bucket of two calls, for 200 seconds."""
    left, at, admitted = 2.0, 0.0, 0
    while clock.now < 200:
        begun = turn(pace, clock)
        left, at = min(2.0, left + rate * (clock.now - at)), clock.now
        if left >= 1:
            left, admitted = left - 1, admitted + 1
        else:
            pace.throttled(begun)
    assert admitted >= 0.75 * rate * 200
