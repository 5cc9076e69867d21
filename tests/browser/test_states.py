"""Every state of every view, including rare ones, on the simulated API."""

import json
import re
from collections.abc import Iterator
from threading import Event
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.driver import LOOKS, Console, Look, console_in
from tests.browser.fake_api import REQUESTS, token_of
from tests.browser.fake_data import CONSOLE, HOSTILE, LONG, RTL, task_id

NARROW = Look(width=360)
TASK = f"/tasks/{task_id(0)}"
VIEWS = {
    "tasks": "/tasks?status=failed&status=partial_failure",
    "task": TASK,
    "task-of-300": f"/tasks/{task_id(1)}",
    "task-with-drawer": f"{TASK}?item={quote('roadmap-9b2c8d4e:c-3', safe='')}&type=tutorial",
    "task-running": f"/tasks/{task_id(3)}",
    "failures": "/failures",
    "recoveries": "/recoveries",
    "recovery": "/recoveries/rec-0",
    "health": "/health",
}
SENTENCES = {
    "down": "The API does not respond at the moment",
    "busy": "The API has too many requests",
    "forbidden": "Your role does not allow this",
}


@pytest.fixture
def console(browser: Browser, fake: str) -> Iterator[Console]:
    with console_in(browser, fake) as opened:
        yield opened


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_view_is_accessible_and_fits(browser: Browser, fake: str, look: Look) -> None:
    found: dict[str, object] = {}
    with console_in(browser, fake, look) as console:
        console.open(token=token_of("operator"))
        for name, path in VIEWS.items():
            console.open(path)
            console.settled()
            if name == "task-with-drawer":
                console.page.locator(".drawer .item .facts").first.wait_for()
            if faults := console.axe():
                found[name] = faults
            if console.overflow() > 0:
                found[f"{name} is too wide by"] = console.overflow()
    assert found == {}


@pytest.mark.parametrize(
    "look", [NARROW, Look("zh", "dark", 360), Look(width=768), Look(width=1100)], ids=str
)
def test_the_header_is_one_row(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look, has_touch=look == NARROW) as console:
        console.open("/tasks", token_of("operator"))
        header = console.page.locator("header").bounding_box()
        assert header is not None
        assert header["height"] < 60
        if look.width < 1000:
            console.page.get_by_role("button", name=re.compile("^(Menu|菜单)$")).click()
            assert console.axe() == []
        expect(console.page.get_by_role("button", name=re.compile("^(Sign out|退出)"))).to_be_visible()


def test_the_header_names_the_caller_once(console: Console) -> None:
    console.open("/tasks", token_of("operator"))  # the user's name is the role's
    expect(console.page.locator(".who")).to_have_text("operator")


def test_an_owner_is_offered_no_view_that_the_api_refuses(console: Console) -> None:
    console.open("/tasks", token_of("owner"))
    expect(console.page.locator("nav a")).to_have_text(["Tasks", "Failures"])


@pytest.mark.parametrize("width", [360, 700, 768, 900, 1000, 1001, 1280, 1600])
def test_a_task_in_the_list_has_room_for_its_title(browser: Browser, fake: str, width: int) -> None:
    with console_in(browser, fake, Look(width=width)) as console:
        console.open("/tasks", token_of("operator"))
        first = console.page.locator("tbody tr").first
        box = first.locator("td.main").bounding_box()
        assert box is not None
        assert box["width"] >= 160
        row = first.bounding_box()
        assert row is not None
        assert row["height"] < 230  # eight lines: the user is one of them
        assert console.overflow() == 0


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_dialogs_are_accessible_and_fit(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look) as console:
        console.open(TASK, token_of("operator"))
        console.page.locator(".task-actions .primary").click()
        console.page.locator("dialog .tiles").wait_for()
        assert console.axe() == []
        console.page.keyboard.press("Escape")
        expect(console.page.locator("dialog")).to_have_count(0)
        console.open("/failures")
        console.page.locator(".group-actions .primary").first.click()
        console.page.locator("dialog .tiles").wait_for()
        assert console.axe() == []
        assert console.overflow() == 0


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_the_page_to_sign_in_is_accessible(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look) as console:
        console.open()
        assert console.axe() == []
        assert console.overflow() == 0


@pytest.mark.parametrize("subject", SENTENCES)
@pytest.mark.parametrize("view", ["tasks", "task", "failures", "recoveries", "health"])
def test_a_refused_request_shows_a_message_and_a_next_step(console: Console, subject: str, view: str) -> None:
    console.open(VIEWS[view], token_of(subject))
    note = console.page.get_by_role("alert")
    if subject == "forbidden" and view in ("recoveries", "health"):
        expect(note).to_contain_text("Only operators and viewers can see")
    else:
        expect(note).to_contain_text(SENTENCES[subject])
    expect(note.get_by_role("button", name="Try again")).to_be_visible()
    assert console.axe() == []


