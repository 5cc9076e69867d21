"""The time axis of an attempt: 400 batches are drawn as 10 are, in every look, and read as a table."""

from threading import Event

import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tests.browser.driver import LOOKS, Console, Look, console_in
from tests.browser.fake_api import token_of
from tests.browser.fake_data import task_id
from tests.browser.test_loading import refuse

TASK = 10
"""A task with three attempts: one of 10 batches, one of 400, and one of 400 without a history."""

DRAWS = 9

DRAW = """
(details) => new Promise((resolve) => {
  details.open = false;
  const seen = new MutationObserver(() => {
    if (!details.querySelector("svg.axis")) return;
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(resolve));
  });
  seen.observe(details, { childList: true, subtree: true });
  setTimeout(() => { details.open = true; }, 50);
})
"""
"""Opens the time axis; ends with the next frame."""


def earlier_attempts(console: Console) -> Locator:
    """The attempts before the latest one, which are closed at first."""
    return console.page.locator(".attempts > details:has(> ol .attempt)")


def open_task(console: Console) -> None:
    """Open the task, with all attempts."""
    console.open(f"/tasks/{task_id(TASK)}", token_of("operator"))
    console.settled()
    earlier_attempts(console).locator("summary").first.press("Enter")
    expect(console.page.locator(".attempt").nth(2)).to_be_visible()


def timeline_of(console: Console, attempt: int) -> Locator:
    """The time axis of an attempt. The newest attempt is the first."""
    return console.page.locator(".attempt").nth(3 - attempt).locator(".timeline")


WIDE = [Look("en", "light", 1600), pytest.param(Look("zh", "dark", 1600), marks=pytest.mark.nightly)]


@pytest.mark.parametrize("look", [*LOOKS, *WIDE], ids=str)
def test_400_batches_are_readable(browser: Browser, fake: str, look: Look) -> None:
    with console_in(browser, fake, look) as console:
        open_task(console)
        timeline = timeline_of(console, 2)
        timeline.locator("summary").first.press("Enter")
        axis = timeline.locator("svg.axis")
        expect(axis).to_be_visible()
        assert axis.locator("*").count() < 30, "a path for each kind, not for each batch"
        box = axis.bounding_box()
        assert box is not None
        assert 60 < box["height"] <= 300
        section = console.page.locator(".attempts").bounding_box()
        assert section is not None
        assert box["width"] > 0.85 * section["width"]
        timeline.locator("details > summary").click()
        expect(timeline.locator(".axis-table table")).to_have_count(2)
        assert console.overflow() == 0
        assert console.axe() == []


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
        console.open(f"/tasks/{task_id(TASK)}", token_of("operator"))
        attempts = console.page.locator(".attempts")
        expect(attempts.get_by_role("status", name="Loading")).to_be_visible()
        log = attempts.locator("details").filter(has_text="Log of this task")
        log.locator("summary").click()
        released.set()
        for route in held:
            route.continue_()
        expect(attempts.get_by_role("status", name="Loading")).to_have_count(0)
        expect(log.locator(".log")).to_be_visible()
        expect(earlier_attempts(console)).not_to_have_attribute("open", "")


def test_the_picture_and_the_table_say_what_happened(browser: Browser, fake: str) -> None:
    with console_in(browser, fake) as console:
        open_task(console)
        timeline = timeline_of(console, 2)
        summary = timeline.locator("summary").first
        summary.focus()
        console.page.keyboard.press("Enter")
        name = timeline.get_by_role("img").get_attribute("aria-label") or ""
        assert "400 batches · lost 1 · throttled 60 · retry 2" in name
        assert "Longest path: generate" in name
        console.page.keyboard.press("Tab")
        console.page.keyboard.press("Enter")
        lost = timeline.get_by_role("row").filter(has_text="batch 133 · lost")
        expect(lost).to_contain_text("retry 2 calls")
        expect(timeline.get_by_role("row").filter(has_text="in the queue")).to_contain_text("42 s")


def test_the_drawing_is_loaded_when_it_is_opened_and_again_if_it_is_refused(
    browser: Browser, fake: str
) -> None:
    with console_in(browser, fake) as console:
        refuse(console.page, "timeline.js", times=1)
        open_task(console)
        assert [url for url in console.requested if "timeline" in url] == []
        timeline = timeline_of(console, 1)
        timeline.locator("summary").first.click()
        timeline.get_by_role("button", name="Try again").click()
        expect(timeline.locator("svg.axis")).to_be_visible()


def test_without_a_history_the_page_says_why_there_are_only_ends(browser: Browser, fake: str) -> None:
    with console_in(browser, fake) as console:
        open_task(console)
        timeline = timeline_of(console, 3)
        timeline.locator("summary").first.click()
        expect(timeline).to_contain_text("does not exist any more")
        expect(timeline.locator("path.keep")).to_have_count(1)


def test_400_batches_take_less_than_twice_the_work_of_10(browser: Browser, fake: str) -> None:
    """In processor time of the page, so that other processes do not count."""
    with console_in(browser, fake) as console:
        open_task(console)
        devtools = console.page.context.new_cdp_session(console.page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent() -> float:
            metrics = devtools.send("Performance.getMetrics")["metrics"]
            return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))

        times: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(DRAWS):
            for attempt, found in times.items():
                before = spent()
                timeline_of(console, attempt).evaluate(DRAW)
                found.append(spent() - before)
        assert min(times[2]) < 2 * min(times[1]), times
