"""The database of the schedules: as migrated, with the column by which the product marks its work."""

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text

from local_stack.given_database import given_or_embedded
from local_stack.postgres_server import create_database
from migrations import migrate

_TEMPLATE = "schedules_template"
_PRODUCT = text("ALTER TABLE roadmap_tasks ADD celery_task_id text")


@contextmanager
def template_database() -> Iterator[str]:
    """A server with the template; yields the server's URL. All databases are dropped at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-postgres-") as folder,
        given_or_embedded(Path(folder), fsync=False) as server,
    ):
        url = create_database(server.url, _TEMPLATE, template="template1")
        migrate(url)
        with create_engine(url, poolclass=NullPool).begin() as connection:
            connection.execute(_PRODUCT)
        yield server.url


def new_database(server_url: str) -> str:
    """A copy of the template; its URL."""
    return create_database(server_url, f"schedules_{secrets.token_hex(4)}", template=_TEMPLATE)
