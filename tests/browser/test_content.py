"""The texts of the views: content, reasons as sentences, numbers that agree (on real tasks)."""

import json
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
    MISSING,
    PARTLY_FAILED,
    concept,
    large,
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
        if look.width > 700:  # the sheet of a phone begins with the reason
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
        (
            "[^1]: a\nb\n\n    c\n\n    - d\n\n        e\n\nf",
            "b</p><p>c</p><ul><li><p>d</p><p>e</p></li></ul><p>f</p>",
        ),
        ("- [ ] a box", "[ ] a box"),
        ("$a_1 * b_2 * c$ and $5,\\,x$", "<p><code>$a_1 * b_2 * c$</code> and <code>$5,\\,x$</code></p>"),
        ("for $5 and $6, or $7-$8 *or* \\$9$", "<p>for $5 and $6, or $7-$8 <em>or</em> $9$</p>"),
        ("It is\n$$\na \\\\ b\n- c\n$$\nso", "<code>$$\na \\\\ b\n- c\n$$</code></pre><p>so</p>"),
        ("$$x$$ of\n\n$$ no end\n\n- a", "<p><code>$$x$$</code> of</p><p>$$ no end</p><ul>"),
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
SPECIAL = [*'[]!()*_~`#>-+=|\\<&:.\n 1"a$']
PROSE = ["A sensor measures the world. Its values are *numbers*, and `code` reads them.\n\n"]


@pytest.mark.parametrize("first", SPECIAL)
def test_the_time_to_draw_a_lesson_grows_with_its_text(console: Console, first: str) -> None:
    """Regression: a text of 3.2 KB took 2.2 s, and eight times as long for twice the text. Each character
    that Markdown knows, alone and with each other one: quadratic work takes four times as long.
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
    """Anything may take long: here, the clock goes faster."""
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
    by_type = "2 tutorials · 2 resource lists · 2 quizzes"
    expect(page.locator(".reasons li")).to_contain_text([by_type, "", ""])
    expect(page.locator("main .primary")).to_have_count(1)
    # The task's message repeats the counts, so it is not shown.
    expect(page.locator("main")).not_to_contain_text("items are missing")


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


def test_a_saved_item_is_changed_as_an_instruction_says(console: Console) -> None:
    page = console.page
    held: list[Route] = []
    seen: list[bool] = []
    page.route("**/items/*?*", lambda route: route.continue_() if seen else held.append(route))
    open_item(console, "tutorial", 1, COMPLETE)
    # The instruction is about the revision that is shown, so it waits for it.
    expect(page.get_by_role("button", name="Regenerate")).to_be_disabled()
    seen.append(True)
    for route in held:
        route.continue_()
    sent: list[Any] = []

    def answer(route: Route) -> None:
        if "dry_run" in route.request.url:
            route.fallback()
        else:
            sent.append(route.request.post_data_json)
            route.fulfill(json={"status": "processing"})

    page.route("**/retry?*", answer)
    page.get_by_role("button", name="Regenerate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Change (optional)").fill("  Add an example.  ")
    dialog.get_by_role("button", name="Regenerate").click()
    expect(dialog).to_be_hidden()
    (body,) = sent
    assert body["instruction"] == "Add an example."
    assert page.locator(".item").get_by_text(body["revision"]).count() == 1
