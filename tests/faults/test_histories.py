"""Many histories, each from its own seed; and those that once broke an invariant."""

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .histories import Histories

SEED = int(os.environ.get("FAULTS_SEED", "1"))
HISTORIES = int(os.environ.get("FAULTS_HISTORIES", "200"))
PORTION = 25
"""Histories of one test: they can be shared out, and a failure names a seed that is soon run again."""


@pytest.fixture(autouse=True)
def _here(database_url: str, bucket_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories take place in this test's database and bucket."""
    monkeypatch.setattr(Histories, "database_url", database_url, raising=False)
    monkeypatch.setattr(Histories, "bucket", bucket_name, raising=False)


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
