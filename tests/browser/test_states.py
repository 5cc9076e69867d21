"""Every state of every view, including rare ones, on real tasks."""

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Route, expect

from roadmap_content.contracts.items import ContentType
from tests.browser.driver import Console, Look, console_in
from tests.browser.real_api import RealApi, token_of
from tests.browser.tasks import (
    CANCELLED,
    CONCEPTS,
    ELSEWHERE,
    FORGOTTEN,
    NEEDS_PERSON,
    PARTLY_FAILED,
    RUNNING,
    UNTOUCHED,
    concept,
    large,
    load,
    running,
    stage,
    stopped,
    views,
    waiting,
)
from tests.browser.texts import HOSTILE, LONG, RTL
from tests.support.erasing import erased
from tests.support.factories import TYPES, quiz

pytestmark = pytest.mark.nightly

NARROW = Look(width=360)
TASK = f"/tasks/{PARTLY_FAILED}"
SENTENCES = {
    503: "The API does not respond at the moment",
    429: "The API has too many requests",
    403: "Your role does not allow this",
}


@pytest.mark.parametrize(
    "look", [NARROW, Look("zh", "dark", 360), Look(width=768), Look(width=1100)], ids=str
)
def test_the_header_is_one_row_and_names_the_caller_once(browser: Browser, api: RealApi, look: Look) -> None:
    with console_in(browser, api.url, look, "operator", has_touch=look == NARROW) as console:
        console.open("/tasks")
        header = console.page.locator("header").bounding_box()
        assert header is not None
        assert header["height"] < 60
        expect(console.page.locator(".who")).to_have_text("operator")  # the user's name is the role's
        if look.width < 1000:
            console.page.get_by_role("button", name=re.compile("^(Menu|菜单)$")).click()
            assert console.axe() == []
        expect(console.page.get_by_role("button", name=re.compile("^(Sign out|退出)"))).to_be_visible()


@pytest.mark.parametrize(("role", "more"), [("owner", []), ("viewer", ["Recoveries", "Health"])])
def test_a_role_is_offered_its_views(browser: Browser, api: RealApi, role: str, more: list[str]) -> None:
    with console_in(browser, api.url, role=role) as console:
        console.open("/tasks")
        expect(console.page.locator("nav a")).to_have_text(["Tasks", "Failures", *more])
        console.open("/failures")
        advice = "Start a recovery, or ignore it. An operator can do it." if more else "Retry it."
        expect(console.page.locator("ul.groups")).to_contain_text(f"Needs a person. {advice}")
        ringing = console.page.get_by_role("button", name="Without a decision")
        expect(ringing).to_have_count(1 if more else 0)  # an owner decides nothing


@pytest.mark.parametrize(
    ("role", "failed", "without_tokens"), [("operator", "", ""), ("owner", "", "x"), ("viewer", "x", "x")]
)
def test_a_sentence_says_who_does_what_the_reader_may_not(
    browser: Browser, api: RealApi, role: str, failed: str, without_tokens: str
) -> None:
    """Regression: a viewer read "Retry it." without such a button, an owner "Raise TaskTokenBudget"."""
    sentences = {
        PARTLY_FAILED: ("Retry it.", failed),
        NEEDS_PERSON: ("Raise TaskTokenBudget, then retry.", without_tokens),
    }
    with console_in(browser, api.url, role=role) as console:
        for task_id, (sentence, other) in sentences.items():
            console.open(f"/tasks/{task_id}")
            by = " An operator can do it." if other else ""
            expect(console.page.locator(".task-head ~ .needs")).to_have_text(
                f"▲ Needs a person. {sentence}{by}"
            )


