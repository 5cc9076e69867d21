"""The scenario of the smoke test, on the local stack. Redrive is emulated from documentation there."""

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


def test_the_smoke_test_redrives_a_failed_execution_and_cleans_up(target: Target) -> None:
    redrives(target, USER)
    assert roadmaps(target) == 0


def test_the_smoke_test_reports_an_unexpected_result_and_cleans_up(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checks.smoke.follow_run", lambda *_: "SUCCEEDED")
    with pytest.raises(SmokeError, match="the run: SUCCEEDED, not FAILED"):
        redrives(target, USER)
    assert roadmaps(target) == 0
