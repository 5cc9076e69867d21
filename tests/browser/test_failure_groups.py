"""Failure groups with a memory: decided about in the page, and the whole life of one on the real stack."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from local_stack.stack import OPERATOR_SCOPE, LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_content.content.bundle import parse_bundle
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from tests.browser.driver import Look, console_in
from tests.browser.fake_api import token_of
from tests.support.factories import USER, bundle_of, concept_ids, quiz

REASON = "glossary holds a NUL character at character 0"
"""The reason of the group of this test; no other test makes it."""


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_the_dialog_of_a_group_is_accessible_and_fits(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look) as console:
        page = console.page
        console.open("/failures", token_of("operator"))
        page.locator(".group-actions button:not(.primary)").first.click()
        page.locator("dialog select").select_option("ignored")
        page.locator("dialog textarea").fill("known")
        page.locator("dialog input[type=number]").fill("100")
        assert console.axe() == []
        assert console.overflow() == 0
        page.locator("dialog button[type=submit]").click()
        expect(page.locator("dialog")).to_have_count(0)
        assert console.axe() == []
        assert console.overflow() == 0


def test_a_hostile_note_is_shown_as_text(browser: Browser, fake: str) -> None:
    with console_in(browser, fake) as console:
        page = console.page
        console.open("/failures", token_of("hostile"))
        group = page.locator(".group").first
        _decide(page, group, "acknowledged", "n")
        expect(group).to_contain_text("<img src=x")
        assert page.title() != "run"


@pytest.fixture
def target(stack: LocalStack) -> Iterator[Target]:
    target = Target.local(stack)
    yield target
    target.engine.dispose()


def test_a_group_is_acknowledged_healed_comes_back_and_rings_and_an_ignored_one_does_not(
    browser: Browser, stack: LocalStack, target: Target
) -> None:
    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link("an-operator", OPERATOR_SCOPE))
        group = page.locator(".group", has_text=REASON)

        def state() -> Locator:
            console.open("/failures")
            expect(group).to_have_count(1)
            return group.locator(".pill")

        def ringing() -> int:
            """The number of groups that the health endpoint calls a person for."""
            groups = target.operator_api().send("GET", "/health").body["failure_groups"]
            return int(groups["new"]) + int(groups["regressed"])

        others = ringing()
        _outage(target, 1)
        expect(state()).to_have_text("new")
        assert ringing() == others + 1
        console.open("/health")
        expect(page.locator(".note.warn")).to_contain_text("Failures that need a person.")

        state()
        _decide(page, group, "acknowledged", "the provider is down")
        expect(group.locator(".pill")).to_have_text("acknowledged")
        expect(group).to_contain_text("the provider is down")
        assert ringing() == others

        _heal(target, 1)
        console.open("/failures")
        expect(page.locator("h1")).to_be_visible()
        expect(group).to_have_count(0)
        _outage(target, 2)
        expect(state()).to_have_text("came back")
        assert ringing() == others + 1

        _decide(page, group, "ignored", "a known fault")
        expect(group.locator(".pill")).to_have_text("ignored")
        _outage(target, 3)
        expect(state()).to_have_text("ignored")
        assert ringing() == others
        expect(group).to_contain_text("in 2 tasks")
        page.get_by_role("button", name="Needs a person").click()
        expect(group).to_have_count(0)


def _decide(page: Page, group: Locator, state: str, note: str) -> None:
    group.get_by_role("button", name="Decide…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Decision").select_option(state)
    dialog.get_by_label("Note").fill(note)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def _outage(target: Target, number: int) -> None:
    """Run a task whose quiz cannot be saved."""
    ids = concept_ids(2, f"memory-{number}")
    document = bundle_of(ids, roadmap_id=f"memory-{number}", task_id=f"memory-{number}")
    bundle = parse_bundle(json.dumps(document).encode())
    load_bundle(bundle, target.engine, target.bucket, Deadline.after(60))
    poisoned = json.dumps(quiz(ids[1], glossary="\x00")).encode()
    target.bucket.put(staged_key(f"memory-{number}", Item(ids[1], ContentType.QUIZ)), poisoned)
    arn = start_run(target.stepfunctions, target.state_machine_arn, f"memory-{number}")
    follow_run(target.stepfunctions, arn, lambda: None)


def _heal(target: Target, number: int) -> None:
    """Retry the task; the invalid quiz is rejected and generated again."""
    answer = target.api(USER).retry(f"memory-{number}")
    follow_run(target.stepfunctions, answer.body["execution_arn"], lambda: None)
