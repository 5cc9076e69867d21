"""The whole story of a task, from its missing items to complete; and the view of each visitor."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from typer.testing import CliRunner

from local_stack.database_roles import DatabaseRoles
from local_stack.postgres_server import Server
from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content.client.client import Client
from roadmap_content.content.generation.model import ModelThrottledError
from roadmap_content.contracts.errors import ModelDeclinedError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from tests.browser.conftest import deployment
from tests.browser.driver import Console, Look, console_in
from tests.browser.real_api import RealApi, token_of
from tests.browser.tasks import (
    COMPLETE,
    CONCEPTS,
    MISSING,
    PARTLY_FAILED,
    complete,
    concept,
    finish,
    load,
    needs_person,
    outage,
    partly_failed,
    recover,
    refusing,
    running,
    stage,
    stopped,
)
from tests.browser.texts import REFUSED_QUESTIONS
from tests.support.erasing import erased
from tests.support.factories import TYPES, quiz
from tests.support.pipeline import SETTINGS

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


class State(NamedTuple):
    """The display of a task in one state. `CHINESE` has the words of the page in Chinese."""

    status: str
    """In the API and in `--json`."""

    who: str
    """Who acts next. With a colon, the time is shown, too."""

    why: str
    chip: str
    """The status for people: of the page and of the command."""

    action: str
    """The primary action of the page."""

    attempt: str
    group: str
    """Who acts next for the task's failures."""

    begin_with: str
    """The first commands for the findings of `doctor`."""

    @property
    def sentence(self) -> str:
        """The beginning of the page's sentence."""
        return WHO[self.who.rstrip(":")]


WHO = {
    "waiting": "Waiting",
    "running": "Running",
    "automatic": "Tried again automatically",
    "person": "Needs a person",
    "nobody": "",
}
STATES = {
    name: State(*rest)
    for name, *rest in (
        [cell.strip() for cell in row.split("|")]
        for row in """
not started | pending | waiting | Neither the product nor a person has started it. | pending | Start | | |
waiting | processing | waiting | Its attempt waits for a slot. | in progress | | Waiting | |
stopped | processing | waiting | An operator has stopped generation. | in progress | | Waiting | | capacity
running | processing | running: | An attempt is at work. | in progress | | Running | |
being cancelled | cancelled | running: | It was cancelled. Its run is being stopped. | cancelled | | Running | |
cancelled | cancelled | nobody | It was cancelled. A retry starts it again. | cancelled | Retry missing | cancelled | |
complete | completed | nobody | Nothing is missing. | complete | | complete | |
erased | completed | nobody | The data of its user was erased. | erased | | | |
throttled | failed | automatic: | The sweep starts the next attempt. | failed | | failed | automatic |
lost | processing | running: | An attempt is at work. | in progress | | Running | | reconcile
incomplete | partial_failure | person | Retry it. | incomplete | Retry missing | incomplete | person | failures
refused | failed | person | Raise TaskTokenBudget, then retry. | failed | Retry missing | failed | person | failures
in a recovery | failed | waiting | It waits in a recovery. | failed | | | | failures
recovery paused | failed | person | Resume or cancel its recovery. | failed | | | | recoveries failures
""".strip().splitlines()  # noqa: E501 - a table
    )
}
"""Each state, in the order in which `_each_state` makes it."""

CHINESE = {
    "": "",
    "pending": "等待中",
    "in progress": "进行中",
    "incomplete": "不完整",
    "complete": "已完成",
    "failed": "失败",
    "cancelled": "已取消",
    "erased": "已清除",
    "Waiting": "等待中",
    "Running": "运行中",
    "Tried again automatically": "自动再次尝试",
    "Needs a person": "需要人工处理",
    "Start": "开始",
    "Retry missing": "重试缺失内容",
}

TOGETHER = {(each.chip, each.sentence, each.action, each.attempt) for each in STATES.values()} | {
    ("incomplete", "Tried again automatically", "", "incomplete"),
    # The attempt that its recovery, when it was paused or cancelled, had not started.
    ("in progress", "Needs a person", "", "Waiting"),
    ("failed", "Needs a person", "Retry missing", "cancelled"),
    ("failed", "Tried again automatically", "", "cancelled"),
}
"""Parts of the page that may stand together."""

