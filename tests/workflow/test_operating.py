"""The commands for many tasks, on the local stack: `--json` prints one document, and exit codes are
unchanged.
"""

import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import Result

from local_stack.errors import RefusedError
from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from roadmap_command.target import Target
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.contracts.items import ContentType, Item
from tests.support.machine import Machine

Roadmap = Callable[..., Result]


@pytest.fixture
def document(roadmap: Roadmap) -> Callable[..., Any]:
    """Runs a command with `--json`: stdout is one JSON document and nothing else."""

    def run(*arguments: str, code: int = 0) -> Any:
        result = roadmap(*arguments, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    return run


@pytest.fixture
def poisoned(machine: Machine) -> list[str]:
    """The concepts of a task after its run; one quiz is not JSON."""
    ids = machine.load(2)
    machine.stage(Item(ids[0], ContentType.QUIZ), b"{")
    assert machine.run()["status"] == "FAILED"
    return ids


Document = Callable[..., Any]


def test_heal_previews_a_filter_and_follows_the_recovery(
    machine: Machine, poisoned: list[str], roadmap: Roadmap, document: Document
) -> None:
    heal = ("heal", "-q", machine.task_id, "--reason", "unreadable quizzes", "--rate", "6000")
    preview = document(*heal, "--dry-run")
    assert (preview["dry_run"], preview["tasks"]) == (True, 1)
    assert "1 task: 0 items to save, 1 to generate" in roadmap(*heal, "--dry-run").stdout
    with pytest.raises(RefusedError, match="not started"):
        roadmap(*heal, stdin="n\n")
    assert [row["attempt"] for row in document("show", machine.task_id)["attempts"]] == [1]

    healed = document(*heal, "--canary", "1", "--budget", "100000", "--yes")
    assert (healed["state"], healed["counts"]["recovered"]) == ("completed", 1)
    assert (healed["canary"], healed["token_budget"], healed["reason"]) == (1, 100000, "unreadable quizzes")

    newest, _ = document("show", machine.task_id)["attempts"]
    assert (newest["actor"], newest["cause"]) == (f"recovery:{healed['recovery_id']}", "recovery")
    assert f"recovery:{healed['recovery_id']}" in roadmap("show", machine.task_id).stdout

    assert healed["recovery_id"] in [row["recovery_id"] for row in document("recoveries")["items"]]
    one = document("recoveries", healed["recovery_id"], "--result", "recovered")
    assert [task["task_id"] for task in one["tasks"]] == [machine.task_id]
    assert document("recoveries", healed["recovery_id"], "--result", "refused")["tasks"] == []
    assert machine.task_id in roadmap("recoveries", healed["recovery_id"]).stdout
    with pytest.raises(ApiRefusedError, match="selects no task"):
        roadmap(*heal, "--error", "NoSuchCode", "--yes")


def test_healing_exits_1_if_a_task_still_fails(
    machine: Machine, poisoned: list[str], document: Document
) -> None:
    machine.execute(
        "UPDATE roadmap_metadata SET deleted_at = now() WHERE roadmap_id = :id", id=machine.roadmap_id
    )
    heal = ("heal", "-q", machine.task_id, "--reason", "why", "--yes")
    healed = document(*heal, code=1)
    assert healed["counts"]["refused"] == 1


def test_a_running_task_is_watched_to_its_end(
    machine: Machine, roadmap: Roadmap, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.load(1)
    monkeypatch.setattr("roadmap_command.commands.operate.PENDING_SECONDS", 0)
    assert roadmap("watch", machine.task_id).exit_code == 1  # never run: everything is missing
    polls = []
    with ExitStack() as held:
        holding = held.enter_context(machine.holding())
        arn = machine.start()
        assert becomes_true(lambda: bool(processes_waiting_for(holding)), 600)

        def poll(seconds: float) -> None:
            """Let the attempt end after the first poll."""
            polls.append(seconds)
            held.close()
            machine.wait(arn)

        monkeypatch.setattr(
            "roadmap_command.commands.operate.time", SimpleNamespace(sleep=poll, monotonic=time.monotonic)
        )
        watched = document("watch", machine.task_id)
    assert (watched["status"], watched["live"], len(polls)) == ("completed", False, 1)
    with pytest.raises(ApiRefusedError, match="completed"):
        roadmap("cancel", machine.task_id)


def test_a_task_is_cancelled_with_a_reason(machine: Machine, roadmap: Roadmap, document: Document) -> None:
    machine.load(1)
    cancelled = document("cancel", machine.task_id, "--reason", "the course is withdrawn")
    assert cancelled["status"] == "cancelled"
    assert machine.status().error_message == "Cancelled by operator: the course is withdrawn"
    assert "cancelled" in roadmap("cancel", machine.task_id).stdout


def test_the_doctor_lists_what_a_person_should_check(
    roadmap: Roadmap, document: Document, target: Target
) -> None:
    target.invoke("ReconcileTaskFunction", {})
    for failing in document("failures")["items"]:  # of other tests
        roadmap("failures", failing["group_id"], "--acknowledge", "a person knows it")
    health = document("doctor")
    assert (health["status"], health["attention"]) == ("ok", [])
    well = roadmap("doctor")
    assert (well.exit_code, "nothing needs attention" in well.stdout) == (0, True)
    with target.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE content_sweeps SET swept_at = swept_at - interval '1 hour'")
    overdue = document("doctor", code=1)
    assert [found["what"] for found in overdue["attention"]] == ["sweep_overdue"]
    ill = roadmap("doctor")
    assert ill.exit_code == 1
    assert f"see {overdue['attention'][0]['runbook']}" in ill.stdout
    assert re.search("begin with: .* reconcile$", ill.stdout, re.MULTILINE)
