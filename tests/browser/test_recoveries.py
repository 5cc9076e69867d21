"""Recoveries of many tasks: the views and actions of an operator and of a viewer."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.driver import Console
from tests.browser.real_api import RealApi
from tests.browser.tasks import finish, outage, recover, waiting
from tests.browser.test_story import RECORD, contradictions

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize(
    ("least", "most", "remaining"),
    [(600, 1_190, "10 min to 20 min"), (590, 595, "10 min"), (None, None, "unknown until five tasks")],
)
def test_a_recovery_shows_its_progress_over_time_and_an_estimate_only_of_what_was_measured(
    console: Console, api: RealApi, least: int | None, most: int | None, remaining: str
) -> None:
    """Regression: after one of twenty tasks, the rest took "about 23 min 4 s", and then 32 minutes."""
    begin = datetime.now(UTC) - timedelta(hours=1)
    ended = [((begin + timedelta(minutes=k)).isoformat(), 1 + n) for n, k in enumerate((5, 20, 20))]
    progress = {"ended": ended, "least_seconds": least, "most_seconds": most}
    path = f"/recoveries/{api.recoveries['running']}"
    console.alter(f"**{path}", lambda body: body.update(started_at=begin.isoformat(), progress=progress))
    console.open(path)
    chart = console.page.get_by_role("img", name=re.compile("^Ended tasks: .* 1 of 20 .* 3 of 20 "))
    expect(chart).to_be_visible()
    expect(chart.locator("g title").last).to_contain_text("3 of 20 tasks ended")
    expect(chart.locator("rect.state-S").last).to_be_visible()  # two tasks ended at once
    fact = console.page.locator(".facts > div", has_text="Remaining, about")
    expect(fact.locator("dd")).to_contain_text(remaining)


def test_an_operator_recovers_many_tasks_with_canary_pause_and_resume(console: Console, api: RealApi) -> None:
    tasks = outage(api, "outage", 12)
    page = console.page
    console.open("/tasks?q=outage-&status=failed")
    page.get_by_role("button", name="Heal all 12 that match").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".tiles")).to_contain_text("tasks12")
    dialog.get_by_label("Reason").fill("after the outage")
    assert [dialog.get_by_label(limit).input_value() for limit in ("Canary tasks", "Breaker")] == ["5", "10"]
    dialog.get_by_label("Canary tasks").fill("")  # nothing is not 0: the API has its own number
    dialog.get_by_label("Tasks per minute").fill("600")
    dialog.get_by_role("button", name="Start the recovery").click()

    expect(page.get_by_role("heading", name="after the outage")).to_be_visible()
    recovery_id = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".task-head .pill")).to_have_text("paused")
    recovery = api.send("GET", f"/recoveries/{recovery_id}")
    assert [recovery[name] for name in ("state", "canary", "breaker")] == ["paused", 5, 10]
    assert console.axe() == []
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    finish(api, recovery_id, tasks)
    expect(page.locator(".task-head .pill")).to_have_text("ended")
    expect(page.locator(".legend")).to_contain_text("recovered 12")
    page.get_by_role("button", name="recovered").click()
    page.locator("td.main a").first.click()
    expect(page.locator(".attempt").first).to_contain_text("recovery")
    assert console.axe() == []


def test_a_task_tells_one_story_while_its_recovery_is_paused_and_cancelled(
    console: Console, api: RealApi
) -> None:
    """Regression: an attempt that waits was "running, being planned" while its recovery was paused."""
    page = console.page
    (task_id,) = outage(api, "of-a-recovery", 1)
    with waiting(api, "before-it"):  # there is no slot
        recovery_id = recover(api, "an outage", [task_id], canary=0)
        console.open(f"/tasks/{task_id}")
        console.settled()
        page.evaluate(RECORD)
        for action in ("pause", "resume", "pause", "cancel"):
            api.send("POST", f"/recoveries/{recovery_id}/{action}")
            with page.expect_response(re.compile("/attempts")):
                pass
        expect(page.locator(".attempt .pill")).to_have_text("cancelled")
    moments = [json.loads(each) for each in page.evaluate("window.moments")]
    assert "\n".join(f"{found}: {shown}" for shown in moments if (found := contradictions(shown))) == ""
