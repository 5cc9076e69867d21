"""The pairs that notice the removal of a guard, for `make mutants`; `make schedules` explores all."""

from collections.abc import Callable

from tests.schedules.__main__ import told
from tests.schedules.explorer import Explorer

Explorers = Callable[[str], Explorer]


def require(explorers: Explorers, *pairs: str) -> None:
    """Explore pairs such as `failed/retry/redrive`, and require that nothing is wrong."""
    for pair in pairs:
        situation, first, second = pair.split("/")
        found = explorers(situation).explore(first, second)
        assert found.schedules > 1
        noticed = f"{len(found.violations)} of {found.schedules} schedules; the first:\n"
        assert not found.violations, noticed + told(found.violations[0])


def test_requests_to_start(explorers: Explorers) -> None:
    require(explorers, "failed/retry/retry", "failed/retry/redrive", "failed/redrive/redrive")


def test_a_request_and_an_execution_that_arrives(explorers: Explorers) -> None:
    require(explorers, "arrived/plan/retry", "arrived/cancel/plan")


def test_a_start_that_was_not_confirmed(explorers: Explorers) -> None:
    require(explorers, "claimed/retry/admit", "redriving/retry/event")


def test_a_cancel_and_the_end_of_a_run(explorers: Explorers) -> None:
    require(explorers, "at-work/cancel/finalize")


def test_a_late_end_and_the_next_attempt(explorers: Explorers) -> None:
    require(explorers, "stopped/retry/finalize", "stopped/retry/redrive", "stopped/event/plan")
    require(explorers, "redriven/event/await-redrive")


def test_the_end_of_a_run_and_other_writes(explorers: Explorers) -> None:
    require(explorers, "at-work/finalize/save-another", "at-work/finalize/edit")


def test_the_end_of_a_run_and_its_counts(explorers: Explorers) -> None:
    require(explorers, "at-work/generate/finalize", "at-work/plan/finalize", "at-work/plan/save-another")


def test_steps_that_are_delivered_twice(explorers: Explorers) -> None:
    require(explorers, "at-work/generate/generate", "at-work/plan/plan", "at-work/finalize/finalize")


def test_admissions(explorers: Explorers) -> None:
    require(explorers, "waiting/retry/retry", "contended/automatic/admit", "admissible/cancel/admit")


def test_a_recovery_and_its_cancellation(explorers: Explorers) -> None:
    require(explorers, "recovering/advance/advance", "recovering/advance/cancel-recovery")
