"""Many histories, each from its own seed; and those that once broke an invariant."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.histories import Histories
from tests.faults.world import Scene

SEED = int(os.environ.get("FAULTS_SEED", "1"))
HISTORIES = int(os.environ.get("FAULTS_HISTORIES", "200"))
PORTION = 25
"""Histories of one test: they can be shared out, and a failure names a seed that is soon run again."""


@pytest.fixture(autouse=True)
def _scene(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Histories take place in this test's database and bucket."""
    scene = Scene(database_url, "content")
    monkeypatch.setattr(Histories, "scene", scene, raising=False)
    yield
    scene.close()


@pytest.mark.parametrize("number", range(SEED, SEED + HISTORIES // PORTION), ids="seed_{}".format)
def test_histories(number: int) -> None:
    """At every step what must hold at any time; in the end one reconcile, and one retry that heals."""
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


def test_counts_follow_a_concept_that_the_product_removes() -> None:
    """The summary and the message went on counting it: only status and failed_concepts were compared."""
    state = Histories()
    state.load(count=2, staged=set(), batch_size=1)
    state.retry_twice()
    state.run_to_its_end(number=0)
    state.remove_a_concept(concept_id="r-1:c-1-1-1")
    state.teardown()


def test_a_plan_that_is_delivered_twice_leaves_the_batches_of_the_first_readable() -> None:
    """The second missed less, and was written over the first: the batches' bytes were other bytes then."""
    state = Histories()
    state.load(count=1, staged=set(), batch_size=1)
    state.retry(strike=None)
    state.advance(number=0, steps=3)
    state.plan_late(number=0)
    state.run_to_its_end(number=0)
    assert state.untried == set()
    state.teardown()


def test_a_task_that_is_cancelled_before_its_run_is_lost_is_accounted_for() -> None:
    """The sweep looked at tasks that were processing, and at finished ones; cancelled was neither."""
    state = Histories()
    state.load(count=1, staged=set(), batch_size=1)
    state.retry(strike=None)
    state.cancel()
    state.teardown()
