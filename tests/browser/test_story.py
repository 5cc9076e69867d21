"""The whole story of a task, from its missing items to complete; and the view of each visitor."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from tests.browser.driver import Look, console_in
from tests.browser.real_api import RealApi
from tests.browser.tasks import CONCEPTS, MISSING, PARTLY_FAILED, concept, load, partly_failed, stage, stopped
from tests.browser.texts import REFUSED_QUESTIONS
from tests.support.factories import TYPES, quiz

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


class Story(NamedTuple):
    """The facts that a task's page shows in several places."""

    chip: str
    turn: str
    action: str
    attempt: str


TOGETHER = {
    ("pending", "waiting"): Story("pending", "Waiting", "Start", ""),
    ("processing", "waiting"): Story("in progress", "Waiting", "", "waiting"),
    ("processing", "running"): Story("in progress", "Running", "", "running"),
    ("partial_failure", "person"): Story("incomplete", "Needs a person", "Retry missing", "incomplete"),
    ("partial_failure", "automatic"): Story(
        "incomplete", "Tried again automatically", "Retry missing", "incomplete"
    ),
    ("cancelled", "running"): Story("cancelled", "Running", "", "running"),
    ("cancelled", "nobody"): Story("cancelled", "", "Retry missing", "cancelled"),
    ("completed", "nobody"): Story("complete", "", "", "complete"),
}
"""Parts that may stand together, by the status and `turn.who` of the API's answer."""

SHOWN = """() => {
    const textOf = (element) => (element?.textContent ?? "").trim().replace(/\\s+/g, " ");
    const text = (selector) => textOf(document.querySelector(selector));
    const rows = [...document.querySelectorAll(".map .row")];
    return {
        chip: text(".task-head .pill"),
        turn: text(".task-head ~ :is(.heals, .needs)"),
        action: text(".task-actions .primary"),
        saved: text(".saved"),
        bar: document.querySelector(".wide-bar .bar").ariaLabel,
        missing: text("#reasons-heading"),
        calls: document.querySelectorAll(".reasons .needs").length,
        attempt: text(".attempt .pill"),
        concepts: rows.map((row) => row.ariaLabel.split(": ").at(-1)),
    };
}"""
"""The parts of a task's page at one moment."""

RECORD = f"""() => {{
    const shown = {SHOWN};
    window.moments = [];
    new MutationObserver(() => {{
        const moment = JSON.stringify(shown());
        if (window.moments.at(-1) !== moment) window.moments.push(moment);
    }}).observe(document.body, {{ subtree: true, childList: true, characterData: true, attributes: true }});
}}"""


def _contradictions(shown: dict[str, Any]) -> list[str]:
    """The parts of the page that contradict each other."""
    turn = re.sub("^▲ |[:.].*", "", shown["turn"])
    action, _, number = shown["action"].partition(" (")
    found = []
    if Story(shown["chip"], turn, action, shown["attempt"]) not in TOGETHER.values():
        found.append("the states")
    states = Counter(
        re.sub("^(tutorial|resource list|quiz) ", "", item)
        for row in shown["concepts"]
        for item in row.split(", ")
    )
    total, saved = states.total(), states["saved"]
    if f"{saved} of {total} items saved" not in shown["saved"]:
        found.append("the number and the map")
    bar = dict(part.rsplit(" ", 1) for part in shown["bar"].split(", "))
    if {state: int(items) for state, items in bar.items() if items != "0"} != states:
        found.append("the bar and the map")
    missing = total - saved
    if (f"to the {missing} missing" in shown["missing"]) != bool(missing) or number not in (
        "",
        f"{missing})",
    ):
        found.append("the missing items and the map")
    if states["generating"] and shown["attempt"] != "running":
        found.append("the attempt and the map")
    if shown["chip"] != "in progress" and (shown["chip"] == "complete") != (missing == 0):
        found.append("the status and the map")
    if shown["calls"] and turn != "Needs a person":
        found.append("a cause calls a person, and the sentence does not")
    return found


