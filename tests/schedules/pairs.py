"""The pairs that notice the removal of a guard, for `make mutants`; `make schedules` explores all."""

from tests.schedules.explorer import Explorers


def require(explorers: Explorers, *pairs: str) -> None:
    """Explore pairs such as `failed/retry/redrive`, and require that nothing is wrong."""
    for pair in pairs:
        situation, first, second = pair.split("/")
        found = explorers(situation).explore(first, second, most=1)
        assert not found.violations, str(found.violations[0])
        assert found.schedules > 1


def test_requests_to_start(explorers: Explorers) -> None:
    require(explorers, "failed/retry/retry", "failed/retry/redrive", "failed/redrive/redrive")


def test_a_request_and_an_execution_that_arrives(explorers: Explorers) -> None:
    require(explorers, "arrived/plan/retry", "arrived/cancel/plan")


def test_a_start_that_was_not_confirmed(explorers: Explorers) -> None:
    require(explorers, "claimed/retry/admit", "redriving/retry/event")


def test_a_cancel_and_the_end_of_a_run(explorers: Explorers) -> None:
    require(explorers, "at-work/cancel/finalize", "regenerating/cancel/finalize")


def test_a_cancel_and_a_batch(explorers: Explorers) -> None:
    require(
        explorers, "at-work/cancel/generate", "at-work/cancel/save-another", "regenerating/cancel/generate"
    )


def test_a_cancellation_and_a_claim(explorers: Explorers) -> None:
    require(
        explorers,
        "fresh/plan/cancel",
        "arrived/plan/product-cancel",
        "arrived/cancel/plan",
        "redriven/cancel/await-redrive",
        "replaced/cancel/regenerate",
        "contended/automatic/cancel",
    )


def test_a_cancel_and_the_product(explorers: Explorers) -> None:
    require(explorers, "regenerating/cancel/product-cancel", "replaced/cancel/take-over")


def test_a_retry_and_a_restore(explorers: Explorers) -> None:
    require(explorers, "cancelled/retry/restore")


def test_a_late_end_and_the_next_attempt(explorers: Explorers) -> None:
    require(
        explorers,
        "stopped/retry/finalize",
        "stopped/retry/redrive",
        "stopped/event/plan",
        "redriven/event/await-redrive",
    )


def test_the_end_of_a_run_and_other_writes(explorers: Explorers) -> None:
    require(explorers, "at-work/finalize/save-another", "at-work/finalize/edit")


def test_the_end_of_a_run_and_its_counts(explorers: Explorers) -> None:
    require(explorers, "at-work/generate/finalize", "at-work/plan/finalize", "at-work/plan/save-another")


def test_steps_that_are_delivered_twice(explorers: Explorers) -> None:
    require(explorers, "at-work/generate/generate", "at-work/plan/plan", "at-work/finalize/finalize")


def test_admissions(explorers: Explorers) -> None:
    require(
        explorers,
        "waiting/retry/retry",
        "contended/automatic/admit",
        "admissible/cancel/admit",
        "replanned/admit/release",
        "replanned/cancel/event",
    )


def test_a_recovery_and_its_cancellation(explorers: Explorers) -> None:
    require(explorers, "recovering/advance/advance", "recovering/advance/cancel-recovery")
