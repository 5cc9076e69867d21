"""Retry one item or type, and generate a saved item again."""

import pytest
from playwright.sync_api import Browser, Page, expect

from roadmap_content.contracts.items import ContentType
from tests.browser.driver import console_in
from tests.browser.real_api import RealApi
from tests.browser.tasks import concept, load, stage
from tests.support.factories import TYPES, quiz

pytestmark = pytest.mark.nightly

TASK = "single-items"
ITEMS = 3 * TYPES


def test_one_item_one_type_and_a_saved_item(browser: Browser, api: RealApi) -> None:
    pipeline = load(api, TASK, "Two quizzes are missing", concepts=3)
    for number in (1, 2):
        own = concept(TASK, number)
        stage(pipeline, own, ContentType.QUIZ, quiz(own, note="\x00"))
    api.executions.begin(TASK)
    api.play(TASK)
    with console_in(browser, api.url, role="owner") as console:
        page = console.page
        console.open(f"/tasks/{TASK}")
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS - 2} of {ITEMS} items saved")

        page.locator(".map .row").first.click()
        page.get_by_role("tab", name="quiz").click()
        of_quiz = page.locator('.drawer [data-type="quiz"]')
        of_quiz.get_by_role("button", name="Retry this item").click()
        start_and_play(page, api)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS - 1} of {ITEMS} items saved")
        expect(page.locator(".attempt")).to_have_count(2)

        page.get_by_role("button", name="Retry missing (1)").click()
        start_and_play(page, api)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS} of {ITEMS} items saved")
        expect(page.locator(".task-head")).to_contain_text("complete")
        page.get_by_role("tab", name="tutorial").click()

        of_tutorial = page.locator('.drawer [data-type="tutorial"]')
        expect(of_tutorial).to_contain_text("version 1")
        of_tutorial.get_by_role("button", name="Regenerate").click()
        expect(page.get_by_role("dialog")).to_contain_text("replaced by newly generated content")
        assert console.axe() == []
        start_and_play(page, api, "Regenerate")
        expect(of_tutorial).to_contain_text("version 2")
        expect(page.locator(".attempt")).to_have_count(4)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS} of {ITEMS} items saved")
        assert console.axe() == []


def start_and_play(page: Page, api: RealApi, action: str = "Start the retry") -> None:
    """Start the action of a dialog with one item to generate in its preview, and run the attempt."""
    dialog = page.get_by_role("dialog")
    numbers = dialog.locator(".tiles dd")
    numbers.first.wait_for()
    assert numbers.all_inner_texts()[:2] == ["0", "1"]
    dialog.get_by_role("button", name=action).click()
    expect(dialog).to_have_count(0)
    api.play(TASK)
