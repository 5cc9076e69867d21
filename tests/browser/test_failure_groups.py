"""Failure groups with a memory: decided about in the page, and the whole life of one."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from roadmap_content.contracts.items import ContentType
from tests.browser.driver import Console
from tests.browser.real_api import RealApi
from tests.browser.tasks import concept, load, stage
from tests.browser.texts import HOSTILE
from tests.support.factories import quiz

pytestmark = pytest.mark.nightly


def test_failures_of_a_day_and_of_a_week_are_a_chart_with_axis_unit_and_text(console: Console) -> None:
    page = console.page
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [
        {"hour": (now - timedelta(hours=ago)).isoformat(), "failed": failed, "still": still}
        for ago, failed, still in ((2, 8, 0), (0, 5, 3))
    ]
    history = {"since": now.isoformat(), "hours": hours, "healed": []}
    page.route("**/failure-hours*", lambda route: route.fulfill(json=history))
    console.open("/failures")
    name = re.compile("^Failed items per hour: .*: healed 8; .*still missing 3, healed 2")
    chart = page.get_by_role("img", name=name)
    expect(chart).to_have_count(1)
    expect(chart.locator("g")).to_have_count(24)
    expect(chart.locator("g title").last).to_contain_text("still missing 3, healed 2")
    expect(page.locator(".chart .most")).to_have_text("8")
    expect(page.locator(".chart time")).to_have_count(2)
    page.get_by_role("button", name="7 days").click()
    expect(page.locator(".chart")).to_contain_text("Failed items per 6 hours")


def test_the_last_day_on_health_is_charts_with_axis_unit_hover_and_text(console: Console) -> None:
    page = console.page
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    nothing = dict.fromkeys(("waiting", "at_work", "saved", "failed", "spent"), 0)
    hours = [{"hour": (now - timedelta(hours=ago)).isoformat(), **nothing} for ago in range(23, -1, -1)]
    hours[0] |= {"waiting": 7, "at_work": 3, "saved": 1200, "failed": 40, "spent": 90_000}
    hours[22] |= {"waiting": 2, "at_work": 1, "saved": 10, "spent": 500}
    page.route("**/health/hours", lambda route: route.fulfill(json={"hours": hours}))
    console.open("/health")
    for name, most, first in (
        ("Items per hour", "1,240", "saved 1,200, failed 40"),
        ("Tokens per hour", "90,000", "90,000"),
        ("Waiting attempts, most at once", "7", "7"),
        ("Attempts at work, most at once", "3", "3"),
    ):
        chart = page.locator(".chart", has_text=name)
        expect(chart.get_by_role("img", name=re.compile(f"^{name}: .*: {first}; "))).to_be_visible()
        expect(chart.locator(".most")).to_have_text(most)
        expect(chart.locator(".least")).to_have_text("0")
        expect(chart.locator("time")).to_have_count(2)
        column = chart.locator("g").first
        expect(column.locator("title")).to_contain_text(first)
        column.hover()
        expect(column.locator(".hover")).not_to_have_css("fill", "rgba(0, 0, 0, 0)")
    assert console.axe() == []


def test_a_group_is_acknowledged_healed_comes_back_and_rings_and_an_ignored_one_does_not(
    console: Console, api: RealApi
) -> None:
    page = console.page
    group = page.locator(".group", has_text="glossary holds a NUL character")  # no other test makes it

    def state() -> Locator:
        console.open("/failures")
        expect(group).to_have_count(1)
        return group.locator(".pill")

    def ringing() -> int:
        """The number of groups that the health endpoint calls a person for."""
        groups = api.send("GET", "/health")["failure_groups"]
        return int(groups["new"]) + int(groups["regressed"])

    others = ringing()
    _fail(api, "memory-1")
    assert set(state().all_inner_texts()) <= {"new"}  # no group says so if all are
    assert ringing() == others + 1
    _decide(page, group, "acknowledged", HOSTILE)
    expect(group.locator(".pill")).to_have_text("acknowledged")
    expect(group).to_contain_text("<img src=x")
    assert page.title() != "run"
    assert ringing() == others

    api.send("POST", "/tasks/memory-1/retry")
    api.play("memory-1")
    console.open("/failures")
    expect(page.locator(".group").first).to_be_visible()
    expect(group).to_have_count(0)
    # The morning after: pale, and by whom it was healed.
    healed = page.locator(".healed > li", has_text="at glossary")
    expect(healed).to_contain_text("1 failed")
    expect(healed).to_contain_text("1 item by a person's retry")
    assert console.axe() == []
    _fail(api, "memory-2")
    expect(state()).to_have_text("came back")
    assert ringing() == others + 1

    _decide(page, group, "ignored", "a known fault")
    expect(group.locator(".pill")).to_have_text("ignored")
    _fail(api, "memory-3")
    expect(state()).to_have_text("ignored")
    expect(group).not_to_contain_text("Needs a person")
    assert ringing() == others
    expect(group).to_contain_text("in 2 tasks")
    page.get_by_role("button", name="Without a decision").click()
    expect(group).to_have_count(0)


def _decide(page: Page, group: Locator, state: str, note: str) -> None:
    group.get_by_role("button", name="Decide…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Decision").select_option(state)
    dialog.get_by_label("Reason").fill(note)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def _fail(api: RealApi, task_id: str) -> None:
    """Run a task with a quiz that cannot be saved; its next attempt generates it again."""
    pipeline = load(api, task_id, "A course", concepts=2)
    own = concept(task_id, 2)
    stage(pipeline, own, ContentType.QUIZ, quiz(own, glossary="\x00"))
    api.executions.begin(task_id)
    api.play(task_id)
