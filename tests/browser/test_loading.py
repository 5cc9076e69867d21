"""The start of the page while the server refuses some of its files."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.driver import Console, Look, console_in
from tests.browser.real_api import RealApi

pytestmark = pytest.mark.nightly


def refuse(page: Page, name: str, *, times: int | None = None) -> Callable[[], None]:
    """Answer requests for a file with 429, like API Gateway at its limit; the result ends that."""
    left = [times]

    def answer(route: Route) -> None:
        if left[0] == 0:
            route.continue_()
            return
        if left[0] is not None:
            left[0] -= 1
        route.fulfill(status=429, content_type="application/json", body='{"message": "Too Many Requests"}')

    def accept() -> None:
        left[0] = 0

    page.route(f"**/{name}", answer)
    return accept


def goto(console: Console) -> None:
    console.page.goto(f"{console.url}/console/#/tasks")


@pytest.mark.parametrize("name", ["app.js", "words-zh.js", "vendor/preact.js", "style.css", "start.js"])
def test_a_file_that_is_refused_is_requested_again(browser: Browser, api: RealApi, name: str) -> None:
    with console_in(browser, api.url) as console:
        refuse(console.page, name, times=1)
        goto(console)
        heading = console.page.get_by_role("heading", name="Sign in")
        expect(heading).to_be_visible()
        expect(console.page.get_by_text("reload the page")).to_have_count(0)
        if name == "style.css":
            expect(heading).to_have_css("font-size", "20px")


@pytest.mark.parametrize("look", [Look(), Look("zh", "dark", 360)], ids=str)
def test_a_file_that_stays_refused_leads_to_a_message_and_a_next_step(
    browser: Browser, api: RealApi, look: Look
) -> None:
    with console_in(browser, api.url, look) as console:
        accept = refuse(console.page, "map.js")
        goto(console)
        expect(console.page.get_by_role("alert")).to_contain_text("could not be loaded")
        expect(console.page.get_by_role("alert")).to_contain_text("无法完整加载")
        assert console.axe() == []
        assert console.overflow() == 0
        asked = len([url for url in console.requested if url.endswith("/map.js")])
        assert 2 <= asked <= 6

        accept()
        console.page.get_by_role("button", name="Try again").click()
        expect(console.page.locator("main h1")).to_have_text("Sign in" if look.language == "en" else "登录")


def test_a_page_that_does_not_start_says_so_without_any_script(browser: Browser, api: RealApi) -> None:
    with console_in(browser, api.url) as console:
        refuse(console.page, "app.js")
        refuse(console.page, "start.js")
        goto(console)
        expect(console.page.get_by_text("reload the page")).to_be_visible()


def test_a_view_that_is_loaded_when_it_is_opened_is_requested_again_if_it_is_refused(
    browser: Browser, api: RealApi
) -> None:
    with console_in(browser, api.url, role="operator") as console:
        refuse(console.page, "view-health.js", times=1)
        console.open("/tasks")
        assert [url for url in console.requested if "view-health" in url] == []
        console.page.get_by_role("link", name="Health").click()
        console.page.get_by_role("button", name="Try again").click()
        expect(console.page.get_by_role("heading", name="Health")).to_be_visible()