@pytest.mark.parametrize("role", ["owner", "viewer", "operator"])
@pytest.mark.parametrize("width", [360, 700, 701, 768, 900, 1000, 1001, 1280, 1600])
def test_a_task_in_the_list_has_room_for_its_title_and_few_lines(
    browser: Browser, api: RealApi, width: int, role: str
) -> None:
    with console_in(browser, api.url, Look(width=width), role) as console:
        console.open("/tasks")
        title = console.page.locator(".task .title .text", has_text="Systems engineer").first
        expect(title).to_be_visible()
        sizes = title.evaluate(
            "each => [each.clientWidth, each.scrollWidth, each.closest('.task').clientHeight]"
        )
        assert sizes[0] >= sizes[1], "the title is not cut"
        assert sizes[0] >= (180 if width < 700 else 300 if width <= 1000 else 220)
        assert sizes[2] <= (112 if width <= 700 else 76 if width <= 1000 else 40)
        pills = console.page.locator(".task .pill")
        ends = pills.evaluate_all("all => all.map((each) => Math.round(each.getBoundingClientRect().right))")
        assert width > 1000 or len(set(ends)) == 1, "states stand below each other"
        assert console.overflow() == 0


def test_a_cancelled_task_misses_what_it_has_not_started_and_shows_no_failure(console: Console) -> None:
    """Regression: its items count neither as saved nor as failed, so that it seemed to miss nothing."""
    console.open(f"/tasks?q={CANCELLED}")
    task = console.page.locator(".task")
    expect(task).to_contain_text(f"{TYPES} of {24 * TYPES}")
    expect(task.locator(".part-M")).to_be_visible()
    expect(task.locator(".part-F")).to_have_count(0)


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_dialogs_are_accessible_and_fit(browser: Browser, api: RealApi, look: Look) -> None:
    with console_in(browser, api.url, look, "operator") as console:
        console.open(TASK)
        console.page.locator(".task-actions .primary").click()
        console.page.locator("dialog .tiles").wait_for()
        assert console.axe() == []
        console.page.keyboard.press("Escape")
        expect(console.page.locator("dialog")).to_have_count(0)
        console.open("/failures")
        console.page.locator(".group-actions button").first.click()
        console.page.locator("dialog .tiles").wait_for()
        assert console.axe() == []
        assert console.overflow() == 0


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_the_page_to_sign_in_is_accessible(browser: Browser, api: RealApi, look: Look) -> None:
    with console_in(browser, api.url, look) as console:
        console.open()
        expect(console.page.locator("#token")).to_be_visible()
        assert console.axe() == []
        assert console.overflow() == 0


@pytest.mark.parametrize("status", SENTENCES)
@pytest.mark.parametrize("view", ["tasks", "task", "failures", "recoveries", "health"])
def test_a_refused_request_shows_a_message_and_a_next_step(
    console: Console, api: RealApi, status: int, view: str
) -> None:
    console.answer_with(status)
    console.open(views(api)[view])
    note = console.page.get_by_role("alert")
    if status == 403 and view in ("recoveries", "health"):
        expect(note).to_contain_text("Only operators and viewers can see")
    else:
        expect(note).to_contain_text(SENTENCES[status])
    expect(note.get_by_role("button", name="Try again")).to_be_visible()
    since = ["Since", "What still works"] if status != 403 else []
    expect(note.locator("dt")).to_have_text([*since, "Next step"])
    expect(note.get_by_role("heading")).to_be_visible()
    expect(console.page.locator("main h1")).to_be_visible()
    expect(console.page.locator("main :is(.chips, .filters)")).to_have_count(0)  # they would change nothing
    assert console.axe() == []


def test_an_outage_keeps_the_time_of_its_beginning_and_the_runbook(console: Console) -> None:
    console.answer_with(503)
    console.open("/tasks")
    note = console.page.get_by_role("alert")
    begin = note.locator("time").get_attribute("datetime")
    with console.page.expect_request(re.compile("/api/v1/tasks")):
        console.page.evaluate("dispatchEvent(new Event('online'))")
    expect(note.locator("time")).to_have_attribute("datetime", begin or "")
    note.get_by_role("link", name="Runbook").click()
    expect(console.page.get_by_role("heading", name="A thousand tasks failed")).to_be_visible()


