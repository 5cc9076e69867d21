"""A recovery on the real state machines, over real HTTP."""

from typing import Any

from local_stack.processes import becomes_true
from roadmap_content.contracts.items import ContentType, Item
from tests.support.http_api import Api
from tests.support.machine import Machine


def broken(machine: Machine, count: int) -> list[Machine]:
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
