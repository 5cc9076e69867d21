"""The texts of the views: content, reasons as sentences, numbers that agree (on real tasks)."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from functions.console import app
from tests.browser.driver import Console, Look, console_in
from tests.browser.real_api import RealApi
from tests.browser.tasks import (
    COMPLETE,
    CONCEPTS,
    HEALED,
    MISSING,
    PARTLY_FAILED,
    UNTOUCHED,
    concept,
    large,
    load,
    partly_failed,
)
from tests.browser.texts import REFUSED_QUESTIONS
from tests.support.factories import TYPES

pytestmark = pytest.mark.nightly

TASK = f"/tasks/{PARTLY_FAILED}"
PHONE = Look(width=360)
SCROLLED = """section => [...section.querySelectorAll("*")].filter(
    (each) => each.scrollHeight > each.clientHeight + 1
        && /auto|scroll/.test(getComputedStyle(each).overflowY)).map((each) => each.className)"""

IN_A_LINE = """each => {
    each.style.whiteSpace = "nowrap";
    const all = each.scrollWidth;
    each.style.whiteSpace = "";
    return each.textContent.length * each.clientWidth / all;
}"""
"""The number of an element's characters for which a line has room."""


def open_item(console: Console, kind: str, number: int, task_id: str = PARTLY_FAILED) -> Locator:
    """Open an item of a task's concept, from 1; return its section."""
    console.open(f"/tasks/{task_id}?item={quote(concept(task_id, number), safe='')}&type={kind}")
    return console.page.locator(f'.drawer [data-type="{kind}"]')


def test_a_tutorial_is_shown_as_text_without_html_of_its_own(console: Console) -> None:
    shown = open_item(console, "tutorial", 3).locator(".content")
    expect(shown.get_by_role("heading", name="What it does")).to_be_visible()
    expect(shown.locator("strong")).to_have_text("query")
    expect(shown.locator("pre")).to_have_text("weights = softmax(q @ k.T)")
    expect(shown.locator("ol > li > ul > li")).to_have_text("with a scale")
    expect(shown.locator("blockquote, td").first).to_be_visible()
    expect(shown).to_contain_text("<img src=x onerror=")
    assert shown.locator("img, script, style").count() == 0
    links = shown.locator("a")
    hrefs = [links.nth(k).get_attribute("href") for k in range(links.count())]
    assert hrefs == ["https://example.org/paper", "https://example.org/x.png"]
    assert console.page.title() != "run"
    assert console.axe() == []