def test_without_a_network_the_view_stays_and_updates_again_until_it_is_paused(console: Console) -> None:
    console.open("/tasks?q=Systems")
    console.settled()
    console.page.context.set_offline(True)
    expect(console.page.get_by_role("alert").first).to_contain_text("The API cannot be reached")
    expect(console.page.get_by_role("button", name=re.compile("^Interrupted"))).to_be_visible()
    expect(console.page.get_by_role("link", name="Systems engineer")).to_be_visible()
    console.page.context.set_offline(False)
    expect(console.page.get_by_role("alert")).to_have_count(0)
    console.page.get_by_role("button", name=re.compile("^Live")).click()
    expect(console.page.get_by_role("button", name=re.compile("^Paused"))).to_be_visible()


def test_an_expired_token_leads_back_to_the_same_view(console: Console) -> None:
    console.answer_with(401)
    console.open("/failures?content_type=quiz")
    expect(console.page.get_by_role("alert")).to_contain_text("expired")
    console.page.unroute_all()
    console.page.get_by_label("Token").fill(token_of("operator"))
    console.page.get_by_label("Token").press("Enter")
    expect(console.page.get_by_role("heading", name="Failures")).to_be_visible()
    assert console.page.url.endswith("#/failures?content_type=quiz")


@pytest.mark.parametrize(
    ("path", "sentence", "action"),
    [
        ("/tasks", "There are no tasks yet", "roadmap run TASK_ID"),
        ("/tasks?q=nothing", "No task matches this filter", ""),
        ("/failures", "There are no failures", ""),
        ("/recoveries", "There has been no recovery yet", "Start one"),
        ("/health", "All is well", ""),
    ],
)
def test_an_empty_system_shows_a_message_and_what_the_role_may_do(
    browser: Browser, empty: RealApi, path: str, sentence: str, action: str
) -> None:
    for role in ("operator", "viewer"):
        with console_in(browser, empty.url, role=role) as console:
            console.open(path)
            main = console.page.locator("main")
            expect(main).to_contain_text(sentence)
            assert (action in main.inner_text()) == (role == "operator" or not action)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nothing-like-it", "does not exist any more"),
        ("..", "does not exist any more"),
        ("a/../b", "was not accepted"),
        (HOSTILE, "was not accepted"),
    ],
)
def test_an_unknown_task_shows_a_message(console: Console, name: str, sentence: str) -> None:
    console.open(f"/tasks/{quote(name, safe='')}")
    expect(console.page.get_by_role("alert").get_by_role("heading")).to_contain_text(sentence)
    expect(console.page.get_by_role("alert").locator("dt")).to_have_text("Next step")
    expect(console.page.get_by_role("button", name="Try again")).to_have_count(0)
    console.page.get_by_role("link", name="All tasks").click()
    expect(console.page.get_by_role("heading", name="Tasks")).to_be_visible()


@pytest.mark.parametrize("look", [Look(), NARROW], ids=str)
def test_texts_from_content_and_ids_are_never_executed_or_styled(
    browser: Browser, api: RealApi, look: Look
) -> None:
    with console_in(browser, api.url, look, "operator") as console:
        console.open("/tasks?user_id=hostile")
        page = console.page
        for text in (HOSTILE, RTL, LONG):
            expect(page.locator(".task .text", has_text=text)).to_be_attached()
        assert console.overflow() == 0
        page.locator(".task a", has_text=HOSTILE).click()
        console.settled()
        page.locator(".row").nth(0).click()
        page.locator(".drawer .item .facts").first.wait_for()
        assert console.overflow() == 0
        assert console.axe() == []
        assert page.locator("main img, main style, main script").count() == 0
        assert page.title() != "run"
        assert page.locator("header").is_visible()


