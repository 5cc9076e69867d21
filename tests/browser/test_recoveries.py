"""Recoveries of many tasks: the views and actions of an operator and of a viewer."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect

from tests.browser.driver import Console
from tests.browser.real_api import RealApi
from tests.browser.tasks import finish, outage

pytestmark = pytest.mark.nightly


@pytest.mark.parametrize(("recovered", "remaining"), [(4, re.compile("^4 h")), (0, "–")])
def test_the_remaining_time_of_a_recovery_is_measured(
    console: Console, api: RealApi, recovered: int, remaining: str | re.Pattern[str]
) -> None:
    """Regression: 16 waiting tasks, at the configured rate of 6,000 a minute, were "about 0 s"."""
    counts = {"recovered": recovered, "still_failing": 0, "refused": 0, "running": 0, "waiting": 16}
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    path = f"/recoveries/{api.recoveries['running']}"
    console.alter(
        f"**{path}", lambda body: body.update(started_at=an_hour_ago, counts={**counts, "total": 20})
    )
    console.open(path)
    fact = console.page.locator(".facts > div", has_text="Remaining, about")
    expect(fact.locator("dd")).to_have_text(remaining)


def test_an_operator_recovers_many_tasks_with_canary_pause_and_resume(console: Console, api: RealApi) -> None:
    tasks = outage(api, "outage", 12)
    page = console.page
    console.open("/tasks?q=outage-&status=failed")
    page.get_by_role("button", name="Heal all 12 that match").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".tiles")).to_contain_text("12tasks")
    dialog.get_by_label("Reason").fill("after the outage")
    dialog.get_by_label("Canary tasks").fill("5")
    dialog.get_by_label("Tasks per minute").fill("600")
    dialog.get_by_role("button", name="Start the recovery").click()

    expect(page.get_by_role("heading", name="after the outage")).to_be_visible()
    recovery_id = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".task-head .pill")).to_have_text("paused")
    assert api.send("GET", f"/recoveries/{recovery_id}")["state"] == "paused"
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
