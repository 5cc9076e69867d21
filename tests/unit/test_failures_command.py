"""`roadmap failures` and `doctor`: each states the next step, once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from roadmap_command.commands.doctor import FIRST
from roadmap_command.views import next_step
from roadmap_content.api.health import FINDINGS
from roadmap_content.contracts.api.turn import Turn
from roadmap_content.contracts.states import Who
from tests.support.openapi import example
from tests.unit.conftest import Api, Roadmap

REMEDY = "Check the model's id, its access and its limits, then retry."


def test_a_remedy_that_is_the_next_step_is_printed_once(roadmap: Roadmap) -> None:
    turn = {"who": "person", "at": None, "why": REMEDY}
    changes = {"remedy": "person", "remedy_text": REMEDY, "turn": turn}
    group = example("FailureGroup", **changes)
    assert roadmap(Api({"items": [group], "next_cursor": None}), "failures").stdout.count(REMEDY) == 1
    detail = example("FailureGroupDetail", **changes, recoveries=[])
    assert roadmap(Api(detail), "failures", "fb32161eef30e8a7").stdout.count(REMEDY) == 1
    detail["turn"]["why"] = "Start a recovery, or ignore it."
    assert REMEDY in roadmap(Api(detail), "failures", "fb32161eef30e8a7").stdout


def test_what_has_failed_and_healed_is_printed_with_what_has_healed_it(roadmap: Roadmap) -> None:
    """Regression: after a night in which everything healed, the command had nothing."""
    causes = {"automatically": 90, "by_recovery": 10, "by_person": 0}
    healed = example("HealedGroup", error_code="ModelBusy", failed=100, **causes)
    hour = example("FailureHour", failed=100, still=0)
    api = Api({"since": "2026-12-02T14:00:00Z", "hours": [hour], "healed": [healed]})
    said = roadmap(api, "failures", "--days", "7").stdout
    assert api.sent == [("GET", "/failure-hours", None, {"days": "7"})]
    for part in (
        "100 items failed\n",
        "healed  100 items failed  ModelBusy",
        "90 items automatically, 10 items by a",
    ):
        assert part in said
    assert "still missing" not in said
    api = Api({"since": "2026-12-02T14:00:00Z", "hours": [], "healed": []})
    assert (
        roadmap(api, "failures", "--days", "1").stdout == "Nothing has failed since 2026-12-02T14:00:00Z.\n"
    )


@pytest.mark.parametrize(
    ("kind", "command"),
    [("trigger_missing", "invoke migrate_database"), ("column_type", "capacity --stop"), ("rows_hidden", "")],
)
def test_a_difference_of_the_database_has_its_first_command(
    kind: str, command: str, roadmap: Roadmap
) -> None:
    found: dict[str, Any] = {"kind": kind, "object": "quiz_metadata", "message": "why"}
    attention = [{"what": "database", "text": "Differences: 1.", "runbook": "docs/runbook.md#x"}]
    health = example("Health", status="attention", attention=attention, database=[found])
    health["queue"]["slots"] = 1
    said = roadmap(Api(health), "doctor").stdout
    assert ", 1 slot\n" in said
    assert (command in said.partition("begin with: ")[2]) if command else "begin with" not in said


def test_every_finding_but_those_for_the_deployment_has_a_first_command() -> None:
    assert set(FINDINGS) - set(FIRST) == {
        "database_unavailable", "database", "time_zone", "outbox_aside", "erasures_unfinished"
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "is_lost"), [(30, False), (330, True)])
def test_a_run_without_a_sign_says_for_how_long(seconds: int, is_lost: bool) -> None:
    at = datetime.now(UTC) - timedelta(seconds=seconds)
    said = str(next_step(Turn(who=Who.RUNNING, at=at, why="An attempt is at work.")))
    assert said.startswith("next: running, last sign at ")
    assert ("No sign of the run for 5 minutes: roadmap reconcile" in said) is is_lost
