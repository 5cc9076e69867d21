"""Retry one item or type, generate a saved item again, restore it, undo a recovery, on the real stack."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from local_stack.stack import OPERATOR_SCOPE, LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_content.content.bundle import read_bundle
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from tests.browser.driver import console_in
from tests.support.factories import TYPES, USER, bundle_of, concept_ids, quiz

TASK, ROADMAP = "task-of-single-items", "r-single"
IDS = concept_ids(3, ROADMAP)
ITEMS = len(IDS) * TYPES
LONG_MS = 900_000
"""The time limit for work of the whole stack. No test expects a duration."""


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
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS - 2} of {ITEMS} items saved")

        page.locator(".map .row").first.click()
        of_quiz = page.locator('.drawer [data-type="quiz"]')
        of_quiz.get_by_role("button", name="Retry this item").click()
        start(page, staged=0, to_generate=1)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS - 1} of {ITEMS} items saved")
        expect(page.locator(".attempt")).to_have_count(2)

        page.get_by_role("button", name="Retry quizzes (1)").click()
        start(page, staged=0, to_generate=1)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS} of {ITEMS} items saved")
        expect(page.locator(".task-head")).to_contain_text("complete")

        of_tutorial = page.locator('.drawer [data-type="tutorial"]')
        expect(of_tutorial).to_contain_text("version 1")
        of_tutorial.get_by_role("button", name="Generate again").click()
        expect(page.get_by_role("dialog")).to_contain_text("replaced by newly generated content")
        assert console.axe() == []
        start(page, staged=0, to_generate=1)
        expect(of_tutorial).to_contain_text("version 2")
        expect(page.locator(".attempt")).to_have_count(4)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS} of {ITEMS} items saved")
        assert console.axe() == []

        of_tutorial.locator("summary", has_text="Revisions").click()
        revisions = of_tutorial.locator(".revisions > li")
        expect(revisions).to_have_count(2)
        expect(revisions.first).to_contain_text("the offline generator")
        revisions.nth(1).get_by_role("button", name="Compare with the current one").click()
        expect(page.locator(".difference ins").first).to_be_visible()
        page.get_by_role("dialog").get_by_role("button", name="Restore…").click()
        page.get_by_role("dialog").get_by_label("Reason").fill("the first one was better")
        page.get_by_role("button", name="Restore", exact=True).click()
        expect(of_tutorial).to_contain_text("version 3")
        expect(revisions).to_have_count(3)
        of_tutorial.locator("summary", has_text="Origin").first.click()
        expect(of_tutorial.locator(".origin").first).to_contain_text("the first one was better")
        revisions.nth(2).get_by_role("button", name="Compare with the current one").click()
        expect(page.get_by_role("dialog")).to_contain_text("Both have the same content.")


def test_a_recovery_that_regenerated_is_undone(browser: Browser, stack: LocalStack, target: Target) -> None:
    bundle = read_bundle(bundle_of(concept_ids(2, "r-undone"), roadmap_id="r-undone", task_id="task-undone"))
    load_bundle(bundle, target.engine, target.bucket, Deadline.after(600))
    arn = start_run(target.stepfunctions, target.state_machine_arn, "task-undone")
    follow_run(target.stepfunctions, arn, lambda: None)
    body = {
        "filter": {"task_ids": ["task-undone"]},
        "reason": "new quizzes",
        "regenerate": {"content_type": "quiz"},
    }
    recovery_id = target.operator_api().send("POST", "/recoveries", body).body["recovery_id"]

    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link("an-operator", OPERATOR_SCOPE))
        console.open(f"/recoveries/{recovery_id}")
        expect(page.locator(".task-head .pill")).to_have_text("ended", timeout=LONG_MS)
        page.get_by_role("button", name="Undo…").click()
        page.get_by_role("button", name="Undo the recovery").click()
        report = page.locator("section", has=page.get_by_role("heading", name="Undo"))
        expect(report.locator(".tiles > div")).to_have_text(
            ["2restored", "0had not been replaced", "0left alone"]
        )
        page.locator("td.main a").click()
        page.locator(".map .row").first.click()
        origin = page.locator('.drawer [data-type="quiz"]').locator("summary", has_text="Origin")
        origin.first.click()
        expect(page.locator('.drawer [data-type="quiz"] .origin')).to_contain_text(f"undo of {recovery_id}")


def start(page: Page, *, staged: int, to_generate: int) -> None:
    """Start the action of a dialog, after its preview."""
    dialog = page.get_by_role("dialog")
    numbers = dialog.locator(".tiles dd")
    numbers.first.wait_for()
    assert numbers.all_inner_texts()[:2] == [str(staged), str(to_generate)]
    dialog.get_by_role("button", name="Start the retry").click()
    expect(dialog).to_have_count(0)