SHOWN = """() => {
    const textOf = (element) => (element?.textContent ?? "").trim().replace(/\\s+/g, " ");
    const text = (selector) => textOf(document.querySelector(selector));
    const rows = [...document.querySelectorAll(".map .row")];
    return {
        chip: text(".task-head .pill"),
        turn: text(".task-head ~ :is(.heals, .needs)"),
        action: text(".task-actions .primary"),
        saved: text(".saved"),
        bar: document.querySelector(".wide-bar .bar")?.ariaLabel,
        missing: text("#reasons-heading"),
        becomes: text(".reasons"),
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


def contradictions(shown: dict[str, Any]) -> list[str]:
    """The parts of the page that contradict each other."""
    turn = re.sub("^▲ |[:.].*", "", shown["turn"])
    action, _, number = shown["action"].partition(" (")
    found = []
    if (shown["chip"], turn, action, shown["attempt"]) not in TOGETHER:
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
    if states["generating"] and shown["attempt"] != "Running":
        found.append("the attempt and the map")
    if shown["chip"] != "in progress" and (shown["chip"] == "complete") != (missing == 0):
        found.append("the status and the map")
    if shown["chip"] == "cancelled" and "This attempt" in shown["becomes"]:
        found.append("a cancelled attempt goes on")
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


def _each_state(api: RealApi) -> Iterator[str]:
    """Make each state as it comes to be; yield its task."""
    for task_id in ("busy", "one"):
        load(api, task_id, "One state", concepts=3, staged=False)
    yield "one"
    slots = api.send("GET", "/capacity")["slots"]
    api.send("PUT", "/capacity", {"slots": 1, "reason": "a test"})
    for task_id in ("busy", "one"):
        api.send("POST", f"/tasks/{task_id}/retry")
    yield "one"
    with stopped(api, "a test"):
        yield "one"
    api.send("PUT", "/capacity", {"slots": slots, "reason": "a test"})
    api.executions.of("one")[0].advance(api.work)
    yield "one"
    api.send("POST", "/tasks/one/cancel", reason="withdrawn")
    yield "one"
    reconcile(ReconcileRequest(), api.work, Deadline.after(600))
    yield "one"
    api.play("busy")
    yield "busy"
    load(api, "erased", "Erased", concepts=3, user="erased")
    api.executions.begin("erased")
    api.play("erased")
    erased(api.services, "erased")
    yield "erased"
    load(api, "throttled", "Throttled", concepts=3, staged=False)
    api.work.settings = Settings(SETTINGS | {"BATCH_SIZE": "1", "AUTOMATIC_ATTEMPTS": "1"})
    with refusing(api, ModelThrottledError("too many requests")):
        api.executions.begin("throttled")
        api.play("throttled")
    yield "throttled"
    running(api, "lost")
    api.executions.forget("lost")
    for moment in (
        "roadmap_tasks SET updated_at = updated_at",
        "content_events SET recorded_at = recorded_at",
    ):
        api.execute(f"UPDATE {moment} - interval '2 hours' WHERE task_id = 'lost'")
    yield "lost"
    api.execute("DELETE FROM content_events WHERE task_id = 'lost'")
    api.execute("UPDATE roadmap_tasks SET updated_at = timezone('utc', now()) WHERE task_id = 'lost'")
    complete(api, COMPLETE, regenerated=False)
    partly_failed(api, "incomplete")
    api.execute("UPDATE content_attempts SET next_at = NULL WHERE task_id = 'incomplete'")
    yield "incomplete"
    needs_person(api, "refused")
    yield "refused"
    first, second = outage(api, "outage", 2)
    recovery_id = recover(api, "an outage", [first, second], canary=0, concurrency=1)
    yield second
    api.send("POST", f"/recoveries/{recovery_id}/cancel")
    api.play(first)
    tasks = outage(api, "broken", 10)
    with refusing(api, ModelDeclinedError("declined")):
        finish(api, recover(api, "an outage", tasks, breaker=4, canary=0, concurrency=1), tasks)
    waits = "SELECT task_id FROM roadmap_tasks WHERE task_id LIKE 'broken-%' AND attempt = 0 LIMIT 1"
    yield api.pipeline("").rows(waits)[0]["task_id"]


TIME = r"\d{4}-\d\d-\d\dT[\d:]+Z"


def test_every_state_is_the_same_in_the_api_in_the_command_and_on_the_page(
    browser: Browser,
    bucket: None,
    database_server: Server,
    migrated_template: tuple[str, DatabaseRoles],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: "pending … No attempt has been made yet" beside "generating 24", then "complete, 0 %"."""
    with ExitStack() as opened:
        api = opened.enter_context(deployment(database_server, migrated_template))
        client = Client(api_url=api.url, token=lambda _: token_of("operator"), user_id="operator")
        target = SimpleNamespace(client=lambda *_, **__: client, model_failures="")
        monkeypatch.setattr(Target, "named", lambda *_: target)
        pages = {
            language: opened.enter_context(console_in(browser, api.url, Look(language), "operator"))
            for language in ("en", "zh")
        }
        for (name, state), task_id in zip(STATES.items(), _each_state(api), strict=True):
            answer = api.send("GET", f"/tasks/{task_id}")
            turn = answer["turn"]
            who = turn["who"] + (":" if turn["at"] else "")
            assert (answer["status"], who, turn["why"]) == (state.status, state.who, state.why), name
            assert (turn["recovery_id"] is None) == ("recovery" not in name), name
            _is_printed(state, task_id, name, turn["recovery_id"])
            for language, console in pages.items():
                _is_pictured(state, console, task_id, f"{name}, {language}")


