"""Opens the console in a real Chromium, and detects forbidden behaviour of a page."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import product, starmap
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, Route, expect

from checks.console.machine import chromium
from checks.console.types import HERE
from checks.npm import npm_packages
from tests.browser.real_api import token_of

DEADLINE_MS = 60_000
"""The limit of every wait, for a machine under load. It is not an expected duration."""

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Look(NamedTuple):
    """The language, theme, width and token of a visitor."""

    language: str = "en"
    theme: str = "light"
    width: int = 1440

    def __str__(self) -> str:
        return f"{self.language}-{self.theme}-{self.width}"


GATE = Look("en", "light", 768)
"""A tablet: cards, and a drawer at the side. The merge gate has this look of each view."""

LOOKS = [
    GATE,
    *[
        pytest.param(look, marks=pytest.mark.nightly)
        for look in [
            Look("zh", "dark", 900),
            *starmap(Look, product(("en", "zh"), ("light", "dark"), (360, 1440))),
        ]
    ],
]
"""Nightly, each language with each theme, at the widths of a phone and of a desk."""


@dataclass
class Console:
    """The console in one browser tab."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    """Failed scripts and violations of the content security policy. There must be none."""

    requested: list[str] = field(default_factory=list)
    token: str | None = None
    """Signs in when a view is opened, once."""

    def open(self, path: str = "/tasks", token: str | None = None) -> None:
        """Open a view; with a token, through a link that signs in."""
        token, self.token = token or self.token, None
        link = f"token={token}&to={quote(path, safe='')}" if token else path
        self.page.goto(f"{self.url}/console/#{link}")
        self.page.locator("main h1, main .note").first.wait_for()

    def settled(self) -> None:
        """Wait until a view has loaded its data."""
        expect(self.page.locator("main .loading")).to_have_count(0)

    def answer_with(self, status: int) -> None:
        """Let the API answer every request with an error, except for the caller's name and roles."""

        def answer(route: Route) -> None:
            route.fulfill(status=status, json={"message": "not now"})

        self.page.route(re.compile("/api/v1/(?!me$)"), answer)

    def alter(self, url: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the real answers to some requests, for states that take a thousand tasks or days."""

        def answer(route: Route) -> None:
            response = route.fetch()
            body = response.json()
            change(body)
            route.fulfill(response=response, json=body)

        self.page.route(url, answer)

    def axe(self) -> list[str]:
        """The findings of axe on the current page."""
        self.page.evaluate(_axe())  # the content security policy refuses a script element
        # Without resultTypes, axe also describes each element that passes, which takes three times as long.
        options = {"runOnly": RULES, "resultTypes": ["violations"]}
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{each['id']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """The number of pixels by which the page is wider than its window."""
        wider: int = self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return wider

    def cut(self) -> list[str]:
        """The sentences about causes of which not all lines are shown."""
        shown: list[str] = self.page.evaluate(
            """[...document.querySelectorAll(":is(.reason, .reasons, .cause h2) .clamp")]
                .filter((each) => each.scrollHeight > each.clientHeight + 2)
                .map((each) => each.textContent)"""
        )
        return shown


@cache
def _axe() -> str:
    return (npm_packages(HERE) / "axe-core/axe.min.js").read_text()


def launch(playwright: Playwright) -> Browser:
    """Start this machine's Chromium."""
    expect.set_options(timeout=DEADLINE_MS)
    executable = chromium()
    if executable is None:
        raise FileNotFoundError("there is no Chromium: `make browser` installs it, or names it")
    return playwright.chromium.launch(executable_path=executable)


@contextmanager
def console_in(
    browser: Browser,
    url: str,
    look: Look | None = None,
    role: str | None = None,
    user: str | None = None,
    **options: Any,
) -> Iterator[Console]:
    """A separate tab with separate storage; its faults are raised at the end of the block.

    With a role, the first view that is opened signs in: see `token_of`.
    """
    look = look or Look()
    context: BrowserContext = browser.new_context(
        viewport={"width": look.width, "height": 900 if look.width > 500 else 740},
        color_scheme=look.theme,
        locale={"en": "en-GB", "zh": "zh-CN"}[look.language],
        **options,
    )
    context.set_default_timeout(DEADLINE_MS)
    page = context.new_page()
    console = Console(page, url, token=role and token_of(role, user))
    page.on("pageerror", lambda error: console.faults.append(str(error)))
    page.on("console", lambda message: _note(console, message.type, message.text))
    page.on("request", lambda request: console.requested.append(request.url))
    try:
        yield console
        assert console.faults == []
    finally:
        context.close()


def _note(console: Console, kind: str, text: str) -> None:
    # The browser logs error responses, which are not faults of the page.
    if kind in ("error", "warning") and not re.match("Failed to load resource", text):
        console.faults.append(text)
