"""A recovery on the real state machines, over real HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from local_stack.builds import REPOSITORY
from local_stack.errors import RefusedError
from local_stack.processes import becomes_true
from roadmap_content.contracts.items import ContentType, Item
from tests.support.http_api import Api
from tests.support.machine import Machine


def broken(machine: Machine, count: int) -> list[Machine]:
    """Tasks with one unreadable quiz each."""
    machines = [machine.another() for _ in range(count)]
    for one in machines:
        ids = one.load(2)
        one.stage(Item(ids[0], ContentType.QUIZ), b"{")
        assert one.run()["status"] == "FAILED"
    return machines


def test_one_request_retries_many_tasks(machine: Machine) -> None:
    machines = broken(machine, 4)
    api = Api.of_operator(machine.target)
    task_ids = [one.task_id for one in machines]
    groups = api.send("GET", "/failures", error_code="InvalidContent").body["items"]
    assert sum(group["tasks"] for group in groups) >= len(machines)
    body = {
        "filter": {"task_ids": task_ids},
        "reason": "unreadable quizzes",
        "rate_per_minute": 6_000,
        "canary": 1,
    }
    preview = api.send("POST", "/recoveries", body | {"dry_run": True})
    assert (preview.status, preview.body["tasks"]) == (200, len(machines))
    created = api.send("POST", "/recoveries", body)
    assert created.status == 201, created
    path = f"/recoveries/{created.body['recovery_id']}"
    seen: dict[str, Any] = {}

    def is_over() -> bool:
        seen.update(api.send("GET", path).body)
        return seen["ended_at"] is not None

    assert becomes_true(is_over, 600), seen
    assert (seen["state"], seen["counts"]["recovered"]) == ("completed", len(machines))
    for one in machines:
        attempts = api.send("GET", f"/tasks/{one.task_id}/attempts").body["items"]
        assert [attempt["cause"] for attempt in attempts] == ["recovery", "first_run"]
        assert attempts[0]["actor"] == f"recovery:{created.body['recovery_id']}"
        one.require_invariants()


def test_a_recovery_is_paused_resumed_and_cancelled_by_command(
    machine: Machine, roadmap: Callable[..., Result]
) -> None:
    """One task a minute: the second one waits."""
    machines = broken(machine, 2)
    api = Api.of_operator(machine.target)
    body = {"filter": {"task_ids": [one.task_id for one in machines]}, "reason": "r", "rate_per_minute": 1}
    recovery_id = api.send("POST", "/recoveries", body).body["recovery_id"]

    def change(*command: str) -> dict[str, Any]:
        changed: dict[str, Any] = json.loads(roadmap(*command, "--json").stdout)
        return changed

    assert change("pause", recovery_id)["state"] == "paused"
    assert "paused" in roadmap("recoveries", recovery_id).stdout
    assert change("resume", recovery_id)["state"] in ("waiting", "running")
    cancelled = change("cancel", "--recovery", recovery_id)
    assert cancelled["state"] == "cancelled"
    assert cancelled["counts"]["refused"] + cancelled["counts"]["running"] >= 1
    path = f"/recoveries/{recovery_id}"
    assert becomes_true(lambda: api.send("GET", path).body["ended_at"] is not None, 120)
    with pytest.raises(RefusedError, match="409"):
        roadmap("resume", recovery_id)


def test_the_scope_decides_who_creates_a_recovery(machine: Machine) -> None:
    body = {"filter": {"status": ["failed"]}, "reason": "r"}
    for scope in ("", "content:view"):
        api = Api.of_operator(machine.target)
        api.token = machine.stack.token("somebody", scope)
        assert api.send("POST", "/recoveries", body).status == 403
    api = Api.of_operator(machine.target)
    assert api.send("GET", "/me").body["roles"] == ["operator", "owner"]
    assert api.send("GET", "/health").status == 200
    api.token = ""
    assert api.send("GET", "/tasks").status == 401


def test_no_endpoint_answers_without_a_token(machine: Machine) -> None:
    """API Gateway and the authorizer refuse, before any function of the API."""
    machine.load(1)
    api = Api.of_operator(machine.target)
    document = json.loads((REPOSITORY / "docs" / "openapi.json").read_text())
    names = {
        "task_id": machine.task_id,
        "content_type": "quiz",
        "recovery_id": "rec-1",
        "revision_id": "1",
        "group_id": "0" * 16,
        "attempt": "1",
    }
    asked = [
        (method.upper(), path.removeprefix("/api/v1").format(**names))
        for path, methods in document["paths"].items()
        for method in methods
    ]
    assert len(asked) >= 17
    for token in ("", "not a token", machine.stack.token("somebody", "").rpartition(".")[0] + ".forged"):
        api.token = token
        statuses = {(method, path): api.send(method, path).status for method, path in asked}
        assert statuses == dict.fromkeys(asked, 401)
