"""The smoke test's own scenario, on the local stack: redrive is emulated from documentation there."""

import pytest
from sqlalchemy import text

from checks.smoke import SmokeError, redrives
from roadmap_command.target import Target
from tests.factories import USER


def roadmaps(target: Target) -> int:
    with target.engine.connect() as connection:
        return int(
            connection.scalar(text("SELECT count(*) FROM roadmap_metadata WHERE title = 'Smoke test'"))
        )


def test_a_failed_run_is_redriven_and_nothing_is_left(target: Target) -> None:
    redrives(target, USER)
    assert roadmaps(target) == 0


def test_a_stack_that_does_otherwise_is_told_and_nothing_is_left(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checks.smoke.follow_run", lambda *_: "SUCCEEDED")
    with pytest.raises(SmokeError, match="the run: SUCCEEDED, not FAILED"):
        redrives(target, USER)
    assert roadmaps(target) == 0
