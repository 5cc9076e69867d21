"""The verdict of a comparison: its interval beside Python's statistics, and how often it is right."""

import random
from collections import Counter
from math import sqrt
from statistics import NormalDist, fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_command.compare.verdict import Decision, Pairs, Verdict, decide

MARGIN = 0.05
COMPARISONS = 1_000
SEED = 20261201
NUMBER = st.integers(0, 100)


def interval(decision: Decision) -> list[float]:
    return [decision.difference, decision.low, decision.high]


@given(st.integers(0, 500), NUMBER, NUMBER)
def test_the_interval_is_that_of_the_mean_of_the_pairs_differences(
    equal: int, only_present: int, only_candidate: int
) -> None:
    """Computed from the pairs one by one: Wald's interval, with one pair added to each kind that differs."""
    pairs = [0] * equal + [-1] * only_present + [1] * only_candidate
    added = [*pairs, -1, 1]
    mean = NormalDist(fmean(added), pstdev(added) / sqrt(len(added)))
    expected = [fmean(pairs or [0]), max(-1, mean.inv_cdf(0.025)), min(1, mean.inv_cdf(0.975))]
    decision = decide(Pairs(len(pairs), only_present, only_candidate), MARGIN)
    assert interval(decision) == pytest.approx(expected)


def test_the_interval_is_that_of_a_statistics_library() -> None:
    """The table of Cavo (2012), with the interval that the R package `contingencytables` asserts in its own
    tests (github.com/ocbe-uio/contingencytables: tests/testthat/test-ch8.R).
    """
    decision = decide(Pairs(161, only_present=16, only_candidate=6), MARGIN)
    assert interval(decision) == pytest.approx([-0.0621, -0.1195, -0.0032], abs=5e-5)


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


@given(st.integers(100, 500), NUMBER, NUMBER)
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
