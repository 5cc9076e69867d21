"""A browser for the session, and the real API with real tasks."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from local_stack.database_roles import DatabaseRoles
from local_stack.postgres_server import Server
from tests.browser.driver import Console, console_in, launch
from tests.browser.real_api import RealApi, real_api
from tests.browser.tasks import make_tasks
from tests.support.databases import copied_database
from tests.support.pipeline import S3


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture(scope="session")
def bucket() -> Iterator[None]:
    """The bucket of all deployments. No request can use the machine's own credentials."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            environment.setenv(name, "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        S3.create_bucket(Bucket="content")
        yield


@pytest.fixture(scope="session")
def empty(
    bucket: None, database_server: Server, migrated_template: tuple[str, DatabaseRoles]
) -> Iterator[RealApi]:
    """A deployment without tasks."""
    with deployment(database_server, migrated_template) as api:
        yield api


@pytest.fixture(scope="session")
def api(
    bucket: None, database_server: Server, migrated_template: tuple[str, DatabaseRoles]
) -> Iterator[RealApi]:
    """A deployment with a task and a recovery in each state: see `tasks.py`."""
    with deployment(database_server, migrated_template) as api:
        make_tasks(api)
        yield api


@pytest.fixture
def console(browser: Browser, api: RealApi) -> Iterator[Console]:
    """The console of an operator."""
    with console_in(browser, api.url, role="operator") as opened:
        yield opened


@contextmanager
def deployment(server: Server, template: tuple[str, DatabaseRoles]) -> Iterator[RealApi]:
    name, roles = template
    with copied_database(server.url, name) as (_, url), real_api(url, roles) as api:
        yield api