def _is_printed(state: State, task_id: str, name: str, recovery_id: str | None) -> None:
    """By each command about tasks."""

    def printed(*command: str) -> str:
        return CliRunner().invoke(app, command, catch_exceptions=False).output

    who = state.who.rstrip(":")
    who += f", {'last sign at' if who == 'running' else 'at'} {TIME}" if ":" in state.who else ""
    for command in ("show", "status"):
        said = printed(command, task_id)
        assert re.search(rf"^task {task_id}, attempt \d+: {state.chip}( |$)", said, re.MULTILINE), (
            name,
            said,
        )
        more = " No sign of the run for .*: roadmap reconcile asks Step Functions." if name == "lost" else ""
        more += f" roadmap recoveries {recovery_id} shows it." if recovery_id else ""
        is_told = re.search(f"^next: {who}: {re.escape(state.why)}{more}$", said, re.MULTILINE)
        assert is_told or (command, state.who) == ("status", "nobody"), (name, said)
    (row,) = [line.split("\t") for line in printed("tasks").splitlines() if line.startswith(f"{task_id}\t")]
    assert (row[1], row[2].split()[0]) == (state.chip, state.who.rstrip(":")), name
    groups = printed("failures", "-q", task_id)
    assert re.findall("^  next: ([a-z]+)", groups, re.MULTILINE) == [state.group] * groups.count(
        "\n  group "
    ), name
    assert bool(state.group) == ("\n  group " in groups), (name, groups)
    found = re.findall(r"^  begin with: \S+ (\w+)", printed("doctor"), re.MULTILINE)
    assert found == state.begin_with.split(), name
    for command in ("doctor", "capacity"):  # what the stop holds is not at work
        assert bool(re.search(r"\bheld\b", printed(command))) == (state.begin_with == "capacity"), name


def _is_pictured(state: State, console: Console, task_id: str, name: str) -> None:
    """On the page of the task, in the console's language."""
    in_language = CHINESE if name.endswith("zh") else {word: word for word in CHINESE}
    console.open(f"/tasks/{task_id}")
    console.page.reload()  # the address may be the one that is shown
    console.page.locator(".map .row").first.wait_for()
    console.settled()
    expect(console.page.locator(".task-head .pill")).to_have_text(in_language[state.chip])
    shown = console.page.evaluate(SHOWN)
    action = re.split(r" \(|（", shown["action"])[0]
    sentence = re.sub("^▲ |[:.：。].*", "", shown["turn"])
    words = [state.chip, state.sentence, state.action, state.attempt]
    assert [shown["chip"], sentence, action, shown["attempt"]] == [in_language[word] for word in words], name
    pulses = state.sentence == "Running" and not name.startswith("lost")
    expect(console.page.locator(".task-head .pulse")).to_have_count(int(pulses))
    assert ("TaskTokenBudget" in state.why) == ("TaskTokenBudget" in shown["turn"]), name
    if name.endswith("zh"):
        assert re.findall("[\u4e00-\u9fff][.,:;]", console.page.locator("main").inner_text()) == [], name
    elif state.chip != "erased":
        assert state.why in shown["turn"] or not state.sentence, name
        linked = console.page.locator(".task-head ~ :is(.heals, .needs) a", has_text=state.why).count()
        assert linked == ("recovery" in name), name
        assert ("last sign 2 hr ago" in shown["turn"]) == name.startswith("lost"), (name, shown)
        assert contradictions(shown) == [], (name, shown)


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
    assert "\n".join(f"{found}: {shown}" for shown in moments if (found := contradictions(shown))) == ""


HIDE = """window.hide = (hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
};"""