def test_the_map_is_walked_by_keyboard_alone(console: Console) -> None:
    page = console.page
    console.open(TASK)
    console.settled()
    page.locator(".map [tabindex='0']").focus()
    assert page.locator(".map [tabindex='0']").count() == 1

    def place() -> int:
        return int(page.evaluate("document.activeElement.dataset.index ?? '-1'"))

    for key, index in (
        ("ArrowRight", 1),
        ("ArrowDown", 2),
        ("ArrowLeft", 1),
        ("End", CONCEPTS - 1),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert place() == index, key
    page.keyboard.press("n")
    first = place()
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "failed" in label or "rejected" in label
    page.keyboard.press("n")
    assert place() > first
    page.keyboard.press("Shift+N")
    assert place() == first
    page.keyboard.press("Enter")
    expect(page.locator("#drawer-heading")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator(".drawer")).to_have_count(0)
    expect(page.locator(f".map [data-index='{first}']")).to_be_focused()


def test_three_thousand_concepts_are_one_picture(console: Console, api: RealApi) -> None:
    page = console.page
    console.open(f"/tasks/{large(api)}")
    page.locator(".cell").first.wait_for()
    assert page.locator(".cell").count() == 3000
    assert page.evaluate("document.querySelectorAll('*').length") < 3 * 3000
    assert page.locator("svg path.state-F").count() > 0
    page.get_by_label("Find a concept").fill("Attention and decoding 1")
    page.get_by_label("Find a concept").press("Enter")
    expect(page.locator("#drawer-heading")).to_contain_text("Attention and decoding 1")
    page.keyboard.press("Escape")
    page.locator(".reasons li button").first.click()
    expect(page.locator("path.dim").first).to_be_attached()
    assert "reason=" in page.url


def test_polling_requests_only_states(console: Console, api: RealApi) -> None:
    api.requests.clear()
    console.open(f"/tasks/{RUNNING}")
    with console.page.expect_request(lambda request: "states_only=true" in request.url):
        pass
    with_names = [each for each in api.requests if re.search(r"/items\?(?!.*states_only)", each)]
    assert len(with_names) == 1


def test_a_task_that_stands_still_says_why_and_nothing_of_it_pulses(console: Console, api: RealApi) -> None:
    page = console.page

    def expect_still(reason: str) -> None:
        console.open("/tasks/waiting")
        console.settled()
        expect(page.locator(".note", has_text=reason)).to_be_visible()
        expect(page.locator(".reasons li")).to_have_text(
            re.compile("Not generated yet.*This attempt generates it")
        )
        expect(page.locator(".attempt")).to_contain_text("Waiting")
        expect(page.locator(".attempt .counts")).to_be_empty()
        assert page.evaluate("document.getAnimations().length") == 0
        expect(page.get_by_role("link", name="Open the execution")).to_have_count(0)  # there is none

    with waiting(api, "waiting"):
        expect_still("Waits in the queue, place 1")
        console.open("/health")
        expect(page.locator(".tiles")).to_contain_text(
            re.compile("Attempts in the queueThe oldest joined .*1")
        )
        with stopped(api, "the bill"):
            expect_still("Generation is stopped. “the bill”")
    console.open(f"/tasks/{RUNNING}")
    console.settled()
    expect(page.locator(".running")).to_be_visible()
    expect(page.locator(".attempt .counts")).to_have_text(
        re.compile(f"^planned {24 * TYPES}.*generating and saving$")
    )
    expect(page.locator(".attempt .counts")).not_to_contain_text("saved 0")  # it is counted at the end
    assert page.evaluate("document.getAnimations().length") == 1


def test_an_operator_resumes_generation_where_the_stop_is_read(
    browser: Browser, console: Console, api: RealApi
) -> None:
    page = console.page
    with stopped(api, "the bill"):
        with console_in(browser, api.url, role="viewer") as other:
            other.open("/failures")
            expect(other.page.locator(".stopped")).to_contain_text("staged content is saved")
            expect(other.page.locator(".stopped button")).to_have_count(0)
        console.open("/health")
        expect(page.locator(".stopped")).to_contain_text("operator op-7")
        expect(page.get_by_text("Generation is stopped.")).to_have_count(1)
        assert console.axe() == []
        page.get_by_role("button", name="Resume generation").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Resume generation").click()
        expect(dialog).to_contain_text("Give a reason")
        dialog.get_by_label("Reason").fill("the quota was raised")
        dialog.get_by_role("button", name="Resume generation").click()
        expect(page.locator(".stopped")).to_have_count(0)
        assert api.send("GET", "/capacity")["changes"][0]["reason"] == "the quota was raised"


def test_a_task_in_the_list_shows_its_present_progress_and_its_place_in_the_queue(
    console: Console, api: RealApi
) -> None:
    """Regression: both were a first attempt under way."""
    with waiting(api, "waits"):
        console.open("/tasks?status=processing")
        rows = console.page.locator(".task")
        expect(rows.filter(has_text="从零开始的数据工程")).to_contain_text(f"{10 * TYPES} of {24 * TYPES}")
        expect(rows.filter(has_text="Waiting course")).to_contain_text("queued, place 1")


def test_the_task_of_an_erased_user_shows_the_receipt_and_no_start(console: Console, api: RealApi) -> None:
    """Regression: it read like a task of the product, and its button would have generated it again."""
    pipeline = load(api, "of-erased", "Cryptography", user="erased")
    own = concept("of-erased", 1)
    stage(pipeline, own, ContentType.QUIZ, quiz(own, note="\x00"))
    api.executions.begin("of-erased")
    api.play("of-erased")
    receipt = erased(api.services, "erased").receipt
    assert receipt
    page = console.page
    console.open("/tasks?user_id=erased")
    expect(page.locator(".task .state")).to_have_text("erased")
    expect(page.locator(".task").get_by_role("checkbox")).to_be_disabled()
    expect(page.get_by_role("checkbox", name="Select all shown")).not_to_be_checked()
    expect(page.get_by_role("button", name=re.compile("^Heal "))).to_have_count(0)
    page.locator(".task .title").click()
    console.settled()
    expect(page.locator(".note")).to_contain_text(re.compile(f"^Erased on .*Receipt {receipt.erasure_id}"))
    expect(page.locator("main .primary, .task-actions button, .reasons, .attempts")).to_have_count(0)
    assert console.axe() == []
    # Regression: "The next attempt generates it". A link may also have a type that does not exist.
    console.open(f"/tasks/of-erased?item={quote(own, safe='')}&type=video")
    page.get_by_role("tab", name="quiz").click()
    expect(page.locator(".drawer .item")).to_contain_text("Nothing is staged.")
    expect(page.locator(".drawer")).not_to_contain_text(re.compile("attempt|Retry", re.IGNORECASE))
    console.open("/tasks/of-erased?item=removed")
    expect(page.locator(".task-main > .note")).to_contain_text("no concept with the id in this link")
    expect(page.locator(".drawer")).to_have_count(0)


def test_a_task_that_the_product_is_processing_can_be_taken_over(console: Console, api: RealApi) -> None:
    page = console.page
    console.open(f"/tasks/{ELSEWHERE}")
    expect(page.locator("main .primary")).to_have_count(0)  # the product is at work on it
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("The product's own workers are processing this task")
    page.get_by_role("button", name="Take it over").click()
    page.get_by_role("dialog").get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".toast")).to_have_text("The retry has started.")
    api.play(ELSEWHERE)  # otherwise it keeps its slots, and other tests' attempts wait


