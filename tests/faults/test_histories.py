"""Random histories, one seed per test, and regression tests of histories that broke an invariant."""

import os
from collections.abc import Iterator
from math import ceil

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.histories import Histories
from tests.faults.world import Scene
from tests.support.product_schema import CONCEPT_METADATA

SEED = int(os.environ.get("FAULTS_SEED", "1"))
HISTORIES = int(os.environ.get("FAULTS_HISTORIES", "200"))
PORTION = 25
"""Histories per test. Tests can be distributed to workers, and a failing seed can be repeated quickly."""


@pytest.fixture(autouse=True)
def _scene(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database and bucket of the histories. The database has the product's `concept_metadata`."""
    scene = Scene(database_url, "content")
    with scene.aside.engine.begin() as connection:
        connection.exec_driver_sql(f"{CONCEPT_METADATA}; GRANT ALL ON concept_metadata TO PUBLIC")
    monkeypatch.setattr(Histories, "scene", scene, raising=False)
    yield
    scene.close()


@pytest.mark.parametrize("number", range(SEED, SEED + ceil(HISTORIES / PORTION)), ids="seed_{}".format)
def test_histories(number: int) -> None:
    """Checks the invariants after every step; at the end one reconcile, and one retry that completes the
    task.
    """
    run_state_machine_as_test(
        seed(number)(Histories),
        settings=settings(
            max_examples=PORTION,
            stateful_step_count=20,
            deadline=None,
            database=None,
            print_blob=True,
            report_multiple_bugs=False,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_failures_are_recorded_for_a_cancelled_task_whose_execution_is_lost() -> None:
    """Regression: the sweep selected tasks that were processing or finished, but not cancelled ones."""
    state = Histories()
    state.load(count=1, staged=set(), batch_size=1)
    state.retry(strike=None)
    state.cancel()
    state.teardown()


def test_an_attempt_with_the_same_outcome_as_the_previous_one_is_closed() -> None:
    """Regression (seed 9000030): nothing in the task's row changed, so the attempt was not closed."""
    state = Histories()
    state.load(count=1, staged=set(), batch_size=1)
    state.retry(strike=None)
    state.cancel()
    state.run_to_its_end(number=0)
    state.retry_twice()
    state.cancel()
    state.teardown()
