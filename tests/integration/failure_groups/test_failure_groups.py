"""Failure groups remember the decisions about them; only new and regressed ones call a person."""

import json
from typing import Any

import pytest

from roadmap_content.capabilities.failure_groups.sums import ADD_TO_GROUPS
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from tests.integration.conftest import Send
from tests.support.factories import bundle_of, concept_ids, quiz
from tests.support.pipeline import Pipeline


@pytest.fixture
def send(operate: Send) -> Send:
    return operate


def outage(pipeline: Pipeline, number: int = 1, note: str = "\x00") -> None:
    """A task's run with a quiz that fails; the next run heals it."""
    ids = concept_ids(2, f"r-{number}")
    pipeline.task_id = f"t-{number}"
    pipeline.load(bundle_of(ids, roadmap_id=f"r-{number}", task_id=f"t-{number}"))
    pipeline.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1], note=note)).encode())
    pipeline.run()


def heal(pipeline: Pipeline, number: int, cause: str = "retry") -> None:
    """A task's next run, which has this cause."""
    pipeline.task_id = f"t-{number}"
    run = pipeline.start()
    while run.outcome is None:
        run.step(pipeline.services, Deadline.after(600))
        pipeline.execute("UPDATE content_attempts SET cause = :cause WHERE ended_at IS NULL", cause=cause)


def the_group(send: Send) -> dict[str, Any]:
    (group,) = send("GET", "/failures").body["items"]
    assert isinstance(group, dict)
    return group


def rings(send: Send) -> bool:
    """Whether the health endpoint calls a person because of a failure group."""
    health = send("GET", "/health").body
    return "failure_groups" in [found["what"] for found in health["attention"]]


def change(send: Send, group_id: str, state: str, **more: Any) -> dict[str, Any]:
    answer = send("PUT", f"/failures/{group_id}", {"state": state, "note": f"{state}, because", **more})
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.body
    return found


def test_a_group_is_new_acknowledged_healed_and_regressed_and_rings_when_it_should(
    pipeline: Pipeline, send: Send
) -> None:
    assert not rings(send)
    outage(pipeline, 1)
    group = the_group(send)
    assert (group["state"], group["state_by"], rings(send)) == ("new", None, True)

    changed = change(send, group["group_id"], "acknowledged")
    assert (changed["state"], changed["state_by"], changed["note"]) == (
        "acknowledged",
        "operator:op",
        "acknowledged, because",
    )
    outage(pipeline, 2)  # more of the same
    assert (the_group(send)["state"], the_group(send)["tasks"], rings(send)) == ("acknowledged", 2, False)

    for number in (1, 2):
        heal(pipeline, number)
    assert send("GET", "/failures").body["items"] == []
    healed = send("GET", f"/failures/{group['group_id']}").body
    assert (healed["state"], healed["tasks"], healed["example"]) == ("resolved", 0, None)

    outage(pipeline, 3)
    assert (the_group(send)["state"], rings(send)) == ("regressed", True)
    assert send("GET", "/health").body["failure_groups"]["regressed"] == 1
    change(send, group["group_id"], "acknowledged")
    assert not rings(send)
    history = send("GET", f"/failures/{group['group_id']}").body["changes"]
    assert [(each["state"], each["actor"]) for each in history] == [("acknowledged", "operator:op")] * 2


def test_the_morning_after_shows_what_failed_at_night_and_by_whom_it_healed(
    pipeline: Pipeline, send: Send
) -> None:
    """Regression: after a healed night the list of failures is empty, and nothing shows its events."""
    healers = {"automatic": "automatically", "recovery": "by_recovery", "retry": "by_person"}
    for number in range(1, 6):
        outage(pipeline, number)
    for number, cause in enumerate(healers, start=1):
        heal(pipeline, number, cause)
    night = send("GET", "/failure-hours").body
    assert (sum(hour["failed"] for hour in night["hours"]), night["healed"]) == (5, [])
    assert sum(hour["still"] for hour in night["hours"]) == 2

    pipeline.task_id, pipeline.roadmap_id = "t-4", "r-4"
    ids = concept_ids(2, "r-4")
    pipeline.stage(Item(ids[1], ContentType.QUIZ), b"{")
    pipeline.run()  # fails for another reason: nothing is healed
    heal(pipeline, 5, "automatic")
    (group,) = send("GET", "/failure-hours").body["healed"]
    assert group["failed"] == 5
    assert {name: group[name] for name in healers.values()} == {
        "automatically": 2,
        "by_recovery": 1,
        "by_person": 1,
    }
    assert send("GET", f"/failures/{group['group_id']}").body["items"] == 0

    pipeline.execute("UPDATE content_failure_hours SET hour = hour - interval '3 days'")
    day, week = (send("GET", "/failure-hours", query={"days": days}).body for days in ("1", "7"))
    assert (day["hours"], day["healed"]) == ([], [])
    assert [each["group_id"] for each in week["healed"]] == [group["group_id"]]
    assert send("GET", "/failure-hours", query={"days": "8"}).status == 422
    assert send("GET", "/failure-hours", user_id="somebody", roles="owner").status == 403