def test_a_redrive_that_is_not_possible_is_answered_with_the_reason(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{FORGOTTEN}")
    expect(page.get_by_role("button", name="Redrive the last run")).to_be_hidden()
    page.locator(".choices summary", has_text="More").click()
    expect(page.get_by_role("button", name="Redrive the last run")).to_have_accessible_description(
        re.compile("same execution continues, with its history.*work is that of a retry")
    )
    page.get_by_role("button", name="Redrive the last run").click()
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Use Retry instead")


def test_a_viewer_has_no_buttons_that_change_anything(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url, role="viewer") as console:
        page = console.page
        recovery = f"/recoveries/{api.recoveries['running']}"
        for path in ("/tasks?status=failed", TASK, f"/tasks/{UNTOUCHED}", "/failures", recovery, "/health"):
            console.open(path)
            console.settled()
            expect(page.locator("main h1")).to_be_visible()
            assert (
                page.locator("main .primary, main .danger, main input[type=checkbox]:not(.chip *)").count()
                == 0
            )
            assert "Start" not in "".join(page.locator("main .note").all_inner_texts())
            for name in ("Heal", "Retry", "Redrive", "Cancel task", "Pause", "Cancel recovery"):
                assert page.get_by_role("button", name=re.compile(f"^{name}( |$)")).count() == 0, (path, name)


def test_filters_are_in_the_address_and_survive_a_reload(console: Console) -> None:
    page = console.page
    console.open()
    page.locator(".chip", has_text="incomplete").click()
    page.get_by_role("button", name="Filter").click()
    page.get_by_label("Content type").select_option("quiz")
    page.get_by_label("Search").fill("Systems")
    page.get_by_label("Search").press("Enter")
    page.wait_for_url(re.compile("q=Systems"))
    rows = page.locator(".task")
    expect(rows.first).to_contain_text("Systems engineer")
    console.settled()
    shown = rows.count()
    page.reload()
    expect(page.locator(".task")).to_have_count(shown)
    expect(page.get_by_label("incomplete")).to_be_checked()
    assert page.get_by_label("Search").input_value() == "Systems"
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_label("Content type")).to_be_hidden()


