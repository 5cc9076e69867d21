"""The database of the schedules: as migrated, with the column by which the product marks its work."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import NullPool, create_engine, make_url, text

from local_stack.postgres_server import create_database, drop_database
from migrations import migrate
from tests.support.databases import temporary_server

_PRODUCT = text("ALTER TABLE roadmap_tasks ADD celery_task_id text")
_COPIES = text("SELECT datname FROM pg_database WHERE starts_with(datname, :name)")


class Template(NamedTuple):
    """A template database on a server."""

    server_url: str
    name: str

    def copied(self) -> str:
        return create_database(self.server_url, f"{self.name}_{secrets.token_hex(4)}", template=self.name)

    def drop(self, url: str) -> None:
        """Drop a copy, before the end."""
        drop_database(self.server_url, make_url(url).database or "")


@contextmanager
def template_database() -> Iterator[Template]:
    """A template. It is dropped at the end, with its copies."""
    name = f"schedules_{secrets.token_hex(4)}"
    with temporary_server() as server:
        try:
            url = create_database(server.url, name, template="template1")
            migrate(url)
            with create_engine(url, poolclass=NullPool).begin() as connection:
                connection.execute(_PRODUCT)
            yield Template(server.url, name)
        finally:
            with create_engine(server.url, poolclass=NullPool).connect() as connection:
                made = connection.scalars(_COPIES, {"name": name}).all()
            for each in made:
                drop_database(server.url, each)
