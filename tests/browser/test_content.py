"""The texts of the views: content, reasons as sentences, numbers that agree (on the simulated API)."""

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.driver import Console, Look, console_in
from tests.browser.fake_api import token_of
from tests.browser.fake_data import HOSTILE, TYPES, Model, N, task_id

TASK = f"/tasks/{task_id(0)}"
STATES = Model("operator").states(0)[0]
PHONE = Look(width=360)


@pytest.fixture
def console(browser: Browser, fake: str) -> Iterator[Console]:
    with console_in(browser, fake) as opened:
        opened.open("/tasks", token_of("operator"))
        yield opened


def open_item(console: Console, kind: str, state: str) -> Locator:
    """Open the first item of a type in a state; return its section."""
    concept = STATES[TYPES.index(kind) :: N].index(state)
    item = quote(f"roadmap-9b2c8d4e:c-{concept + 1}", safe="")
    console.open(f"{TASK}?item={item}&type={kind}")
    return console.page.locator(f'.drawer [data-type="{kind}"]')


def test_a_tutorial_is_shown_as_text_without_html_of_its_own(console: Console) -> None:
    shown = open_item(console, "tutorial", "S").locator(".content")
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


def test_hostile_text_of_a_tutorial_stays_text(browser: Browser, fake: str) -> None:
    with console_in(browser, fake) as console:
        console.open("/tasks", token_of("hostile"))
        console.page.locator("td.main a").first.click()
        console.page.locator(".row").first.click()
        expect(console.page.locator(".drawer .markdown").first).to_contain_text(HOSTILE[:20])
        assert console.page.locator("main img, main style").count() == 0


def test_a_quiz_is_shown_with_its_answers(console: Console) -> None:
    shown = open_item(console, "quiz", "S").locator(".content")
    expect(shown.locator(".quiz > li")).to_have_count(2)
    expect(shown.locator(".right-answer .text")).to_have_text(["The query", "The projections", "The output"])
    expect(shown).to_contain_text("The softmax has no weights.")
    assert console.axe() == []


def test_resources_are_links_if_they_are_safe(console: Console) -> None:
    shown = open_item(console, "resources", "S").locator(".content")
    expect(shown).to_contain_text("A link without TLS")
    expect(shown.get_by_role("link")).to_have_count(1)
    expect(shown.get_by_role("link")).to_have_attribute("href", "https://example.org/paper")


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_refused_content_is_shown_with_its_fault_marked(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look) as console:
        console.open("/tasks", token_of("operator"))
        section = open_item(console, "quiz", "R")
        expect(section.locator("mark")).to_contain_text(r'"explanation": "The \u0000softmax')
        expect(section.locator("mark")).to_be_in_viewport()
        expect(section).to_contain_text("questions[1].explanation")
        assert console.axe() == []
        assert console.overflow() == 0


def test_the_heading_of_an_opened_item_is_below_the_head_of_the_panel(console: Console) -> None:
    """Also if the item is taller than the panel, which then scrolls."""
    console.page.set_viewport_size({"width": 1280, "height": 500})
    heading = open_item(console, "tutorial", "F").get_by_role("heading").first
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
    recorded = reason.get_by_text("SQLSTATE 23505")
    expect(recorded).to_be_hidden()
    reason.get_by_text("Recorded text").click()
    expect(recorded).to_be_visible()
    console.open("/tasks")
    expect(page.locator("tbody tr").first.locator(".reason")).to_have_text(
        "Its id already belongs to another concept or roadmap."
    )


def test_reasons_are_chinese_in_chinese(browser: Browser, fake: str) -> None:
    with console_in(browser, fake, Look("zh")) as console:
        console.open("/failures", token_of("operator"))
        first = console.page.locator(".group").first
        expect(first).to_contain_text("其 ID 已属于另一个概念或路线图。")
        expect(console.page.locator(".group", has_text="questions[1].explanation").first).to_contain_text(
            "内容的格式不符合要求：questions[1].explanation。"
        )