def test_a_resolved_group_with_failures_left_is_silent_until_one_more_occurs(
    pipeline: Pipeline, send: Send
) -> None:
    outage(pipeline, 1)
    group_id = the_group(send)["group_id"]
    change(send, group_id, "resolved")
    assert (the_group(send)["state"], rings(send)) == ("resolved", False)
    outage(pipeline, 2)
    assert (the_group(send)["state"], rings(send)) == ("regressed", True)
    for number in (1, 2):
        heal(pipeline, number)
    assert send("GET", f"/failures/{group_id}").body["state"] == "resolved"


def test_an_ignored_group_counts_and_is_silent_until_its_limit(pipeline: Pipeline, send: Send) -> None:
    outage(pipeline, 1)
    group_id = the_group(send)["group_id"]
    change(send, group_id, "ignored")
    heal(pipeline, 1)
    outage(pipeline, 2)
    assert (the_group(send)["state"], the_group(send)["tasks"], rings(send)) == ("ignored", 1, False)
    assert send("GET", "/health").body["failure_groups"]["ignored"] == 1

    limited = change(send, group_id, "ignored", until_tasks=2)
    assert (limited["state"], limited["ignored_until_tasks"]) == ("ignored", 2)
    outage(pipeline, 3)
    assert (the_group(send)["state"], rings(send)) == ("new", True)

    assert change(send, group_id, "ignored", until="2999-01-01T00:00:00+08:00")["ignored_until"] == (
        "2998-12-31T16:00:00Z"
    )
    assert not rings(send)
    change(send, group_id, "ignored", until="2020-01-01T00:00:00Z")
    assert (the_group(send)["state"], rings(send)) == ("new", True)
    change(send, group_id, "ignored")
    assert change(send, group_id, "new")["state"] == "new"


def test_lists_select_groups_by_state_also_of_some_tasks(pipeline: Pipeline, send: Send) -> None:
    outage(pipeline, 1)
    outage(pipeline, 2)
    group_id = the_group(send)["group_id"]
    change(send, group_id, "ignored", until_tasks=3)

    def found(*states: str, **query: str) -> list[int]:
        page = send("GET", "/failures", query={"state": list(states), **query}).body
        return [group["tasks"] for group in page["items"]]

    assert (found("ignored"), found("new", "regressed")) == ([2], [])
    # The state follows from all tasks of the group, its counts from the selected ones.
    assert (found("ignored", q="t-1"), found("new", q="t-1")) == ([1], [])
    assert send("GET", "/failures", query={"state": "loud"}).status == 422


def test_a_group_shows_the_recoveries_that_were_for_it(pipeline: Pipeline, send: Send) -> None:
    outage(pipeline, 1)
    group_id = the_group(send)["group_id"]
    created = send("POST", "/recoveries", {"filter": {"group_id": group_id}, "reason": "fixed"}).body
    send("POST", "/recoveries", {"filter": {"error_code": "InvalidContent"}, "reason": "another"})
    shown = send("GET", f"/failures/{group_id}").body["recoveries"]
    assert [(each["recovery_id"], each["reason"]) for each in shown] == [(created["recovery_id"], "fixed")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "regressed", "note": "n"}, 422),
        ({"state": "acknowledged", "note": " "}, 422),
        ({"state": "acknowledged"}, 422),
        ({"state": "resolved", "note": "n", "until_tasks": 5}, 422),
        ({"state": "ignored", "note": "n", "until_tasks": 0}, 422),
        ({"state": "ignored", "note": "n", "until": "soon"}, 422),
        ({"state": "ignored", "note": "n", "until": "9999-12-31T23:00:00-02:00"}, 422),
        ({"state": "acknowledged", "note": "n"}, 404),
    ],
)
def test_a_change_that_has_no_meaning_is_refused(send: Send, body: object, status: int) -> None:
    assert send("PUT", "/failures/00ff", body).status == status


def test_the_sums_of_groups_are_written_in_the_order_of_the_groups(pipeline: Pipeline) -> None:
    """Otherwise two tasks that fail for the same reasons, found in another order, deadlock."""
    names = ["b", "c", "a"]
    group = {"error_code": "E", "stage": "save", "by_type": {"quiz": 1}, "reason": "r", "transient": False}
    seen = {"tasks": 1, "items": 1, "first_seen": "2026-01-01", "last_seen": "2026-01-01"}
    with pipeline.engine.begin() as connection:
        rows = [{"group_id": name, **group, **seen} for name in names]
        connection.execute(ADD_TO_GROUPS, {"groups": json.dumps(rows)})
    written = pipeline.rows("SELECT group_id FROM content_failure_groups ORDER BY ctid")
    assert [row["group_id"] for row in written] == sorted(names)