def test_the_language_is_the_browsers_and_can_be_changed(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url, Look("zh"), "operator") as console:
        console.open()
        expect(console.page.get_by_role("heading", name="任务")).to_be_visible()
        assert console.page.locator("html").get_attribute("lang") == "zh-CN"
        console.page.get_by_role("button", name="English").click()
        expect(console.page.get_by_role("heading", name="Tasks")).to_be_visible()
        console.page.get_by_role("link", name="Health").click()
        expect(console.page.get_by_role("heading", name="Health", exact=True)).to_be_visible()


def test_the_runbook_leads_to_a_section_and_breaks_no_word(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url, NARROW, "operator") as console:
        page = console.page
        console.open("/runbook")
        state = page.locator("td code", has_text="paused_by_breaker").first
        box = state.bounding_box()
        assert box is not None
        assert box["height"] < 25, "one line"
        assert console.overflow() == 0
        cut = "all => all.filter((each) => each.scrollWidth > each.clientWidth).length"
        assert page.locator(".runbook .scroll").evaluate_all(cut) == 0
        expect(page.locator(".contents a").first).to_have_attribute("href", re.compile("^#/runbook/a-thous"))
        symptom = page.get_by_role("row", name=re.compile("^a task does not move"))
        symptom.get_by_role("link").click()
        expect(page.get_by_role("heading", name="A task stays in processing")).to_be_focused()
        assert console.axe() == []


@pytest.mark.parametrize(("path", "target"), [("/tasks", ".task .title"), (TASK, ".map .row")])
def test_six_tab_presses_reach_the_first_task_and_the_map(console: Console, path: str, target: str) -> None:
    page = console.page
    console.open(path)
    page.locator(target).first.wait_for()
    page.reload()  # the focus is at the beginning of the page
    page.locator(target).first.wait_for()
    keys = ["Tab", "Tab", "Enter", "Tab"]
    for pressed in range(6):
        page.keyboard.press(keys[pressed] if pressed < len(keys) else "Tab")
        if page.evaluate("target => document.activeElement.matches(target)", target):
            return
    raise AssertionError(page.evaluate("document.activeElement.outerHTML"))


def test_a_printed_task_has_its_content_and_no_controls(console: Console) -> None:
    page = console.page
    console.open(TASK)
    console.settled()
    page.pdf()
    fold = page.locator(".reasons details").first
    expect(fold).to_have_attribute("open", "")
    page.emulate_media(media="print")
    for hidden in ("header", ".task-actions button", ".choices summary"):
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator(".map .row-name").first).to_be_visible()


