"""Retry one item, one type, and generate a saved item again, on the real stack."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_content.bundle import read_bundle
from roadmap_content.items import ContentType, Item
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.storage.keys import staged_key
from tests.browser.driver import console_in
from tests.support.factories import USER, bundle_of, concept_ids, quiz

TASK, ROADMAP = "task-of-single-items", "r-single"
IDS = concept_ids(3, ROADMAP)


@pytest.fixture
def target(stack: LocalStack) -> Iterator[Target]:
    target = Target.local(stack)
    yield target
    target.engine.dispose()


@pytest.fixture
def two_quizzes_missing(target: Target) -> None:
    """A task after its first run: the quizzes of its first two concepts were invalid."""
    bundle = read_bundle(bundle_of(IDS, roadmap_id=ROADMAP, task_id=TASK))
    load_bundle(bundle, target.engine, target.bucket, Deadline.after(600))
    for concept_id in IDS[:2]:
        key = staged_key(ROADMAP, Item(concept_id, ContentType.QUIZ))
        target.bucket.put(key, json.dumps(quiz(concept_id, note="\x00")).encode())
    arn = start_run(target.stepfunctions, target.state_machine_arn, TASK)
    follow_run(target.stepfunctions, arn, lambda: None)


@pytest.mark.usefixtures("two_quizzes_missing")
def test_one_item_one_type_and_a_saved_item(browser: Browser, stack: LocalStack) -> None:
    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link(USER, scope=""))
        console.open(f"/tasks/{TASK}")
        expect(page.locator(".saved")).to_contain_text("7 of 9 items saved")

        page.locator(".map .row").first.click()
        of_quiz = page.locator('.drawer [data-type="quiz"]')
        of_quiz.get_by_role("button", name="Retry this item").click()
        start(page, staged=0, to_generate=1)
        expect(page.locator(".saved")).to_contain_text("8 of 9 items saved")
        expect(page.locator(".attempt")).to_have_count(2)

        page.get_by_role("button", name="Retry quizzes (1)").click()
        start(page, staged=0, to_generate=1)
        expect(page.locator(".saved")).to_contain_text("9 of 9 items saved")
        expect(page.locator(".task-head")).to_contain_text("complete")

        of_tutorial = page.locator('.drawer [data-type="tutorial"]')
        expect(of_tutorial).to_contain_text("version 1")
        of_tutorial.get_by_role("button", name="Generate again").click()
        expect(page.get_by_role("dialog")).to_contain_text("replaced by newly generated content")
        assert console.axe() == []
        start(page, staged=0, to_generate=1)
        expect(of_tutorial).to_contain_text("version 2")
        expect(page.locator(".attempt")).to_have_count(4)
        expect(page.locator(".saved")).to_contain_text("9 of 9 items saved")
        assert console.axe() == []


def start(page: Page, *, staged: int, to_generate: int) -> None:
    """Start the action of a dialog, after its preview."""
    dialog = page.get_by_role("dialog")
    numbers = dialog.locator(".tiles dd")
    numbers.first.wait_for()
    assert numbers.all_inner_texts()[:2] == [str(staged), str(to_generate)]
    dialog.get_by_role("button", name="Start the retry").click()
    expect(dialog).to_have_count(0)
