"""Roles and recoveries on the real stack: the views and actions of an operator and of a viewer."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import text

from local_stack.stack import OPERATOR_SCOPE, VIEWER_SCOPE, LocalStack
from roadmap_command.target import Target
from tests.browser.driver import console_in

BROKEN = 60
LONG_MS = 900_000
"""The time limit for work of the whole stack. No test expects a duration."""

# The state after an outage: tasks that failed before anything was generated.
BROKEN_ROADMAPS = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at)
SELECT 'broken-' || n, 'user-' || mod(n, 7), 'Broken roadmap ' || n,
    CAST(replace(
        '{"stages": [{"name": "S", "modules": [{"name": "M", "concepts": [{"concept_id": "broken-#-c-1",'
        ' "name": "Concept", "description": "One."}]}]}]}', '#', CAST(n AS text)) AS json),
    timezone('utc', now())
FROM generate_series(1, :tasks) AS n
""")
BROKEN_TASKS = text("""
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, current_step, user_request, created_at,
    updated_at)
SELECT 'broken-' || n, 'user-' || mod(n, 7), 'broken-' || n, 'failed', 'failed', '{}', timezone('utc', now()),
    timezone('utc', now())
FROM generate_series(1, :tasks) AS n
""")


@pytest.fixture(scope="module")
def target(stack: LocalStack) -> Iterator[Target]:
    target = Target.local(stack)
    yield target
    target.engine.dispose()


@pytest.fixture(scope="module")
def outage(target: Target) -> int:
    """Many failed tasks of several users; return their number."""
    with target.engine.begin() as connection:
        for statement in (BROKEN_ROADMAPS, BROKEN_TASKS):
            connection.execute(statement, {"tasks": BROKEN})
    return BROKEN


def test_a_viewer_sees_all_tasks_and_changes_none(browser: Browser, stack: LocalStack, outage: int) -> None:
    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link("a-viewer", VIEWER_SCOPE))
        console.open("/tasks/broken-1")
        page.locator(".map .row").first.wait_for()
        assert page.get_by_role("button", name=re.compile("^(Retry|Redrive|Cancel|Generate)")).count() == 0
        token = page.evaluate("sessionStorage.getItem('roadmap.token')")
        answer = page.request.post(
            f"{stack.api_url}/api/v1/tasks/broken-1/retry",
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.status == 403
        console.open("/health")
        expect(page.locator(".tiles")).to_contain_text("Stuck tasks")
        assert console.axe() == []


def test_an_operator_recovers_many_tasks_with_canary_pause_and_resume(
    browser: Browser, stack: LocalStack, outage: int
) -> None:
    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link("an-operator", OPERATOR_SCOPE))
        console.open("/tasks?q=broken-&status=failed")
        page.get_by_role("button", name=f"Heal all {outage} that match").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator(".tiles")).to_contain_text(f"{outage}tasks")
        dialog.get_by_label("Reason").fill("after the outage")
        dialog.get_by_label("Canary tasks").fill("5")
        dialog.get_by_label("Tasks per minute").fill("600")
        dialog.get_by_role("button", name="Start the recovery").click()

        expect(page.get_by_role("heading", name="after the outage")).to_be_visible()
        page.get_by_role("button", name="Pause").click()
        expect(page.locator(".task-head .pill")).to_have_text("paused", timeout=LONG_MS)
        assert console.axe() == []
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".task-head .pill")).to_have_text("ended", timeout=LONG_MS)
        expect(page.locator(".legend")).to_contain_text(f"recovered {outage}")
        page.get_by_role("button", name="recovered").click()
        page.locator("td.main a").first.click()
        expect(page.locator(".attempt").first).to_contain_text("recovery")
        assert console.axe() == []
