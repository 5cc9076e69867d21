"""A browser for the session, the simulated API, and the real stack."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from local_stack.stack import LocalStack
from roadmap_command.demo import PARAMETERS
from tests.browser.driver import launch
from tests.browser.fake_api import fake_api


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="session")
def fake() -> Iterator[str]:
    """The address of the simulated API."""
    with fake_api() as address:
        yield address


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A running stack: the real API, the real function of the console."""
    # Not pytest's own directory: if root runs the tests, only root can read it, and PostgreSQL does not run
    # as root.
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-console-") as directory,
        LocalStack.start(Path(directory), parameters=PARAMETERS, wait_scale=0.01, fsync=False) as stack,
    ):
        yield stack
