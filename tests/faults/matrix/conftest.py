"""The database, the proxy and the clock of the tests in process."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import make_url

from local_stack.database_roles import DatabaseRoles
from local_stack.postgres_server import Server
from roadmap_content.platform.postgres import transactions
from roadmap_content.platform.runtime import deadline
from tests.faults.matrix.database_proxy import DatabaseProxy
from tests.faults.matrix.steps import Setting
from tests.faults.world import Scene
from tests.support.databases import copied_database
from tests.support.product_schema import CONCEPT_METADATA


class Clock:
    """A clock that a pause moves on, so that no test waits before a transaction is tried again."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._skipped

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self._skipped += seconds


@pytest.fixture(scope="module")
def setting(database_server: Server, migrated_template: tuple[str, DatabaseRoles]) -> Iterator[Setting]:
    """A database with the product's `concept_metadata`, and the proxy between it and the steps."""
    template, roles = migrated_template
    with copied_database(database_server.url, template) as (name, url):
        scene = Scene(url, "content")
        with scene.aside.engine.begin() as connection:
            connection.exec_driver_sql(f"{CONCEPT_METADATA}; GRANT ALL ON concept_metadata TO PUBLIC")
        writer = make_url(roles.writer)
        assert writer.port is not None
        with DatabaseProxy(writer.port, {}) as proxy:
            through = writer.set(database=name, port=proxy.port).render_as_string(hide_password=False)
            yield Setting(scene, proxy, through, roles.names.writer)
        scene.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between the tries of a transaction take no time."""
    clock = Clock()
    monkeypatch.setattr(transactions, "time", clock)
    monkeypatch.setattr(deadline, "time", clock)