def test_the_numbers_of_a_task_agree(console: Console) -> None:
    page = console.page
    console.open(TASK)
    missing = len(STATES) - STATES.count("S")
    expect(page.locator(".saved")).to_contain_text(f"{missing} missing")
    expect(page.get_by_role("button", name=f"Retry missing ({missing})")).to_be_visible()
    expect(page.locator(".legend li").first).to_be_visible()
    counts = dict(
        line.rsplit(" ", 1) for line in map(str.strip, page.locator(".legend li").all_inner_texts())
    )
    assert sum(map(int, counts.values())) - int(counts["saved"]) == missing
    failed = int(counts["failed"]) + int(counts["rejected"])
    expect(page.locator("#reasons-heading")).to_have_text(
        f"Why {failed} of the {missing} missing items failed"
    )
    # The task's message repeats the counts, so it is not shown.
    expect(page.locator("main")).not_to_contain_text("items are missing")


def test_parts_of_the_bar_are_as_long_as_their_shares(console: Console) -> None:
    console.open(TASK)
    bar = console.page.locator(".wide-bar .bar")
    expect(bar.locator(".part-S")).to_be_visible()
    widths = {
        part.get_attribute("class"): (part.bounding_box() or {"width": 0})["width"]
        for part in bar.locator(".part").all()
    }
    saved, failed = widths["part part-S"], widths["part part-F"]
    assert saved / failed == pytest.approx(STATES.count("S") / STATES.count("F"), rel=0.1)
    console.open("/tasks")
    bars = console.page.locator("tbody .bar")
    assert len({bars.nth(k).evaluate("bar => bar.clientWidth") for k in range(10)}) == 1


