"""The arithmetic of the benchmarks: order of trials, medians, ratios per round, noise, targets."""

from pathlib import Path

import pytest

from benchmarks.measuring import estimate, in_turn, paired_ratio
from benchmarks.report import amount, series_rows
from benchmarks.result import Result, Series, Target, read_results


def test_trials_alternate_and_the_warm_up_is_dropped() -> None:
    order: list[str] = []

    def trial(name: str) -> float:
        order.append(name)
        return float(len(order))

    measured = in_turn({"A": lambda: trial("A"), "B": lambda: trial("B")}, rounds=2)
    assert order == ["A", "B", "A", "B", "A", "B"]
    assert measured == {"A": [3.0, 5.0], "B": [4.0, 6.0]}


def test_an_estimate_is_the_median_between_its_quartiles() -> None:
    assert estimate([5.0, 1.0, 3.0, 2.0, 4.0]) == (3.0, 2.0, 4.0)
    assert estimate([5.0, 1.0, 3.0, 2.0, 4.0]).noise == pytest.approx(2 / 3)
    assert estimate([7.0]) == (7.0, 7.0, 7.0)
    assert estimate([0.0, 0.0]).noise == 0.0


def test_a_ratio_is_computed_per_round() -> None:
    base = [1.0, 1.0, 10.0, 1.0, 1.0]
    assert paired_ratio([value * 3 for value in base], base) == (3.0, 3.0, 3.0)
    # The ratio of the medians would be 1. A round in which only one side was slow does not change the median
    # of the ratios.
    assert paired_ratio([2.0, 4.0, 90.0], [1.0, 2.0, 9.0]).median == 2.0


def test_a_ratio_needs_the_same_rounds_on_both_sides() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        paired_ratio([1.0, 2.0], [1.0])


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
def test_a_target_is_met_or_holds_with_a_tolerance(
    value: float, at_least: bool, met: bool, holds: bool
) -> None:
    target = Target(label="ratio", value=value, limit=1.5, at_least=at_least)
    assert (target.met, target.holds_with(0.5)) == (met, holds)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0057, "s", "5.7 ms"),
        (2.989, "s", "2.99 s"),
        (0.28512, "s", "285 ms"),
        (12.34, "×", "12.3×"),
        (2.0, "×", "2×"),
        (123456.0, "", "123,456"),
    ],
)
def test_numbers_are_shown_with_three_digits(value: float, unit: str, shown: str) -> None:
    assert amount(value, unit) == shown


def test_a_result_survives_a_round_trip(tmp_path: Path) -> None:
    series = Series(
        name="time",
        title="Time",
        unit="s",
        size_name="concepts",
        base="ours",
        values={"ours": {3: [1.0, 1.0], 10: [2.0, 2.0]}, "theirs": {3: [2.0, 4.0]}},
    )
    result = Result(
        name="some",
        title="Some",
        about="How.",
        machine={"cores": "2"},
        versions={"Python": "3.11.7"},
        measured_at="2026-01-01T00:00+00:00",
        series=[series],
    )
    result.write(tmp_path / "results")
    assert read_results(tmp_path / "results") == [result]
    assert series_rows(series) == [["ours", "1 s ±0%", "2 s ±0%"], ["theirs", "3 s 3× ±17%", "–"]]


def test_a_partial_run_keeps_older_results_of_other_sizes() -> None:
    def run(values: dict[str, dict[int, list[float]]]) -> Series:
        return Series(name="time", title="T", unit="s", size_name="concepts", base="ours", values=values)

    newer = run({"ours": {3: [1.0]}, "theirs": {3: [2.0]}})
    older = run({"ours": {3: [9.0], 10: [8.0]}, "gone": {3: [7.0], 10: [6.0]}})
    # All values of one size come from one run, because ratios are computed per round.
    assert newer.over(older).values == {
        "ours": {3: [1.0], 10: [8.0]},
        "theirs": {3: [2.0]},
        "gone": {10: [6.0]},
    }
    assert newer.over(None) == newer


@pytest.mark.parametrize(("times", "exponent"), [((1.0, 10.0), 1.0), ((1.0, 100.0), 2.0), ((3.0, 3.0), 0.0)])
def test_the_exponent_of_growth(times: tuple[float, float], exponent: float) -> None:
    values = {"step": {30: [times[0]], 300: [times[1]]}}
    series = Series(name="s", title="S", unit="s", size_name="concepts", base="step", values=values)
    assert series.exponent("step", 30, 300) == pytest.approx(exponent)