def _steps(api: RealApi, task_id: str) -> Iterator[None]:
    """Change a task step by step: stopped and resumed, incomplete, tried again, cancelled, complete."""

    def run(steps: int) -> Iterator[None]:
        for each in api.executions.of(task_id):
            for _ in range(steps):
                if each.running:
                    each.advance(api.work)
                    yield

    pipeline = load(api, task_id, "Step by step", concepts=3)
    own = concept(task_id, 2)
    stage(pipeline, own, ContentType.QUIZ, quiz(own, questions=REFUSED_QUESTIONS, total_questions=2))
    yield
    api.send("POST", f"/tasks/{task_id}/retry")
    yield
    with stopped(api, "a test"):
        yield
    yield
    yield from run(100)
    attempt = "UPDATE content_attempts SET next_at = "
    api.execute(f"{attempt} now() + interval '5 minutes' WHERE task_id = :id", id=task_id)
    yield
    api.execute(f"{attempt} NULL WHERE task_id = :id", id=task_id)
    yield
    api.send("POST", f"/tasks/{task_id}/retry")
    yield
    yield from run(1)
    api.send("POST", f"/tasks/{task_id}/cancel", reason="a test")
    yield
    reconcile(ReconcileRequest(), api.work, Deadline.after(600))  # records the end of the stopped run
    yield
    api.send("POST", f"/tasks/{task_id}/retry")
    yield
    yield from run(100)


def test_at_every_step_of_a_run_the_parts_of_the_page_agree(browser: Browser, api: RealApi) -> None:
    """Regression: "pending … No attempt has been made yet" beside "generating 24", then "complete, 0 %"."""
    task_id = "step-by-step"
    steps = _steps(api, task_id)
    next(steps)
    with console_in(browser, api.url, role="operator") as console:
        console.open(f"/tasks/{task_id}")
        expect(console.page.locator(".map .row")).to_have_count(3)
        seen = set()
        for _ in steps:
            answer = api.send("GET", f"/tasks/{task_id}")
            told = answer["status"], answer["turn"]["who"]
            saved = sum(counts["saved"] for counts in answer["progress"].values())
            console.page.evaluate("dispatchEvent(new Event('online'))")
            expect(console.page.locator(".task-head .pill")).to_have_text(TOGETHER[told].chip)
            expect(console.page.locator(".saved")).to_contain_text(f"{saved} of {3 * TYPES} items saved")
            expect(console.page.locator(".task-head + p, .task-head + div").first).to_contain_text(
                TOGETHER[told].turn
            )
            shown = console.page.evaluate(SHOWN)
            assert _contradictions(shown) == [], f"{told}: {shown}"
            seen.add(told)
        assert seen == set(TOGETHER) - {("pending", "waiting")}


@pytest.mark.parametrize("first", range(4))
def test_a_run_that_goes_on_between_the_requests_of_the_page_tells_one_story(
    browser: Browser, api: RealApi, first: int
) -> None:
    task_id = f"between-requests-{first}"
    steps = _steps(api, task_id)
    next(steps)
    requests = count(first)
    ended: list[bool] = []

    def answer(route: Route) -> None:
        if next(requests) % 4 == 0 and next(steps, ended) is ended:
            ended.append(True)
        route.continue_()

    with console_in(browser, api.url, role="operator") as console:
        console.open(f"/tasks/{task_id}")
        expect(console.page.locator(".map .row")).to_have_count(3)
        console.page.evaluate(RECORD)
        console.page.route(re.compile(f"/api/v1/tasks/{task_id}"), answer)
        while not ended:
            console.page.evaluate("dispatchEvent(new Event('online'))")
            console.page.wait_for_timeout(50)
        expect(console.page.locator(".task-head .pill")).to_have_text("complete")
        moments = [json.loads(each) for each in console.page.evaluate("window.moments")]
    assert len(moments) > 5
    assert "\n".join(f"{found}: {shown}" for shown in moments if (found := _contradictions(shown))) == ""