def test_a_task_without_an_attempt_is_explained_and_can_be_started(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{task_id(6)}")
    expect(page.locator("main")).to_contain_text("Only the product has processed this task so far")
    assert page.get_by_role("button", name=re.compile("^Retry")).count() == 0
    page.get_by_role("button", name="Start", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Start this task")).to_be_visible()
    expect(dialog).to_contain_text("1 saved from staging")
    assert "+" not in dialog.inner_text()


def test_a_waiting_task_names_its_place_in_the_queue(console: Console) -> None:
    console.open(f"/tasks/{task_id(10)}")
    expect(console.page.locator("main")).to_contain_text("place 12; starts in about 4 min")


def test_the_history_is_above_the_map_and_the_log_is_in_the_page(console: Console) -> None:
    page = console.page
    console.open(TASK)
    history, content = page.locator("#attempts-heading"), page.locator("#map-heading")
    assert _top(history) < _top(content)
    page.get_by_text("Log of this task").click()
    entries = page.locator(".log li")
    expect(entries).to_have_count(4)
    expect(entries.first).to_contain_text("outcome recorded")  # the latest first
    assert console.axe() == []


def test_attempts_name_who_started_them(console: Console) -> None:
    page = console.page
    console.open(f"/tasks/{task_id(7)}")  # four attempts
    page.get_by_text("3 earlier attempts").click()
    latest, earliest = page.locator(".attempt").first, page.locator(".attempt").last
    expect(latest.get_by_role("link", name="recovery")).to_have_attribute("href", "#/recoveries/rec-1")
    expect(latest).to_contain_text("after the database outage")
    expect(latest).not_to_contain_text("rec-1")
    expect(earliest).to_contain_text("direct start")
    expect(page.locator("main")).not_to_contain_text("AWS console")


def test_health_is_in_words_with_what_to_do(console: Console) -> None:
    page = console.page
    console.open("/health")
    warning = page.locator(".note.warn")
    expect(warning).to_contain_text("Dead letters.")
    expect(warning).not_to_contain_text("stuck_tasks")
    expect(page.locator(".tiles")).to_contain_text("37Attempts in the queueThe oldest joined 6 min ago.")
    warning.get_by_role("listitem").filter(has_text="Dead letters.").get_by_role(
        "link", name="Runbook"
    ).click()
    heading = page.get_by_role("heading", name="Dead letters")
    expect(heading).to_be_focused()
    expect(heading).to_be_in_viewport()
    assert console.axe() == []
    assert console.overflow() == 0


def test_health_is_chinese_in_chinese_with_the_recorded_text_one_click_away(
    browser: Browser, fake: str
) -> None:
    with console_in(browser, fake, Look("zh")) as console:
        console.open("/health", token_of("operator"))
        first = console.page.locator(".note.warn > ul > li").first
        expect(first).to_contain_text("2 个进行中的任务半小时没有进展")
        recorded = first.get_by_text("2 tasks have an attempt without a run")
        expect(recorded).to_be_hidden()
        first.get_by_text("记录的原文").click()
        expect(recorded).to_be_visible()
        assert console.axe() == []
        console.open("/recoveries/rec-1")
        expect(console.page.locator(".note.warn")).to_contain_text("5 个先行任务中有 3 个失败。")


@pytest.mark.parametrize(("language", "sentence"), [("en", "more than 100."), ("zh", "超过 100 个进行中")])
def test_health_says_that_there_are_more_stuck_tasks_than_it_counts(
    browser: Browser, fake: str, language: str, sentence: str
) -> None:
    attention = {"what": "stuck_tasks", "text": "Tasks without progress: more than 100.", "runbook": ""}
    with console_in(browser, fake, Look(language)) as console:
        body = Model("operator").health()
        body |= {"stuck_tasks": 100, "more_stuck_tasks": True, "attention": [attention]}
        console.page.route("**/health", lambda route: route.fulfill(json=body))
        console.open("/health", token_of("operator"))
        expect(console.page.locator(".note.warn")).to_contain_text(sentence)
        expect(console.page.locator(".tiles")).to_contain_text("▲ 100+")


def test_the_list_is_ordered_by_what_is_missing(console: Console) -> None:
    page = console.page
    page.get_by_label("Order").select_option("missing")
    page.wait_for_url(re.compile("order=missing"))
    cells = page.locator("tbody td.progress-cell .meta[aria-hidden]")
    expect(cells.first).to_contain_text(f"/{3_000 * N:,}")  # the task with the most concepts

    def missing() -> list[int]:
        shares = [text.replace(",", "").split("/") for text in cells.all_inner_texts()]
        return [int(total) - int(saved) for saved, total in shares]

    assert missing() == sorted(missing(), reverse=True)
    expect(page.locator("main")).to_contain_text("Only the 50 tasks that are shown are in this order.")
    page.get_by_label("Order").select_option("person")
    expect(page.locator("tbody tr").first).to_contain_text("Needs a person")
    page.reload()  # the order is in the address
    expect(page.locator("tbody tr").first).to_contain_text("Needs a person")
    expect(page.get_by_label("Order")).to_have_value("person")


def open_palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()


def test_letters_typed_directly_after_ctrl_k_are_not_lost(console: Console) -> None:
    """The next key is the next task of the page, on a slow machine before the page is painted."""
    role = console.page.evaluate("""async () => {
        dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true }));
        await new Promise((resume) => setTimeout(resume));
        return document.activeElement.getAttribute("role");
    }""")
    assert role == "combobox"


def test_everything_with_a_name_is_reached_by_keyboard(console: Console) -> None:
    page = console.page
    open_palette(page)
    page.keyboard.type("from zero")
    expect(page.locator(".places li")).to_have_count(0)
    page.keyboard.press("Control+a")
    page.keyboard.type("outage")
    expect(page.locator(".places li").first).to_contain_text("after the database outage of 02:10")
    assert console.axe() == []
    page.keyboard.press("Control+a")
    page.keyboard.type("Compilers")
    expect(page.locator(".places li").first).to_contain_text("Compilers")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Compilers")).to_be_visible()


def test_a_view_is_saved_under_a_name(console: Console) -> None:
    page = console.page
    console.open("/tasks?status=failed")
    open_palette(page)
    page.keyboard.type("Monday")
    expect(page.locator(".places li")).to_have_text(re.compile("Save this view as “Monday”"))
    page.keyboard.press("Enter")
    console.open("/health")
    page.reload()
    console.settled()
    open_palette(page)
    page.keyboard.type("mon")
    expect(page.locator(".places li")).to_contain_text("Monday")
    page.keyboard.press("Enter")
    expect(page.get_by_label("failed", exact=True)).to_be_checked()


def test_operators_see_whose_task_it_is(browser: Browser, console: Console, fake: str) -> None:
    expect(console.page.locator("tbody tr").nth(3).locator("td.user")).to_have_text("user-3")
    console.page.locator("td.user a").nth(3).click()
    expect(console.page.get_by_label("User", exact=True)).to_have_value("user-3")
    with console_in(browser, fake) as owner:
        owner.open("/tasks", token_of("owner"))
        owner.settled()
        assert owner.page.locator("td.user").count() == 0


def test_a_filter_is_in_the_words_of_the_page(console: Console) -> None:
    console.open("/recoveries/rec-0")
    expect(console.page.locator(".facts")).to_contain_text(
        "status: failed, incomplete · error code: BatchLost"
    )


@pytest.mark.parametrize(
    ("look", "sentence"),
    [
        (Look(), "5 of the last 7 tasks failed, the last 5 of them in the same failure group."),
        (Look("zh"), "最近 7 个任务中有 5 个失败，其中最后 5 个属于同一失败分组。"),
    ],
    ids=["en", "zh"],
)
def test_a_breaker_names_the_failure_group_and_leads_to_its_tasks(
    browser: Browser, fake: str, look: Look, sentence: str
) -> None:
    with console_in(browser, fake, look) as console:
        console.open("/recoveries/rec-3", token_of("operator"))
        note = console.page.locator(".note.warn")
        expect(note).to_contain_text(sentence)
        expect(note.get_by_role("link")).to_have_attribute("href", re.compile("group_id=g1"))
        assert console.axe() == []


def test_a_recovery_lists_its_tasks_by_title(console: Console) -> None:
    console.open("/recoveries/rec-0")
    names = console.page.locator("td.main")
    expect(names.first).to_contain_text(re.compile(f"Systems engineer\\s*{task_id(0)}"))
    expect(names.nth(7)).to_contain_text(re.compile(f"Untitled\\s*{task_id(7)}"))
    expect(names.first.get_by_role("link")).to_have_attribute("href", f"#/tasks/{task_id(0)}")


def test_a_legend_has_the_colours_of_what_it_explains(console: Console) -> None:
    """Regression: the styles of another legend made all of them grey."""
    console.open("/recoveries/rec-0")
    swatches = console.page.locator(".legend .swatch")
    expect(swatches.first).to_be_visible()
    colours = swatches.evaluate_all("all => all.map((each) => getComputedStyle(each).backgroundColor)")
    assert len(set(colours)) == len(colours) > 2


def test_the_list_is_not_live_while_the_api_is_down(console: Console) -> None:
    console.settled()
    console.page.context.set_offline(True)
    expect(console.page.get_by_role("button", name=re.compile("^Interrupted"))).to_be_visible()
    console.page.context.set_offline(False)
    expect(console.page.get_by_role("button", name=re.compile("^Live"))).to_be_visible()


def test_a_blank_name_is_replaced_by_the_id_and_a_name_from_right_to_left_starts_at_the_left(
    browser: Browser, fake: str
) -> None:
    with console_in(browser, fake) as console:
        console.open("/tasks", token_of("hostile"))
        console.page.locator("td.main a").first.click()
        names = console.page.locator(".row-name")
        expect(names.nth(3)).to_have_text("roadmap-9b2c8d4e:c-4")
        assert names.nth(1).evaluate("name => getComputedStyle(name).textAlign") == "left"


def test_one_is_singular(console: Console) -> None:
    said = console.page.evaluate(
        """async () => {
            const base = document.querySelector('script[type=module]').src;
            const { en } = await import(new URL('words-en.js', base).href);
            return [en.heal.tasksCount(1), en.heal.aboutMinutes(1), en.heal.scopeTasks(1), en.tokens(1),
                en.failures.counts(1, en.tasks(1)), en.task.earlier(1)];
        }"""
    )
    assert said == [
        "task", "minute, about", "1 selected task", "1 token", "item in 1 task", "1 earlier attempt",
    ]  # fmt: skip


def test_states_are_told_apart_without_colour(console: Console) -> None:
    """No two shapes cover the same pixels by more than half."""
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
def phone(browser: Browser, fake: str) -> Iterator[Console]:
    with console_in(browser, fake, PHONE, has_touch=True, is_mobile=True) as opened:
        opened.open("/tasks", token_of("operator"))
        yield opened


def test_on_a_phone_the_action_of_a_dialog_is_always_visible(phone: Console) -> None:
    page = phone.page
    phone.open("/failures")
    page.locator(".group-actions .primary").first.click()
    page.locator("dialog .tiles").wait_for()
    expect(page.get_by_role("button", name="Start the recovery")).to_be_in_viewport(ratio=1)


def test_on_a_phone_targets_are_large_and_there_are_no_hints_for_a_keyboard(phone: Console) -> None:
    page = phone.page
    phone.open(f"/tasks/{task_id(2)}")
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
