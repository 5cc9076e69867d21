"""The verdict of a comparison: its interval beside a statistics library, and how often it is right."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_command.compare.verdict import Pairs, Verdict, decide

MARGIN = 0.05
COMPARISONS = 1_000
SEED = 20261201

# Tables of Cavo (2012), with the interval that the R package `contingencytables` asserts in its own tests
# (github.com/ocbe-uio/contingencytables: tests/testthat/test-ch8.R), and of Bentur (2009), with that of the
# paper of Fagerland (2014), which was not read again. No package of Python has Bonett and Price's interval.
PUBLISHED = [
    (Pairs(161, only_present=16, only_candidate=6), -0.0621, -0.1195, -0.0032),
    (Pairs(21, only_present=7, only_candidate=1), -0.286, -0.508, -0.013),
]


@pytest.mark.parametrize(("pairs", "difference", "low", "high"), PUBLISHED)
def test_the_interval_is_that_of_a_statistics_library(
    pairs: Pairs, difference: float, low: float, high: float
) -> None:
    decision = decide(pairs, MARGIN)
    digits = 4 if pairs.total == 161 else 3
    assert [round(value, digits) for value in (decision.difference, decision.low, decision.high)] == [
        difference,
        low,
        high,
    ]
    turned = decide(Pairs(pairs.total, pairs.only_candidate, pairs.only_present), MARGIN)
    assert (turned.low, turned.high) == pytest.approx((-decision.high, -decision.low))


def shares(items: int, present: float, candidate: float) -> dict[Verdict, float]:
    """The share of each verdict in simulated comparisons, with independent faults of both sides."""
    chance = random.Random(SEED)  # noqa: S311 - a simulation
    counts: Counter[Verdict] = Counter()
    for _ in range(COMPARISONS):
        faulty = [(chance.random() < present, chance.random() < candidate) for _ in range(items)]
        pairs = Pairs(items, faulty.count((True, False)), faulty.count((False, True)))
        counts[decide(pairs, MARGIN).verdict] += 1
    found = {verdict: counts[verdict] / COMPARISONS for verdict in Verdict}
    print(f"{items} items, {present:.1%} and {candidate:.1%} faulty, seed {SEED}:", found)  # noqa: T201 - shown with `-s`
    return found


@pytest.mark.parametrize("present", [0.067, 0.2])
def test_few_items_call_no_equal_candidate_worse_and_no_worse_one_equal(present: float) -> None:
    assert shares(60, present, present)[Verdict.WORSE] <= 0.035
    assert shares(60, present, present + 0.1)[Verdict.NO_WORSE] <= 0.01


def test_four_hundred_items_decide() -> None:
    assert shares(400, 0.067, 0.067)[Verdict.NO_WORSE] >= 0.78
    assert shares(400, 0.067, 0.267)[Verdict.WORSE] >= 0.95


@given(st.integers(100, 500), st.integers(0, 100), st.integers(0, 100))
def test_the_named_number_of_items_decides_if_the_shares_stay(
    equal: int, only_present: int, only_candidate: int
) -> None:
    pairs = Pairs(equal + only_present + only_candidate, only_present, only_candidate)
    decision = decide(pairs, MARGIN)
    assert (decision.items_to_decide is None) == (decision.verdict is not Verdict.NOT_DECIDED)
    if decision.items_to_decide is not None:
        assert decision.items_to_decide > pairs.total - 2
        growth = 1.25 * decision.items_to_decide / pairs.total
        grown = Pairs(*(round(growth * number) for number in pairs))
        assert decide(grown, MARGIN).verdict is not Verdict.NOT_DECIDED


def test_a_difference_within_the_margin_is_accepted_even_if_it_is_certain() -> None:
    decision = decide(Pairs(10_000, only_present=100, only_candidate=300), MARGIN)
    assert 0 < decision.low < decision.high < MARGIN
    assert decision.verdict is Verdict.NO_WORSE
    assert decide(Pairs(10_000, 100, 300), 0.01).verdict is Verdict.WORSE


def test_no_pair_decides_nothing() -> None:
    assert decide(Pairs(0, 0, 0), MARGIN).verdict is Verdict.NOT_DECIDED