def test_the_palette_keeps_its_height_and_has_the_actions_of_the_page(console: Console) -> None:
    page = console.page
    console.open(TASK)
    console.settled()
    page.keyboard.press("Control+k")
    dialog = page.get_by_role("dialog")
    for action in ("Retry missing", "Redrive the last run"):
        expect(dialog.get_by_role("option", name=action)).to_be_visible()
    height = dialog.evaluate("each => each.offsetHeight")
    page.keyboard.type("retry miss")
    expect(dialog.get_by_role("option")).to_have_count(1)
    assert dialog.evaluate("each => each.offsetHeight") == height
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading", name="Retry missing content")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.evaluate("location.hash = '#/failures'")  # as Back does
    expect(page.get_by_role("heading", name="Failures")).to_be_visible()
    expect(dialog).to_have_count(0)


def test_selected_tasks_are_retried_after_a_preview_with_a_reason(console: Console, api: RealApi) -> None:
    page = console.page
    for status in ("completed", "processing"):
        console.open(f"/tasks?status={status}")
        expect(page.locator(f".task .{'good' if status == 'completed' else 'busy'}").first).to_be_visible()
        expect(page.locator(".tasks input:enabled")).to_have_count(0)
        expect(page.get_by_role("button", name=re.compile("^Heal "))).to_have_count(0)
    console.open("/tasks?q=broken-4")
    boxes = page.locator(".task input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    chosen = page.locator(".task:has(:checked) .title").evaluate_all("all => all.map((each) => each.hash)")
    assert console.axe() == []
    page.get_by_role("button", name="Heal 2 selected").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".tiles")).to_contain_text(f"to generate{2 * TYPES}")
    dialog.get_by_role("button", name="Start the recovery").click()
    expect(dialog).to_contain_text("Give a reason")
    dialog.get_by_label("Reason").fill("two of the outage")
    dialog.get_by_label("Tasks per minute").fill("120")
    dialog.get_by_role("button", name="Start the recovery").click()
    expect(page.get_by_role("heading", name="two of the outage")).to_be_visible()
    (recovery,) = [
        each for each in api.send("GET", "/recoveries")["items"] if each["reason"] == "two of the outage"
    ]
    assert [f"#/tasks/{task_id}" for task_id in recovery["filter"]["task_ids"]] == chosen
    assert (recovery["rate_per_minute"], recovery["canary"], recovery["breaker"]) == (120, 5, 10)
    expect(page).to_have_url(re.compile(f"#/recoveries/{recovery['recovery_id']}"))


def test_a_task_is_cancelled_after_a_confirmation_with_a_reason(console: Console, api: RealApi) -> None:
    running(api, "to-cancel")
    page = console.page
    console.open("/tasks/to-cancel")
    api.requests.clear()
    page.get_by_role("button", name="Cancel task").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Staged content is kept")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert not [each for each in api.requests if each.startswith("POST")]
    page.get_by_role("button", name="Cancel task").click()
    dialog.get_by_label("Reason").fill("the course is withdrawn")
    dialog.get_by_role("button", name="Cancel the task").click()
    expect(page.locator(".toast")).to_have_text("The task is cancelled.")
    expect(page.locator(".task-head")).to_contain_text("cancelled")
    assert api.executions.of("to-cancel") == []
    expect(page.locator(".note")).to_contain_text("the course is withdrawn")