def test_without_a_network_the_view_stays_and_updates_again_afterwards(console: Console) -> None:
    console.open(TASK, token_of("operator"))
    console.settled()
    console.page.context.set_offline(True)
    expect(console.page.get_by_role("alert").first).to_contain_text("The API cannot be reached")
    expect(console.page.get_by_role("heading", name="Systems engineer")).to_be_visible()
    console.page.context.set_offline(False)
    expect(console.page.get_by_role("alert")).to_have_count(0)


def test_an_expired_token_leads_back_to_the_same_view(console: Console) -> None:
    console.open("/failures?content_type=quiz", token_of("expired"))
    expect(console.page.get_by_role("alert")).to_contain_text("expired")
    console.page.get_by_label("Token").fill(token_of("operator"))
    console.page.get_by_role("button", name="Sign in").click()
    expect(console.page.get_by_role("heading", name="Failures")).to_be_visible()
    assert console.page.url.endswith("#/failures?content_type=quiz")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/tasks", "There are no tasks yet"),
        ("/tasks?q=nothing", "No task matches this filter"),
        ("/failures", "There are no failures"),
        ("/recoveries", "There has been no recovery yet"),
        ("/health", "All is well"),
    ],
)
def test_an_empty_system_shows_a_message(console: Console, path: str, sentence: str) -> None:
    console.open(path, token_of("empty"))
    expect(console.page.locator("main")).to_contain_text(sentence)


@pytest.mark.parametrize("name", ["nothing-like-it", "..", "a/../b", HOSTILE])
def test_an_unknown_task_shows_a_message(console: Console, name: str) -> None:
    console.open(f"/tasks/{quote(name, safe='')}", token_of("operator"))
    expect(console.page.get_by_role("alert")).to_contain_text("does not exist any more")
    console.page.get_by_role("link", name="All tasks").click()
    expect(console.page.get_by_role("heading", name="Tasks")).to_be_visible()


@pytest.mark.parametrize("look", [Look(), NARROW], ids=str)
def test_texts_from_content_and_ids_are_never_executed_or_styled(
    browser: Browser, fake: str, look: Look
) -> None:
    with console_in(browser, fake, look) as console:
        console.open("/tasks", token_of("hostile"))
        page = console.page
        for text in (HOSTILE, RTL, LONG):
            expect(page.locator("td.main .text", has_text=text)).to_be_attached()
        assert console.overflow() == 0
        page.locator("td.main a").first.click()
        console.settled()
        page.locator(".row").nth(0).click()
        page.locator(".drawer .item .facts").first.wait_for()
        assert console.overflow() == 0
        assert console.axe() == []
        console.open("/failures")
        expect(page.locator(".group .text", has_text=HOSTILE).first).to_be_attached()
        assert page.locator("main img, main style, main script").count() == 0
        assert "run" not in page.title()
        assert page.locator("header").is_visible()


def test_no_link_has_another_scheme(console: Console) -> None:
    console.open(token=token_of("operator"))
    safe = console.page.evaluate(
        """async urls => {
            const base = document.querySelector('script[type=module]').src;
            const { safeLink } = await import(new URL('markdown.js', base).href);
            return urls.map(safeLink);
        }""",
        ["javascript:alert(1)", "data:text/html,x", " javascript:x", "http://x", "https://a.example/b", None],
    )
    assert safe == [None, None, None, None, "https://a.example/b", None]


def test_the_map_is_walked_by_keyboard_alone(console: Console) -> None:
    page = console.page
    console.open(TASK, token_of("operator"))
    console.settled()
    page.locator(".map [tabindex='0']").focus()
    assert page.locator(".map [tabindex='0']").count() == 1

    def place() -> int:
        return int(page.evaluate("document.activeElement.dataset.index ?? '-1'"))

    for key, index in (("ArrowRight", 1), ("ArrowDown", 2), ("ArrowLeft", 1), ("End", 29), ("Home", 0)):
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


