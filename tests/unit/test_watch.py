"""`roadmap watch` follows a task that is still pending after its first run has been requested."""

import re
from typing import Any

import pytest

from roadmap_command.commands import operate
from tests.support.openapi import example
from tests.unit.conftest import Api, Roadmap


def task(status: str, saved: int, *, live: bool = False) -> dict[str, Any]:
    progress = {"quiz": {"total": 2, "saved": saved, "missing": 2 - saved, "generated": 0}}
    attempt = 0 if status == "pending" else 1
    changed = {"status": status, "attempt": attempt, "live": live, "progress": progress}
    return example("TaskDetail", **changed, queue=None, generation_stopped=None, skipped_concepts=[])


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operate, "POLL_SECONDS", 0)


def test_a_run_that_has_not_claimed_its_attempt_yet_is_waited_for(roadmap: Roadmap) -> None:
    states = [task("pending", 0)] * 3 + [task("processing", 1, live=True), task("completed", 2)]
    result = roadmap(Api(*states), "watch", "t-1")
    assert "attempt 1: complete, 2 of 2 items are saved" in result.stderr
    assert result.exit_code == 0


def test_a_task_that_nobody_starts_is_not_waited_for_forever(
    roadmap: Roadmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operate, "PENDING_SECONDS", 0.05, raising=False)
    result = roadmap(Api(task("pending", 0)), "watch", "t-1")
    state, hint = result.stderr.splitlines()
    assert state == "attempt 0: pending, 0 of 2 items are saved"
    assert re.fullmatch(r"no attempt has started; start one with: \S+ run t-1", hint)
    assert result.exit_code == 1


def test_a_task_with_missing_items_and_no_attempt_ends_at_once(roadmap: Roadmap) -> None:
    result = roadmap(Api(task("partial_failure", 1), task("completed", 2)), "watch", "t-1")
    assert "incomplete, 1 of 2" in result.stderr
    assert result.exit_code == 1