def test_a_picture_is_shown_if_the_deployment_names_its_origin(
    browser: Browser, api: RealApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSOLE_PICTURE_ORIGINS", "https://example.org")
    monkeypatch.setattr(app, "files", app.load())
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'
    with console_in(browser, api.url, role="operator") as console:
        console.page.route(
            "https://example.org/x.png",
            lambda route: route.fulfill(content_type="image/svg+xml", body=drawing),
        )
        shown = open_item(console, "tutorial", 3).locator(".content")
        expect(shown.get_by_role("img", name="A diagram")).to_have_js_property("naturalWidth", 40)
        assert console.axe() == []


def test_a_lesson_is_read_in_lines_of_65_to_70_characters_and_printed_alone(console: Console) -> None:
    page = console.page
    open_item(console, "tutorial", 3).get_by_role("button", name="Read").click()
    lesson = page.get_by_role("dialog")
    assert 65 <= lesson.get_by_text("is compared with every").evaluate(IN_A_LINE) <= 70
    assert console.axe() == []
    page.emulate_media(media="print")
    expect(lesson.get_by_role("heading", name="What it does")).to_be_visible()
    for hidden in ("header", ".task-main", ".drawer-head", ".tabs", "dialog button"):
        expect(page.locator(hidden).first).to_be_hidden()
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": 360, "height": 740})
    assert lesson.evaluate("each => [each.offsetWidth, each.offsetHeight]") == [360, 740]
    assert console.overflow() == 0


@pytest.mark.parametrize("width", [701, 768, 1000])
def test_the_number_of_a_task_is_one_line_beside_an_open_item(
    browser: Browser, api: RealApi, width: int
) -> None:
    """Regression: at 768 pixels the buttons left it 40."""
    with console_in(browser, api.url, Look(width=width), "owner") as console:
        open_item(console, "tutorial", 3).locator(".content").wait_for()
        assert console.page.locator(".saved").evaluate("each => each.clientHeight") < 60


def test_a_quiz_is_shown_with_its_answers(console: Console) -> None:
    shown = open_item(console, "quiz", 3).locator(".content")
    expect(shown.locator(".quiz > li")).to_have_count(2)
    expect(shown.locator(".right-answer .text")).to_have_text(["The query", "The projections", "The output"])
    expect(shown).to_contain_text("The softmax has no weights.")
    assert console.axe() == []


def test_resources_are_links_if_they_are_safe(console: Console) -> None:
    shown = open_item(console, "resources", 3).locator(".content")
    expect(shown).to_contain_text("A link without TLS")
    expect(shown.get_by_role("link")).to_have_count(1)
    expect(shown.get_by_role("link")).to_have_attribute("href", "https://example.org/paper")


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_refused_content_is_shown_with_its_fault_marked(browser: Browser, api: RealApi, look: Look) -> None:
    with console_in(browser, api.url, look, "operator") as console:
        console.open("/tasks")
        section = open_item(console, "quiz", 2)
        shown = section.locator(".quiz")
        expect(shown.locator("mark")).to_have_text(r"The \u0000softmax has no weights.")
        expect(shown.locator("mark")).to_be_in_viewport()
        expect(shown).to_contain_text("What is compared with the keys?")
        stored = section.locator("pre.json")
        expect(stored).to_be_hidden()
        section.get_by_text("JSON").click()
        expect(stored.locator("mark")).to_contain_text(r'"explanation": "The \u0000softmax')
        assert json.loads(stored.inner_text())["questions"] == REFUSED_QUESTIONS, "valid when it is copied"
        expect(section).to_contain_text("questions[1].explanation")
        assert section.evaluate(SCROLLED) == [], "the panel is the only scroll area"
        assert console.axe() == []
        assert console.overflow() == 0


DRAW = """async text => {
    const here = document.querySelector("script[type=module]").src.replace("app.js", "");
    const { Markdown } = await import(`${here}markdown.js`);
    const { h, render } = await import(`${here}vendor/preact.js`);
    const place = document.createElement("div");
    render(h(Markdown, { text }), place);
    while (place.firstChild.ariaBusy) await new Promise(requestAnimationFrame);
    return place.firstChild.innerHTML;
}"""
"""Draw a text with the page's own modules."""


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("| a | b |\n|---|:-:|\n| x \\| y | z |", "<td>x | y</td>"),
        ("one  \ntwo", "<p>one<br>two</p>"),
        ("    code", "<code>code</code>"),
        ("~~gone~~", "<s>gone</s>"),
        ("Title\n===", "<h4>Title</h4>"),
        ("&copy; &amp; \\*", "<p>© &amp; *</p>"),
        ("<b onclick=x>bold</b>", "<p>&lt;b onclick=x&gt;bold&lt;/b&gt;</p>"),
        ("[a](javascript:alert(1))", '<span title="javascript:alert(1)">a</span>'),
        ("[a](http://a.example)", '<span title="http://a.example">a</span>'),
        ("https://a.example/x", '<a href="https://a.example/x" target="_blank" rel="noopener noreferrer">'),
        ("![alt](https://elsewhere.example/x.png)", ">▧ alt</a>"),
        ("- one\n- two", "<li>one</li>"),
        ("[^1]: a footnote", "[^1]: a footnote"),
        ("[^1]: word", "[^1]: word"),
        ("- [ ] a box", "[ ] a box"),
    ],
)
def test_a_lesson_is_drawn_as_commonmark_with_tables(console: Console, text: str, drawn: str) -> None:
    console.open(TASK)
    assert drawn in console.page.evaluate(DRAW, text)


