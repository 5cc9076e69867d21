"""Every view on real tasks: accessible, not wider than its window, and small over the wire.

The merge gate has one look of each view; the other looks are nightly.
"""

import pytest
from playwright.sync_api import Browser

from tests.browser.driver import LOOKS, Console, Look, console_in
from tests.browser.real_api import RealApi
from tests.browser.tasks import views

FIRST_VIEW_BYTES = 91_000


@pytest.mark.parametrize("look", LOOKS, ids=str)
def test_every_view_is_accessible_and_fits(browser: Browser, api: RealApi, look: Look) -> None:
    found: dict[str, object] = {}
    with console_in(browser, api.url, look, role="operator") as console:
        for name, path in views(api).items():
            console.open(path)
            console.settled()
            if name == "task-with-drawer":
                console.page.locator(".drawer .item .facts").first.wait_for()
            if faults := console.axe():
                found[name] = faults
            if console.cut():
                found[f"{name} cuts"] = console.cut()
            if console.overflow() > 0:
                found[f"{name} is too wide by"] = console.overflow()
    assert found == {}


def test_the_first_view_is_small_over_the_wire(console: Console) -> None:
    """The bodies of the page and its files, as the browser has received them."""
    console.open("/tasks")
    console.settled()
    sizes = console.page.evaluate(
        """() => ["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type))
            .filter((entry) => entry.name.includes("/console/")).map((entry) => entry.encodedBodySize)"""
    )
    assert len(sizes) > 25
    assert sum(sizes) < FIRST_VIEW_BYTES
