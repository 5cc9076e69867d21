"""The arithmetic of the benchmarks: order of trials, ratios per round, limits."""

import pytest

from benchmarks.measuring import in_turn, median_ratio
from benchmarks.report import Limit


def test_trials_alternate_and_the_warm_up_is_dropped() -> None:
    order: list[str] = []

    def trial(name: str) -> float:
        order.append(name)
        return float(len(order))

    measured = in_turn({"A": lambda: trial("A"), "B": lambda: trial("B")}, rounds=2)
    assert order == ["A", "B", "A", "B", "A", "B"]
    assert measured == {"A": [3.0, 5.0], "B": [4.0, 6.0]}


def test_a_ratio_is_computed_per_round() -> None:
    base = [1.0, 1.0, 10.0, 1.0, 1.0]
    assert median_ratio([value * 3 for value in base], base) == 3.0
    # The ratio of the medians would be 1. A round in which only one side was slow does not change the median
    # of the ratios.
    assert median_ratio([2.0, 4.0, 90.0], [1.0, 2.0, 9.0]) == 2.0


def test_a_ratio_needs_the_same_rounds_on_both_sides() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        median_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("value", "at_least", "met", "holds"),
    [
        (1.5, False, True, True),
        (1.6, False, False, True),
        (2.3, False, False, False),
        (1.5, True, True, True),
        (1.1, True, False, True),
        (0.9, True, False, False),
    ],
)
def test_a_limit_is_met_or_holds_with_room(value: float, at_least: bool, met: bool, holds: bool) -> None:
    limit = Limit("ratio", value, 1.5, at_least=at_least)
    assert (limit.holds(), limit.holds(0.5)) == (met, holds)