def test_a_hidden_tab_requests_nothing_and_tells_one_story_whenever_it_is_shown(
    console: Console, api: RealApi
) -> None:
    """Regression: a tab that was shown requested the caller's name and the open content again."""
    page = console.page
    steps = _steps(api, "hidden")
    next(steps)
    page.add_init_script(HIDE)
    page.clock.install()
    console.open(f"/tasks/hidden?item={quote(concept('hidden', 1), safe='')}&type=quiz")
    expect(page.locator(".drawer .item")).to_be_visible()
    page.evaluate(RECORD)
    for _ in steps:
        page.evaluate("hide(true)")
        with page.expect_response(re.compile("/hidden/attempts")):
            page.evaluate("hide(false)")
    expect(page.locator(".task-head .pill")).to_have_text("complete")
    expect(page.locator(".drawer .content")).to_be_visible()
    page.evaluate("hide(true)")
    console.requested.clear()
    page.clock.fast_forward(60_000)
    with page.expect_response(re.compile("/hidden$")):
        page.evaluate("hide(false)")
    moments = [json.loads(each) for each in page.evaluate("window.moments")]
    assert "\n".join(f"{found}: {shown}" for shown in moments if (found := contradictions(shown))) == ""
    parts = [re.sub(r"^.*/(api/v1|hidden)/|\?.*", "", url) for url in console.requested]
    assert sorted(parts) == [
        "attempts", "health", "items", "items/quiz", "items/resources", "items/tutorial", "tasks/hidden",
    ]  # fmt: skip


def _record(shown: str) -> str:
    """A script that keeps each text of the page, before its first view is opened."""
    return f"""window.moments = new Set();
        new MutationObserver(() => {{
            const text = ({shown})();
            if (text) window.moments.add(text.replace(/\\s+/g, " "));
        }}).observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});"""


def test_a_run_that_ends_between_the_requests_of_the_list_has_one_state(
    console: Console, api: RealApi
) -> None:
    """Regression: "in progress, 9 of 9 saved" until the next request."""
    load(api, "ends-in-the-list", "Ends in the list", concepts=3)
    api.executions.begin("ends-in-the-list")
    api.executions.of("ends-in-the-list")[0].advance(api.work)

    def answer(route: Route) -> None:
        api.play("ends-in-the-list")
        route.continue_()

    page = console.page
    page.add_init_script(_record("() => document.querySelector('.task .task-card')?.innerText"))
    page.route(re.compile("/api/v1/tasks/ends-in-the-list"), answer)
    console.open("/tasks?q=ends-in-the-list")
    expect(page.locator(".task .progress-text")).to_have_text("9 of 9")
    moments = page.evaluate("[...window.moments]")
    assert [each for each in moments if "in progress" in each or "An attempt is at work" in each] == []


def test_an_item_that_is_saved_while_it_is_open_has_one_state(console: Console, api: RealApi) -> None:
    """Regression: "failed", with a button to retry, above the content that a retry had saved."""
    partly_failed(api, "open-item", "An open item")
    page = console.page
    page.add_init_script(_record("() => document.querySelector('.drawer .item')?.innerText"))
    item = concept("open-item", 2)
    console.open(f"/tasks/open-item?item={quote(item, safe='')}&type=quiz")
    expect(page.locator(".drawer .note.bad")).to_be_visible()
    api.send("POST", "/tasks/open-item/retry")
    api.play("open-item")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator(".drawer .item .facts").first).to_contain_text("Saved")
    two_stories = re.compile(r"\bfailed .* Saved |\bsaved .*The next attempt")
    assert [each for each in page.evaluate("[...window.moments]") if two_stories.search(each)] == []


def test_a_recovery_and_the_results_of_its_tasks_are_of_one_moment(console: Console, api: RealApi) -> None:
    """Regression: "recovered 4" above rows that were running, until the rows were loaded again."""
    tasks = outage(api, "one-moment", 4)
    recovery_id = recover(api, "one moment", tasks, canary=0, concurrency=2)
    page = console.page
    counts = """() => document.querySelector("table.cards") &&
        ["recovered", "still failing", "running", "waiting"].map((result) => {
            const of = (selector) => [...document.querySelectorAll(selector)].map((each) => each.innerText);
            const entry = of(".legend li").find((each) => each.includes(result)) ?? "0";
            const rows = of("td.status .pill").filter((each) => each === result);
            return `${result} ${entry.match(/[0-9]+/)[0]} ${rows.length}`;
        }).join("; ")"""
    page.add_init_script(_record(counts))
    console.open(f"/recoveries/{recovery_id}")
    expect(page.locator("td.status")).to_have_count(4)
    finish(api, recovery_id, tasks)
    expect(page.locator("td.status")).to_have_text(["recovered"] * 4)
    moments = page.evaluate("[...window.moments]")
    assert [each for each in moments if not re.fullmatch(r"(?:[a-z ]+ (\d+) \1(?:; |$))+", each)] == []