MEASURE = """async ([units, kilobytes]) => {
    const here = document.querySelector("script[type=module]").src.replace("app.js", "");
    const { Markdown } = await import(`${here}markdown.js`);
    const { h, render } = await import(`${here}vendor/preact.js`);
    const ready = document.createElement("div");
    render(h(Markdown, { text: "a" }), ready);
    while (ready.firstChild.ariaBusy) await new Promise(requestAnimationFrame);
    return units.map(unit => {
        const text = unit.repeat(kilobytes * 1024 / unit.length);
        const began = performance.now();
        render(h(Markdown, { text }), document.createElement("div"));
        return performance.now() - began;
    });
}"""
SPECIAL = [*'[]!()*_~`#>-+=|\\<&:.\n 1"a']
PROSE = ["A sensor measures the world. Its values are *numbers*, and `code` reads them.\n\n"]


@pytest.mark.parametrize("first", SPECIAL)
def test_the_time_to_draw_a_lesson_grows_with_its_text(console: Console, first: str) -> None:
    """Regression: a text of 3.2 KB took 2.2 s, and eight times as long for twice the text. Each character
    that Markdown knows, alone and with each other one: what is quadratic takes four times as long.
    """
    console.open(TASK)
    (floor,) = console.page.evaluate(MEASURE, [PROSE, 512])
    slow = [first, *(first + second for second in SPECIAL if second != first)]
    for _ in range(4):  # a machine with other work may disturb some of them
        short, long = (console.page.evaluate(MEASURE, [slow, size]) for size in (256, 512))
        measured = zip(slow, short, long, strict=True)
        slow = [unit for unit, half, whole in measured if whole > 2.5 * max(half, floor)]
        if not slow:
            break
    assert slow == []


def test_a_lesson_that_takes_too_long_is_shown_as_its_source(console: Console) -> None:
    """Whatever it is that takes long: here, the clock goes faster."""
    console.open(TASK)
    console.page.evaluate("performance.now = () => (performance.step = (performance.step ?? 0) + 50)")
    assert console.page.evaluate(DRAW, "# Title") == "<h4>Title</h4>"
    assert console.page.evaluate(DRAW, "# Title\n\n" * 50).startswith('<pre tabindex="0"># Title\n')


@pytest.mark.parametrize(("task", "start"), [("right-to-left", "right"), (COMPLETE, "left")])
def test_content_is_read_in_its_own_direction(console: Console, task: str, start: str) -> None:
    """Regression: in Arabic, the bullets were cut, and the bar of a quotation stood on the wrong side."""
    shown = open_item(console, "tutorial", 1, task).locator(".markdown")
    expect(shown).to_be_visible()
    style = "(each, name) => getComputedStyle(each)[name]"
    assert shown.locator("ol").first.evaluate(style, f"padding-{start}") == "22px"
    assert shown.locator("blockquote").evaluate(style, f"border-{start}-width") == "3px"
    question = open_item(console, "quiz", 1, task).locator(".quiz > li").first
    expect(question).to_be_visible()
    texts = [question, *question.locator("ul li").all()]
    directions = [each.evaluate(style, "direction") for each in texts]
    assert directions == (["rtl", "rtl", "ltr"] if start == "right" else ["ltr"] * 3), "each has its own"


def test_the_heading_of_an_opened_item_is_below_the_head_of_the_panel(console: Console) -> None:
    """Also if the item is taller than the panel, which then scrolls."""
    console.page.set_viewport_size({"width": 1280, "height": 500})
    heading = open_item(console, "tutorial", 1).get_by_role("heading", name="Attention")
    expect(heading).to_be_in_viewport(ratio=1)
    head = console.page.locator(".drawer-head").bounding_box()
    box = heading.bounding_box()
    assert head
    assert box
    assert box["y"] >= head["y"] + head["height"]


def test_a_reason_is_a_sentence_and_its_recorded_text_is_one_click_away(console: Console) -> None:
    page = console.page
    console.open(TASK)
    reason = page.locator(".reasons li", has_text="belongs to another concept")
    expect(reason.locator("p").first).to_have_text("Its id already belongs to another concept or roadmap.")
    recorded = reason.get_by_text("the id belongs to another concept or roadmap", exact=True)
    expect(recorded).to_be_hidden()
    reason.get_by_text("Recorded text").click()
    expect(recorded).to_be_visible()
    console.open(f"/tasks?q={PARTLY_FAILED}")
    expect(page.locator(".task").first.locator(".reason")).to_contain_text(
        "The function stopped before it reported this batch."
    )


