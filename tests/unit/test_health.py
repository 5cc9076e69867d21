"""The health endpoint refers to a section of the runbook for everything that a person should check."""

from datetime import UTC, datetime, timedelta

import pytest

from roadmap_content.api.health import attention_for, is_sweep_overdue
from roadmap_content.contracts.api.capacity import GenerationStop
from roadmap_content.runs.reconciliation.sweeps import Sweep
from tests.support.anchors import anchors

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def swept(minutes_ago: int, refused: int = 0) -> Sweep:
    at = NOW - timedelta(minutes=minutes_ago)
    return Sweep(at, 1.0, checked=10, repaired=0, refused=refused, finished=True, places={})


def test_a_healthy_system_needs_no_attention() -> None:
    assert attention_for(sweep=swept(5), outbox=1_000) == []


def test_every_finding_is_in_the_runbook() -> None:
    found = [
        *attention_for(stuck=1, sweep=swept(5, refused=1), outbox=1_001, aside=1),
        *attention_for(overdue=True, sweep=swept(21, refused=1)),
        *attention_for(
            sweep=swept(1)._replace(held="3 roadmaps have no quiz any more"),
            halted=True,
            ahead=timedelta(hours=8),
            stop=GenerationStop(since=NOW, reason="the bill"),
            differences=1,
            of_capabilities={"failure_groups": 2, "erasures_unfinished": 1, "recoveries_paused": 1},
        ),
    ]
    assert [attention.what for attention in found] == [
        "stuck_tasks", "sweep_refused", "outbox", "outbox_aside", "sweep_overdue",
        "recoveries_paused",
        "database", "sweep_held", "generation_stopped", "time_zone", "failure_groups", "queue_halted",
        "erasures_unfinished",
    ]  # fmt: skip
    for attention in found:
        path, _, anchor = attention.runbook.partition("#")
        assert anchor in anchors(path), attention


@pytest.mark.parametrize(
    ("sweep", "has_old_attempts", "overdue"),
    [
        (None, False, False),  # directly after the first deployment, or without a task yet
        (None, True, True),
        (swept(20), True, False),
        (swept(21), True, True),
        (swept(21), False, True),  # it was swept once, and so it has a schedule
    ],
)
def test_a_sweep_is_overdue(sweep: Sweep | None, has_old_attempts: bool, overdue: bool) -> None:
    assert is_sweep_overdue(sweep, NOW, has_old_attempts=has_old_attempts) == overdue