def test_pages_without_rows_are_skipped_until_the_list_ends(console: Console) -> None:
    """The API reads a limited number of tasks per page, so that a page may be empty."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) < 3:
            page = {"items": [], "next_cursor": f"c{len(asked)}", "total": 10_000, "total_is_exact": False}
            route.fulfill(json=page)
        else:
            route.continue_(url=re.sub("&cursor=c2$", "", route.request.url))

    console.page.route("**/tasks?*", answer)
    console.open("/tasks?q=broken-50")
    expect(console.page.locator(".task")).to_have_count(1)
    expect(console.page.get_by_role("button", name="Show more")).to_have_count(0)
    assert [re.findall("cursor=(c.)", url) for url in asked[:3]] == [[], ["c1"], ["c2"]]


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_each_task_that_is_not_complete_has_a_reason_in_the_list(
    browser: Browser, api: RealApi, look: Look
) -> None:
    """Regression: a red "failed" stood beside "not started" and an empty reason."""
    with console_in(browser, api.url, look, "operator") as console:
        console.open(f"/tasks?{'&'.join(f'status={each}' for each in ('failed', 'pending', 'cancelled'))}")
        rows = console.page.locator(".task")
        expect(rows.nth(20)).to_be_visible()
        assert [
            each for each in rows.locator(".reason").all_inner_texts() if len(each.strip("▲ \n")) < 4
        ] == []
        never_run = rows.filter(has_text="Broken roadmap").first
        expect(never_run).to_contain_text(
            "failed in the product" if look.language == "en" else "在产品中失败"
        )


def test_a_recovery_that_a_person_must_look_at_is_seen_in_the_list(console: Console) -> None:
    """Regression: all had the same grey edge."""
    console.open("/recoveries")
    edges = {
        state: console.page.locator(".group", has_text=text).first.evaluate(
            "each => getComputedStyle(each).borderInlineStartColor"
        )
        for state, text in (
            ("paused", "paused by breaker, release"),
            ("stopped", "stopped by canary, release"),
            ("running", "after the database outage of"),
        )
    }
    assert edges["paused"] == edges["stopped"] != edges["running"]


def test_the_sheet_on_a_phone_shows_the_reason_and_the_filters_of_the_list_are_all_seen(
    browser: Browser, api: RealApi
) -> None:
    with console_in(browser, api.url, NARROW, "owner") as console:
        page = console.page
        console.open(f"/tasks/{PARTLY_FAILED}?item={quote(concept(PARTLY_FAILED, 2), safe='')}&type=quiz")
        page.locator(".drawer mark").first.wait_for()
        # What would scroll the sheet has run before the second frame.
        page.evaluate("() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")
        reason = page.locator(".drawer .note p").first.bounding_box()
        head = page.locator(".drawer-head").bounding_box()
        assert reason is not None
        assert head is not None
        assert head["y"] + head["height"] <= reason["y"] <= 740 - reason["height"]
        page.locator(".choices summary").click()
        menu = page.locator(".choices > div").bounding_box()
        assert menu is not None
        assert 0 <= menu["x"] <= 360 - menu["width"]
        console.open("/tasks")
        chips = page.locator(".filters .chip")
        expect(chips).to_have_count(6)
        sides = "all => all.map((each) => each.getBoundingClientRect().right)"
        assert max(chips.evaluate_all(sides)) <= NARROW.width


def test_a_number_of_health_is_announced_after_its_name_and_leads_to_what_it_counts(console: Console) -> None:
    console.alter("**/health", lambda body: body.update(stuck_tasks=2))
    console.open("/health")
    console.settled()
    tiles = console.page.locator(".tiles > div")
    names = tiles.evaluate_all("all => all.map((each) => each.firstElementChild.tagName)")
    assert names == ["DT"] * tiles.count()
    stuck = tiles.filter(has_text="Stuck tasks").get_by_role("link", name="2")
    expect(stuck).to_have_attribute("href", "#/tasks?status=processing")


def test_the_sentence_that_decides_is_not_the_palest(console: Console) -> None:
    """Regression: two controls stood in each row, and the fate of the items was grey."""
    console.open(TASK)
    row = console.page.locator(".reasons li").first
    colour = "each => getComputedStyle(each).color"
    decides = row.locator(":is(.heals, .needs)").evaluate(colour)
    assert decides == row.locator(".reason-what > p").first.evaluate(colour)
    assert decides != row.locator(".meta").first.evaluate(colour)
    expect(console.page.locator(".reasons").get_by_text("Recorded text")).to_have_count(1)
    row.get_by_role("button", name=re.compile("Show on the map")).click()
    expect(console.page.locator("path.dim").first).to_be_attached()