def test_three_thousand_concepts_are_one_picture(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{task_id(2)}", token_of("operator"))
    page.locator(".cell").first.wait_for()
    assert page.locator(".cell").count() == 3000
    assert page.evaluate("document.querySelectorAll('*').length") < 3 * 3000
    assert page.locator("svg path.state-F").count() > 0
    page.get_by_label("Find a concept").fill("Attention and decoding 1")
    page.get_by_label("Find a concept").press("Enter")
    expect(page.locator("#drawer-heading")).to_contain_text("Attention and decoding 1")
    page.keyboard.press("Escape")
    page.locator(".reasons li > button").first.click()
    expect(page.locator("path.dim").first).to_be_attached()
    assert "reason=" in page.url


def test_polling_requests_only_states(console: Console) -> None:
    REQUESTS.clear()
    console.open(f"/tasks/{task_id(3)}", token_of("operator"))
    with console.page.expect_request(lambda request: "states_only=true" in request.url):
        pass
    with_names = [each for each in REQUESTS if re.search(r"/items\?(?!.*states_only)", each)]
    assert len(with_names) == 1


def test_a_stop_of_generation_is_shown_on_every_page(console: Console) -> None:
    note = console.page.locator(".stopped")
    console.open(token=token_of("stopped"))
    for path in VIEWS.values():
        console.open(path)
        expect(note).to_contain_text("Generation is stopped. the bill")
    assert console.axe() == []


def test_without_a_stop_no_page_shows_one(console: Console) -> None:
    with console.page.expect_response(lambda response: response.url.endswith("/health")):
        console.open(token=token_of("operator"))
    console.settled()
    expect(console.page.locator(".stopped")).to_have_count(0)


def test_a_task_that_the_product_is_processing_can_be_taken_over(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{task_id(9)}", token_of("operator"))
    page.locator(".task-actions .primary").click()
    expect(page.get_by_role("alert")).to_contain_text("The product's own workers are processing this task")
    page.get_by_role("button", name="Take it over").click()
    page.get_by_role("button", name="Start the retry").click()
    expect(page.locator(".toast")).to_have_text("The retry has started.")


def test_a_redrive_that_is_not_possible_is_answered_with_the_reason(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{task_id(2)}", token_of("operator"))
    page.get_by_role("button", name="Redrive the last run").click()
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Use Retry instead")


def test_a_viewer_has_no_buttons_that_change_anything(console: Console) -> None:
    page = console.page
    for path in ("/tasks?status=failed", TASK, "/failures", "/recoveries/rec-0"):
        console.open(path, token_of("viewer"))
        console.settled()
        assert (
            page.locator("main .primary, main .danger, main input[type=checkbox]:not(.chip *)").count() == 0
        )
        for name in ("Heal", "Retry", "Cancel task", "Pause", "Cancel recovery"):
            assert page.get_by_role("button", name=re.compile(f"^{name}( |$)")).count() == 0, (path, name)


def test_filters_are_in_the_address_and_survive_a_reload(console: Console) -> None:
    page = console.page
    console.open(token=token_of("operator"))
    page.get_by_label("incomplete").check()
    page.get_by_label("Content type").select_option("quiz")
    page.get_by_label("Search").fill("Systems")
    page.get_by_label("Search").press("Enter")
    page.wait_for_url(re.compile("q=Systems"))
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text("Systems engineer")
    shown = rows.count()
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(shown)
    expect(page.get_by_label("incomplete")).to_be_checked()
    assert page.get_by_label("Search").input_value() == "Systems"


def test_the_language_is_the_browsers_and_can_be_changed(browser: Browser, fake: str) -> None:
    with console_in(browser, fake, Look("zh")) as console:
        console.open(token=token_of("operator"))
        expect(console.page.get_by_role("heading", name="任务")).to_be_visible()
        assert console.page.locator("html").get_attribute("lang") == "zh-CN"
        console.page.get_by_role("button", name="English").click()
        expect(console.page.get_by_role("heading", name="Tasks")).to_be_visible()
        console.page.get_by_role("link", name="Health").click()
        expect(console.page.get_by_role("heading", name="Health", exact=True)).to_be_visible()


@pytest.mark.parametrize(("look", "note"), [(Look(), 0), (Look("zh"), 1)], ids=["en", "zh"])
def test_the_runbook_says_in_which_language_it_is(browser: Browser, fake: str, look: Look, note: int) -> None:
    with console_in(browser, fake, look) as console:
        console.open("/runbook", token_of("operator"))
        expect(console.page.locator(".markdown h2").first).to_be_visible()
        expect(console.page.get_by_text("操作手册只有英文版")).to_have_count(note)
        assert console.axe() == []


def test_the_runbook_has_contents_and_breaks_no_word_of_a_table(browser: Browser, fake: str) -> None:
    with console_in(browser, fake, NARROW) as console:
        page = console.page
        console.open("/runbook", token_of("operator"))
        state = page.locator("td code", has_text="paused_by_breaker").first
        box = state.bounding_box()
        assert box is not None
        assert box["height"] < 25, "one line"
        assert console.overflow() == 0
        page.get_by_text("Contents").click()
        page.get_by_role("link", name="A task stays in processing").click()
        expect(page.get_by_role("heading", name="A task stays in processing")).to_be_focused()
        assert console.axe() == []


def test_updates_can_be_paused(console: Console) -> None:
    page: Page = console.page
    console.open(token=token_of("operator"))
    console.settled()
    page.get_by_role("button", name=re.compile("^Live")).click()
    expect(page.get_by_role("button", name=re.compile("^Paused"))).to_be_visible()


def test_selected_tasks_are_retried_after_a_preview_with_a_reason(console: Console) -> None:
    page = console.page
    console.open(token=token_of("operator"))
    boxes = page.locator("tbody input[type=checkbox]")
    boxes.nth(0).check()
    boxes.nth(1).check()
    page.get_by_role("button", name="Heal 2 selected").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".tiles")).to_contain_text("647")  # saved from staging
    expect(dialog).to_contain_text("140,000")
    dialog.get_by_role("button", name="Start the recovery").click()
    expect(dialog).to_contain_text("Give a reason")
    dialog.get_by_label("Reason").fill("after the outage")
    dialog.get_by_label("Tasks per minute").fill("120")
    with page.expect_request(lambda request: '"dry_run":false' in (request.post_data or "")) as sent:
        dialog.get_by_role("button", name="Start the recovery").click()
    body = json.loads(sent.value.post_data or "{}")
    assert body["filter"] == {"task_ids": [task_id(0), task_id(1)]}
    assert (body["reason"], body["dry_run"]) == ("after the outage", False)
    assert (body["canary"], body["breaker"]) == (5, 10)
    assert body["rate_per_minute"] == 120
    page.wait_for_url(re.compile("#/recoveries/rec-0"))


def test_a_task_is_cancelled_after_a_confirmation_with_a_reason(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{task_id(3)}", token_of("operator"))
    page.get_by_role("button", name="Cancel task").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Staged content is kept")
    dialog.get_by_label("Reason").fill("the course is withdrawn")
    with page.expect_request(lambda request: "/cancel" in request.url) as sent:
        dialog.get_by_role("button", name="Cancel the task").click()
    assert sent.value.method == "POST"
    assert "reason=the%20course%20is%20withdrawn" in sent.value.url.replace("+", "%20")
    expect(page.locator(".toast")).to_have_text("The task is cancelled.")
    expect(page.locator(".task-head")).to_contain_text("cancelled")


def test_a_cancel_without_confirmation_changes_nothing(console: Console) -> None:
    page = console.page
    REQUESTS.clear()
    console.open(f"/tasks/{task_id(3)}", token_of("owner"))
    page.get_by_role("button", name="Cancel task").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert not [each for each in REQUESTS if each.startswith("POST")]


def test_an_estimated_count_is_marked_as_an_estimate(console: Console) -> None:
    console.open("/health", token_of("operator"))
    expect(console.page.get_by_role("link", name=re.compile("^complete"))).to_contain_text("≈ 10,000")


def test_pages_without_rows_are_skipped_until_the_list_ends(console: Console) -> None:
    """The API reads ten tasks per page; the only match is the 46th of sixty."""
    console.open("/tasks?q=task-0045", token_of("scanned"))
    rows = console.page.locator("table.tasks tbody tr")
    expect(rows).to_have_count(1)
    older = console.page.get_by_role("button", name="Show more")
    older.click()
    expect(older).to_have_count(0)
    expect(rows).to_have_count(1)


def test_what_is_opened_before_the_attempts_arrive_stays_open_and_their_place_is_marked(
    browser: Browser, fake: str
) -> None:
    """Regression: nothing showed that attempts were loading, and the task's log stood in their place."""
    held: list[Route] = []
    released = Event()

    def answer(route: Route) -> None:
        if released.is_set():
            route.continue_()
        else:
            held.append(route)

    with console_in(browser, fake) as console:
        console.page.route("**/attempts?*", answer)
        console.open(f"/tasks/{task_id(10)}", token_of("operator"))
        attempts = console.page.locator(".attempts")
        expect(attempts.get_by_role("status", name="Loading")).to_be_visible()
        log = attempts.locator("details").filter(has_text="Log of this task")
        log.locator("summary").click()
        released.set()
        for route in held:
            route.continue_()
        expect(attempts.get_by_role("status", name="Loading")).to_have_count(0)
        expect(log.locator(".log")).to_be_visible()
        earlier = console.page.locator(".attempts > details:has(> ol .attempt)")
        expect(earlier).not_to_have_attribute("open", "")


def test_each_attempt_has_a_link_to_its_execution(console: Console) -> None:
    console.open(f"/tasks/{task_id(10)}", token_of("operator"))
    link = console.page.locator(".attempt").first.get_by_role("link", name="Open the execution")
    expect(link).to_have_attribute("href", f"{CONSOLE}/run-3")