def test_reasons_are_chinese_in_chinese(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url, Look("zh"), "operator") as console:
        console.open("/failures")
        groups = console.page.locator(".group")
        expect(groups.filter(has_text="IdTaken")).to_contain_text("其 ID 已属于另一个概念或路线图。")
        expect(groups.filter(has_text="questions[1]").first).to_contain_text(
            "内容的格式不符合要求：questions[1].explanation。"
        )


def test_the_numbers_of_a_task_agree(console: Console) -> None:
    page = console.page
    slow: list[Route] = []
    page.route("**/items?*", lambda route: slow.append(route))
    console.open(TASK)
    expect(page.locator(".saved")).to_contain_text(f"of {CONCEPTS * TYPES} items saved")
    expect(page.get_by_role("button", name=f"Retry missing ({MISSING})")).to_be_visible()
    # Also before the items have arrived.
    legend, saved = page.locator(".legend li"), f"saved {CONCEPTS * TYPES - MISSING}"
    expect(legend).to_have_text([saved])
    expect(page.locator(".wide-bar .bar")).to_have_accessible_name(saved)  # and not "failed 0"
    slow[0].continue_()
    expect(legend).to_have_text([saved, f"failed {MISSING}"])
    expect(page.locator(".map .state-F")).to_have_count(MISSING)  # what was rejected is no other state
    expect(page.locator("#reasons-heading")).to_have_text(f"What happens to the {MISSING} missing items")
    # One row for each cause, of all content types.
    expect(page.locator(".reasons li")).to_contain_text(["2 tutorials · 2 resources · 2 quizzes", "", ""])
    expect(page.locator("main .primary")).to_have_count(1)
    # The task's message repeats the counts, so it is not shown.
    expect(page.locator("main")).not_to_contain_text("items are missing")


def test_parts_of_the_bar_are_as_long_as_their_shares(console: Console) -> None:
    console.open(TASK)
    bar = console.page.locator(".wide-bar .bar")
    expect(bar.locator(".part-F")).to_be_visible()
    widths = {
        part.get_attribute("class"): (part.bounding_box() or {"width": 0})["width"]
        for part in bar.locator(".part").all()
    }
    saved, failed = widths["part part-S"], widths["part part-F"]
    assert saved / failed == pytest.approx((CONCEPTS * TYPES - MISSING) / MISSING, rel=0.1)
    console.open("/tasks?user_id=owner")
    bars = console.page.locator(".task .bar")
    expect(bars.first).to_be_visible()
    assert len({bars.nth(k).evaluate("bar => bar.clientWidth") for k in range(bars.count())}) == 1


