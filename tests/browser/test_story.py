"""The whole story on the real stack: the real API, served by the console's real function."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from local_stack.stack import LocalStack
from roadmap_command.demo import demo_bundle, load_the_report, run_with_faults, the_report
from roadmap_command.target import Target
from roadmap_content.content.bundle import Bundle
from tests.browser.driver import Look, console_in
from tests.support.factories import TYPES

ITEMS = 30 * TYPES
"""The items of the demo's roadmap."""

MISSING = 2 * TYPES + 2
"""The items that the demo's first run does not save: a batch of two concepts, a taken id, an invalid quiz."""

SOMEBODY_ELSE = "an-owner-of-nothing"
REASON = "seen in the console"


@pytest.fixture(scope="module")
def target(stack: LocalStack) -> Iterator[Target]:
    target = Target.local(stack)
    yield target
    target.engine.dispose()


@pytest.fixture(scope="module")
def broken(stack: LocalStack, target: Target) -> Bundle:
    """The demo's roadmap after its first run."""
    bundle = demo_bundle()
    run_with_faults(target, stack.database_url, bundle)
    return bundle


def test_the_demos_missing_items_are_shown_with_their_reasons_and_repaired(
    browser: Browser, stack: LocalStack, broken: Bundle
) -> None:
    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link(broken.task.user_id, scope=""))
        row = page.locator("tbody tr", has_text=broken.task.task_id)
        expect(row).to_contain_text("incomplete")
        expect(row).to_contain_text(f"{ITEMS - MISSING}/{ITEMS}")
        assert console.axe() == []

        row.get_by_role("link").click()
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS - MISSING} of {ITEMS} items saved")
        reasons = page.locator(".reasons")
        for said in (
            "IdTaken",
            "InvalidContent",
            "Runtime.ExitError",
            "gives it a new id",
            "moves the content",
        ):
            expect(reasons).to_contain_text(said)
        page.locator(".map .row").first.click()
        expect(page.locator(".drawer")).to_contain_text("the id belongs to another concept or roadmap")
        assert console.axe() == []
        page.keyboard.press("Escape")

        # Only by keyboard: the button, the dialog, and the first run's history below the map.
        page.get_by_role("button", name=f"Retry missing ({MISSING})").focus()
        page.keyboard.press("Enter")
        _start_after_the_preview(page, "Start the retry", missing=MISSING)
        expect(page.locator(".saved")).to_contain_text(f"{ITEMS} of {ITEMS} items saved")
        expect(page.locator(".task-head")).to_contain_text("complete")
        expect(page.locator(".attempt")).to_have_count(2)
        expect(page.locator(".attempt").first).to_contain_text("retry")
        expect(page.locator(".attempt").first).to_contain_text(REASON)
        assert console.axe() == []


def test_the_task_of_the_bug_report_is_repaired(
    browser: Browser, stack: LocalStack, target: Target, broken: Bundle
) -> None:
    report = the_report(broken)
    saved = load_the_report(target, report)
    with console_in(browser, stack.api_url, Look("zh", "dark")) as console:
        page = console.page
        page.goto(stack.console_link(report.task.user_id, scope=""))
        console.open(f"/tasks/{report.task.task_id}")
        expect(page.locator(".saved")).to_contain_text(f"已保存 {saved} / {ITEMS} 项")
        page.locator(".task-actions .primary").click()
        _start_after_the_preview(page, "开始", missing=ITEMS - saved)  # its first attempt
        expect(page.locator(".saved")).to_contain_text(f"已保存 {ITEMS} / {ITEMS} 项")
        expect(page.locator(".task-head")).to_contain_text("已完成")


def test_an_owner_sees_no_data_of_other_users(browser: Browser, stack: LocalStack, broken: Bundle) -> None:
    with console_in(browser, stack.api_url) as console:
        page = console.page
        page.goto(stack.console_link(SOMEBODY_ELSE, scope=""))
        expect(page.locator("main")).to_contain_text("You have no tasks yet")
        console.open(f"/tasks/{broken.task.task_id}")
        expect(page.get_by_role("alert")).to_contain_text(
            "does not exist any more, or it belongs to another user"
        )
        console.open("/health")
        expect(page.get_by_role("alert")).to_contain_text("Only operators and viewers")


def test_a_token_that_is_not_accepted_leads_to_the_sign_in(browser: Browser, stack: LocalStack) -> None:
    with console_in(browser, stack.api_url) as console:
        console.open("/failures", stack.token("user")[:-4] + "AAAA")
        expect(console.page.get_by_role("alert")).to_contain_text("expired or is not accepted")


def test_the_page_is_served_with_a_redirect_caching_and_security_headers(
    browser: Browser, stack: LocalStack
) -> None:
    with console_in(browser, stack.api_url) as console:
        console.page.goto(f"{stack.api_url}/console")  # without the trailing slash
        console.page.get_by_role("heading", name="Sign in").wait_for()
        assert console.page.url.partition("#")[0] == f"{stack.api_url}/console/"
        kept = [url for url in console.requested if re.search(r"/console/[0-9a-f]{16}/", url)]
        assert len(kept) > 10
        with console.page.expect_response(lambda response: response.url.endswith("/app.js")) as answered:
            console.page.reload()
        assert answered.value.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answered.value.headers["x-content-type-options"] == "nosniff"


def test_ten_users_open_the_console_at_once(stack: LocalStack) -> None:
    page = f"{stack.api_url}/console/"
    with urlopen(page) as answer:
        (app,) = re.findall(r'src="(\w+/app\.js)"', answer.read().decode())

    def get(_: int) -> int:
        with urlopen(page + app) as answer:
            return int(answer.status)

    # More than the limit of all other requests, and fewer than the limit of the console's files.
    with ThreadPoolExecutor(16) as users:
        assert set(users.map(get, range(150))) == {200}


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
