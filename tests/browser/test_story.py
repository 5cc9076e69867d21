"""The whole story of a task, from its missing items to complete; and the view of each visitor."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.driver import Look, console_in
from tests.browser.real_api import RealApi
from tests.browser.tasks import CONCEPTS, MISSING, PARTLY_FAILED, load, partly_failed
from tests.support.factories import TYPES

ITEMS = CONCEPTS * TYPES
REASON = "seen in the console"


def test_missing_items_are_shown_with_their_reasons_and_repaired(browser: Browser, api: RealApi) -> None:
    partly_failed(api, "story", "The story")
    with console_in(browser, api.url, role="owner") as console:
        page = console.page
        console.open()
        row = page.locator(".task", has_text="The story")
        expect(row).to_contain_text("incomplete")
        expect(row).to_contain_text(f"{ITEMS - MISSING} of {ITEMS}")
        assert console.axe() == []

        row.get_by_role("link").click()
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS - MISSING} of {ITEMS} items saved")
        reasons = page.locator(".reasons")
        codes = ("IdTaken", "InvalidContent", "Runtime.ExitError")
        for said in (*codes, "gives it a new id", "moves the content"):
            expect(reasons).to_contain_text(said)
        page.locator(".map .row").first.click()
        expect(page.locator(".drawer")).to_contain_text("the id belongs to another concept or roadmap")
        assert console.axe() == []
        page.keyboard.press("Escape")

        # Only by keyboard: the button, the dialog, and the first run's history below the map.
        page.get_by_role("button", name=f"Retry missing ({MISSING})").focus()
        page.keyboard.press("Enter")
        _start_after_the_preview(page, "Start the retry", missing=MISSING)
        api.play("story")
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS} of {ITEMS} items saved")
        expect(page.locator(".task-head")).to_contain_text("complete")
        expect(page.locator(".attempt")).to_have_count(2)
        expect(page.locator(".attempt").first).to_contain_text("retry")
        expect(page.locator(".attempt").first).to_contain_text(REASON)
        assert console.axe() == []


@pytest.mark.nightly
def test_a_task_that_was_never_run_is_started_in_chinese(browser: Browser, api: RealApi) -> None:
    load(api, "never-run", "从未运行", concepts=2)
    with console_in(browser, api.url, Look("zh", "dark"), "owner") as console:
        page = console.page
        console.open("/tasks/never-run")
        expect(page.locator(".saved")).to_contain_text(f"已保存 0 / {2 * TYPES} 项")
        page.locator(".task-actions .primary").click()
        _start_after_the_preview(page, "开始", missing=2 * TYPES)
        api.play("never-run")
        expect(page.locator(".saved")).to_contain_text(f"已保存 {2 * TYPES} / {2 * TYPES} 项")
        expect(page.locator(".task-head")).to_contain_text("已完成")


@pytest.mark.nightly
def test_an_owner_sees_no_data_of_other_users(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url, role="owner", user="an-owner-of-nothing") as console:
        page = console.page
        console.open()
        expect(page.locator("main")).to_contain_text("You have no tasks yet")
        console.open(f"/tasks/{PARTLY_FAILED}")
        expect(page.get_by_role("alert")).to_contain_text(
            "does not exist any more, or it belongs to another user"
        )
        console.open("/health")
        expect(page.get_by_role("alert")).to_contain_text("Only operators and viewers")


def _start_after_the_preview(page: Page, button: str, *, missing: int) -> None:
    """Start the retry from its dialog, by keyboard. The preview must contain each missing item."""
    dialog = page.get_by_role("dialog")
    numbers = dialog.locator(".tiles dd")
    numbers.first.wait_for()
    staged, to_generate, _ = numbers.all_inner_texts()
    assert int(staged) + int(to_generate) == missing
    dialog.get_by_role("textbox").fill(REASON)
    dialog.get_by_role("button", name=button).focus()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