def test_a_task_without_an_attempt_is_explained_and_can_be_started(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{UNTOUCHED}")
    expect(page.locator("main")).to_contain_text("Only the product has processed this task so far")
    assert page.get_by_role("button", name=re.compile("^Retry")).count() == 0
    page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Start this task")).to_be_visible()
    expect(dialog).to_contain_text("6 saved from staging")
    assert "+" not in dialog.inner_text()


def test_the_history_is_above_the_map_and_the_log_is_in_the_page(console: Console) -> None:
    page = console.page
    console.open(TASK)
    history, content = page.locator("#attempts-heading"), page.locator("#map-heading")
    assert _top(history) < _top(content)
    page.get_by_text("Log of this task").click()
    entries = page.locator(".log li")
    expect(entries.filter(has_text="outcome recorded")).to_have_count(1)
    times = entries.locator("time").evaluate_all("all => all.map((each) => each.dateTime)")
    assert times == sorted(times, reverse=True)
    assert console.axe() == []


def test_attempts_name_who_started_them(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{HEALED}")
    expect(page.locator(".attempts-chart svg")).to_have_accessible_name(
        "Attempt 1: saved 58, failed 2, temporary failures 6; "
        "Attempt 2: saved 3, failed 0, temporary failures 0; "
        "Attempt 3: saved 5, failed 0, temporary failures 0"
    )
    expect(page.get_by_role("link", name="Open the execution")).to_have_count(1)
    page.get_by_text("2 earlier attempts").click()
    latest, middle, earliest = page.locator(".attempt").all()
    expect(latest.get_by_role("link", name="recovery")).to_have_attribute(
        "href", re.compile("^#/recoveries/rec-")
    )
    address = re.compile(rf"^https://us-east-1\.console\.aws\.amazon\.com/.*:save-content:{HEALED}-r3-")
    expect(latest.get_by_role("link", name="Open the execution")).to_have_attribute("href", address)
    expect(latest).to_contain_text("after the database outage")
    expect(latest).not_to_contain_text("rec-")
    expect(middle).to_contain_text("only the quizzes")
    expect(earliest).to_contain_text("direct start")
    expect(earliest).to_contain_text(re.compile("temporary failures 6:\\s+The function stopped"))
    expect(page.locator("main")).not_to_contain_text("AWS console")


SET_ASIDE = {
    "what": "outbox_aside",
    "text": "1 event could not be sent and was set aside. No consumer receives it.",
    "runbook": "docs/runbook.md#an-event-was-set-aside",
}


def test_health_is_in_words_with_what_to_do(console: Console) -> None:
    page = console.page
    console.alter("**/health", lambda body: body["attention"].append(SET_ASIDE))
    console.open("/health")
    warning = page.locator(".note.warn")
    expect(warning).to_contain_text("Causes without a decision.")
    expect(warning).not_to_contain_text("failure_groups")
    warning.get_by_role("listitem").filter(has_text="Events were set aside.").get_by_role(
        "link", name="Runbook"
    ).click()
    heading = page.get_by_role("heading", name="An event was set aside")
    expect(heading).to_be_focused()
    expect(heading).to_be_in_viewport()
    assert console.axe() == []
    assert console.overflow() == 0


def test_health_is_chinese_in_chinese_with_the_recorded_text_one_click_away(
    browser: Browser, api: RealApi
) -> None:
    with console_in(browser, api.url, Look("zh"), "operator") as console:
        console.open("/health")
        first = console.page.locator(".note.warn > ul > li").first
        expect(first).to_contain_text("等待人工处理")
        recorded = first.get_by_text("Recoveries that have paused by themselves")
        expect(recorded).to_be_hidden()
        first.get_by_text("记录的原文").click()
        expect(recorded).to_be_visible()
        assert console.axe() == []
        console.open(f"/recoveries/{api.recoveries['stopped_by_canary']}")
        expect(console.page.locator(".note.warn")).to_contain_text("5 个先行任务中有 5 个失败。")
        expect(console.page.locator("td.reason").last).to_have_text("轮到它之前，批量恢复因先行任务停止。")


@pytest.mark.parametrize(("language", "sentence"), [("en", "more than 100."), ("zh", "超过 100 个进行中")])
def test_health_says_that_there_are_more_stuck_tasks_than_it_counts(
    browser: Browser, api: RealApi, language: str, sentence: str
) -> None:
    attention = {"what": "stuck_tasks", "text": "Tasks without progress: more than 100.", "runbook": ""}
    more = {"stuck_tasks": 100, "more_stuck_tasks": True, "attention": [attention]}
    estimate = {"tasks": {"completed": 10_000}, "tasks_estimated": ["completed"]}
    with console_in(browser, api.url, Look(language), "operator") as console:
        console.alter("**/health", lambda body: body.update(more | estimate))
        console.open("/health")
        expect(console.page.locator(".note.warn")).to_contain_text(sentence)
        expect(console.page.locator(".tiles")).to_contain_text("▲ 100+")
        expect(console.page.locator(".legend a")).to_contain_text("≈ 10,000")


def open_palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()


def test_letters_typed_directly_after_ctrl_k_are_not_lost(console: Console) -> None:
    """The next key is the next task of the page, on a slow machine before the page is painted."""
    console.open()
    role = console.page.evaluate("""async () => {
        dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true }));
        await new Promise((resume) => setTimeout(resume));
        return document.activeElement.getAttribute("role");
    }""")
    assert role == "combobox"


def test_everything_with_a_name_is_reached_by_keyboard(console: Console) -> None:
    page = console.page
    console.open()
    open_palette(page)
    page.keyboard.type("from zero")
    expect(page.locator(".places li")).to_have_count(0)
    page.keyboard.press("Control+a")
    page.keyboard.type("outage of")
    expect(page.locator(".places li").first).to_contain_text("after the database outage of 02:10")
    assert console.axe() == []
    page.keyboard.press("Control+a")
    page.keyboard.type("Compilers")
    expect(page.locator(".places li").first).to_contain_text("Compilers")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Compilers")).to_be_visible()


def test_operators_see_whose_task_it_is(browser: Browser, console: Console, api: RealApi) -> None:
    console.open("/tasks?q=broken-43")
    user = console.page.locator(".task .user a")
    expect(user).to_have_text("user-1")
    user.click()
    expect(console.page.get_by_label("User", exact=True)).to_have_value("user-1")
    with console_in(browser, api.url, role="owner") as owner:
        owner.open("/tasks")
        expect(owner.page.locator(".task .ids").first).to_be_visible()
        assert owner.page.locator(".task .user").count() == 0


def test_a_filter_is_in_the_words_of_the_page(console: Console, api: RealApi) -> None:
    partly_failed(api, "filtered", "Filtered")  # not a task of other tests: the recovery retries it
    console.open("/tasks?status=failed&status=partial_failure&error_code=IdTaken&q=filtered")
    console.page.get_by_role("button", name=re.compile("^Heal")).click()
    console.page.get_by_label("Reason").fill("a filter")
    console.page.get_by_role("button", name="Start the recovery").click()
    expect(console.page.locator(".facts")).to_contain_text(
        "status: failed, incomplete · error code: IdTaken · search: filtered"
    )


@pytest.mark.parametrize(
    ("language", "sentence"),
    [
        ("en", "2 of the last 2 tasks failed, the last 2 of them in the same failure group."),
        ("zh", "最近 2 个任务中有 2 个失败，其中最后 2 个属于同一失败分组。"),
    ],
)
def test_a_breaker_names_the_failure_group_and_leads_to_its_tasks(
    browser: Browser, api: RealApi, language: str, sentence: str
) -> None:
    with console_in(browser, api.url, Look(language), "operator") as console:
        console.open(f"/recoveries/{api.recoveries['paused_by_breaker']}")
        note = console.page.locator(".note.warn")
        expect(note).to_contain_text(sentence)
        expect(note.get_by_role("link")).to_have_attribute("href", re.compile("group_id=[0-9a-f]+$"))
        assert console.axe() == []


def test_a_recovery_lists_its_tasks_by_title(console: Console, api: RealApi) -> None:
    console.open(f"/recoveries/{api.recoveries['regenerated']}")
    name = console.page.locator("td.main")
    expect(name).to_contain_text(re.compile("Regenerated course\\s*regenerated"))
    expect(name.get_by_role("link")).to_have_attribute("href", "#/tasks/regenerated")


def test_a_legend_has_the_colours_of_what_it_explains(console: Console, api: RealApi) -> None:
    """Regression: the styles of another legend made all of them grey."""
    console.open(f"/recoveries/{api.recoveries['running']}")
    swatches = console.page.locator(".legend .swatch")
    expect(swatches.first).to_be_visible()
    colours = swatches.evaluate_all("all => all.map((each) => getComputedStyle(each).backgroundColor)")
    assert len(set(colours)) == len(colours) > 2


def test_a_blank_name_is_replaced_by_the_id_and_a_name_from_right_to_left_starts_at_the_left(
    console: Console, api: RealApi
) -> None:
    load(api, "blank", "Blank names", concepts=2, name=" ")
    console.open("/tasks/blank")
    expect(console.page.locator(".row-name").first).to_have_text(concept("blank", 1))
    console.open("/tasks/right-to-left")
    name = console.page.locator(".row-name", has_text="end").first
    assert name.evaluate("name => getComputedStyle(name).textAlign") == "left"


def test_one_is_singular(console: Console) -> None:
    console.open()
    said = console.page.evaluate(
        """async () => {
            const base = document.querySelector('script[type=module]').src;
            const { en } = await import(new URL('words-en.js', base).href);
            return [en.heal.tasksCount(1), en.heal.aboutMinutes(1), en.heal.scopeTasks(1), en.tokens(1),
                en.failures.counts(1, en.tasks(1)), en.task.earlier(1), en.recoveries.progress("1", "1")];
        }"""
    )
    assert said == [
        "task", "minute, about", "1 selected task", "1 token", "item in 1 task", "1 earlier attempt",
        "1 of 1 task done",
    ]  # fmt: skip


def test_states_are_told_apart_without_colour(console: Console) -> None:
    """No two shapes cover the same pixels by more than half."""
    console.open()
    shares = console.page.evaluate(
        """async () => {
            const base = document.querySelector('script[type=module]').src;
            const { STATES, outline } = await import(new URL('marks.js', base).href);
            const drawn = STATES.map(state => {
                const canvas = new OffscreenCanvas(48, 48).getContext('2d');
                canvas.fill(new Path2D(outline(state, 24, 24, 20)), 'evenodd');
                const { data } = canvas.getImageData(0, 0, 48, 48);
                return [...data].filter((_, k) => k % 4 === 3).map(alpha => alpha > 127);
            });
            const share = (a, b) =>
                a.filter((x, k) => x && b[k]).length / a.filter((x, k) => x || b[k]).length;
            return Object.fromEntries(STATES.flatMap((one, i) =>
                STATES.slice(i + 1).map((other, j) => [one + other, share(drawn[i], drawn[i + 1 + j])])));
        }"""
    )
    assert {pair: round(share, 2) for pair, share in shares.items() if share > 0.7} == {}


@pytest.fixture
def phone(browser: Browser, api: RealApi) -> Iterator[Console]:
    with console_in(browser, api.url, PHONE, "operator", has_touch=True, is_mobile=True) as opened:
        yield opened


def test_on_a_phone_the_action_of_a_dialog_is_always_visible(phone: Console) -> None:
    page = phone.page
    phone.open("/failures")
    page.locator(".group-actions button").first.click()
    page.locator("dialog .tiles").wait_for()
    expect(page.get_by_role("button", name="Start the recovery")).to_be_in_viewport(ratio=1)


def test_on_a_phone_targets_are_large_and_there_are_no_hints_for_a_keyboard(
    phone: Console, api: RealApi
) -> None:
    page = phone.page
    phone.open(f"/tasks/{large(api)}")
    cell = page.locator(".cell").first
    cell.wait_for()
    box = cell.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 24
    expect(page.locator("#map-help")).to_be_hidden()
    assert page.get_by_text("Ctrl K").is_hidden()
    page.get_by_role("button", name="Go to…").click()
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
    page.keyboard.press("Escape")
    assert _letters_collide(page) is False


def _letters_collide(page: Page) -> bool:
    collide: bool = page.evaluate(
        """() => {
            const boxes = [...document.querySelectorAll('.cells svg')].slice(0, 3)
                .flatMap(svg => [...svg.querySelectorAll('.type')].map(text => text.getBoundingClientRect()));
            return boxes.some((one, k) => boxes.slice(k + 1).some(other =>
                one.top + 2 < other.bottom && other.top + 2 < one.bottom
                && one.left < other.right && other.left < one.right));
        }"""
    )
    return collide


def _top(element: Locator) -> float:
    box = element.bounding_box()
    assert box is not None
    return float(box["y"])


def test_a_saved_item_is_changed_as_an_instruction_says(console: Console) -> None:
    page = console.page
    open_item(console, "tutorial", 1, COMPLETE)
    sent: list[Any] = []

    def answer(route: Route) -> None:
        if "dry_run" in route.request.url:
            route.fallback()
        else:
            sent.append(route.request.post_data_json)
            route.fulfill(json={"status": "processing"})

    page.route("**/retry?*", answer)
    page.get_by_role("button", name="Generate again").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Change (optional)").fill("  Add an example.  ")
    dialog.get_by_role("button", name="Generate again").click()
    expect(dialog).to_be_hidden()
    (body,) = sent
    assert body["instruction"] == "Add an example."
    assert page.locator(".item").get_by_text(body["revision"]).count() == 1
