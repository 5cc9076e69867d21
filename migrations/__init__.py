"""The schema's history, applied by `migrate` and taken back by `downgrade`.

Each runs in one transaction, wholly or not at all; two at the same time follow each other. What has been
applied is recorded in a table of our own, because the product may be using Alembic on the same database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, create_engine, text

VERSION_TABLE = "content_schema_version"

_LOCK = 0x726F61646D6170  # "roadmap": any number will do that nobody else locks


class CannotAdoptError(Exception):
    """The product's schema holds something that a person has to decide about; nothing has been changed."""


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at `url` up to `revision`, whether it is empty, the product's, or ours already."""
    with _locked(url) as config:
        command.upgrade(config, revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database at `url` back to `revision`; `base` leaves the product what is the product's."""
    with _locked(url) as config:
        command.downgrade(config, revision)
        if revision == "base":
            config.attributes["connection"].execute(text(f"DROP TABLE {VERSION_TABLE}"))


@contextmanager
def _locked(url: str) -> Iterator[Config]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        # The product's tables are about to be locked. Waiting for it, everybody else would wait behind us.
        connection.execute(text("SET LOCAL lock_timeout = '10s'"))
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
        yield config
