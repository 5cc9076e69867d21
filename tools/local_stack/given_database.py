"""A database on the server of `DATABASE_URL`. Only databases that were created here are ever dropped.

A kept database stays for the next stack in the same directory; a file there contains its name.
"""

import json
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, SQLAlchemyError

from roadmap_content.contracts.errors import PermanentError
from roadmap_content.platform.postgres.transactions import sqlstate_and_reason

from .database_roles import DatabaseRoles, create_roles, drop_roles
from .postgres_server import (
    DRIVER,
    PostgresServer,
    Server,
    ServerError,
    create_database,
    drop_database,
    has_database,
    url_of_database,
)

# A superuser may do everything, independent of its other attributes.
MAY_CREATE = text("""
SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user
""")

_CONNECT_SECONDS = 10
_INSUFFICIENT_PRIVILEGE = "42501"

_FORM = "its form is postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


class InvalidDatabaseUrlError(PermanentError, code="InvalidDatabaseUrl"):
    """A database's URL cannot be used."""


class NotPermittedError(PermanentError, code="NotPermitted"):
    """The user of `DATABASE_URL` may not create a database or its roles."""


class NoDatabaseError(PermanentError, code="NoDatabase"):
    """`DATABASE_URL` contains no database to adopt."""


OWNERS = text("""
SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relname IN (
    'concept_metadata', 'execution_logs', 'quiz_metadata', 'resource_recommendation_metadata',
    'roadmap_metadata', 'roadmap_tasks', 'tutorial_metadata')
""")


@dataclass
class GivenDatabase:
    """A database on a given server. `stop` drops it with its roles, unless it is kept."""

    server_url: str = field(repr=False)
    name: str
    url: str = field(repr=False)
    kept: bool = False

    def stop(self) -> None:
        if not self.kept:
            _drop(self.server_url, self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def given_server() -> str | None:
    """The URL of the server of `DATABASE_URL`, for our driver; `None` if the variable is not set.

    Raises:
        InvalidDatabaseUrlError: it cannot be used.
    """
    given = os.environ.get("DATABASE_URL")
    return checked_url(given, "DATABASE_URL") if given else None


def checked_url(given: str, name: str) -> str:
    """A database's URL, for our driver. Raises InvalidDatabaseUrlError: that of `name` cannot be used."""
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise InvalidDatabaseUrlError(f"{name} is not a URL; {_FORM}") from error
    if not url.drivername.startswith("postgres"):
        raise InvalidDatabaseUrlError(f"{name} is not a URL of PostgreSQL; {_FORM}")
    if not (url.host and url.username):
        raise InvalidDatabaseUrlError(f"{name} names no {'user' if url.host else 'host'}; {_FORM}")
    return url.set(drivername=DRIVER).render_as_string(hide_password=False)


def given_or_embedded(data_dir: Path, *, fsync: bool = True) -> Server:
    """A new database on the server of `DATABASE_URL`, or our own server on `data_dir`."""
    server_url = given_server()
    if server_url is None:
        return PostgresServer.start(data_dir, fsync=fsync)
    _require_permission(server_url)
    name = _new_name()
    return GivenDatabase(server_url, name, create_database(server_url, name))


@dataclass
class AdoptedDatabase:
    """The database of `DATABASE_URL` itself. `stop` does not change it."""

    url: str = field(repr=False)

    @classmethod
    def given(cls) -> Self:
        """The database of `DATABASE_URL`.

        Raises:
            NoDatabaseError: the variable is not set, or contains no database.
            SQLAlchemyError: nobody can connect to it. The deployment would notice minutes later.
        """
        given = given_server()
        if given is None:
            raise NoDatabaseError("DATABASE_URL is not set; it must contain the database to adopt")
        if not make_url(given).database:
            raise NoDatabaseError("DATABASE_URL contains a server and no database")
        engine = create_engine(given, poolclass=NullPool, connect_args={"timeout": _CONNECT_SECONDS})
        with engine.connect():
            return cls(given)

    @property
    def place(self) -> str:
        """The database and its server, without the password."""
        return place_of(self.url)

    def create_roles(self) -> DatabaseRoles:
        """Create the three roles of a deployment for this database, or set new passwords for them.

        Raises:
            NotPermittedError: the user of the URL may not create them.
        """
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            owners = connection.scalars(OWNERS).all()
        try:
            return create_roles(self.url, self.role_prefix, owners)
        except DatabaseError as error:
            if sqlstate_and_reason(error)[0] != _INSUFFICIENT_PRIVILEGE:
                raise
        raise NotPermittedError(
            f"the user {make_url(self.url).username} of DATABASE_URL may not create the roles "
            f"{self.role_prefix}migrator, …writer and …reader, or may not make the migrator a member of "
            f"{', '.join(owners) or 'their owner'}: adopt the database with the URL of a superuser"
        )

    @property
    def role_prefix(self) -> str:
        """The prefix of the names of its roles: not that of a deployment on the same server."""
        return f"local_{re.sub('[^a-z0-9]', '_', str(make_url(self.url).database).lower())[:40]}_"

    def stop(self) -> None:
        """Do nothing: the database is not ours."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def kept_database(names: Path, server_url: str) -> GivenDatabase:
    """The database that is recorded for a server in the file `names`; it is created if it does not exist."""
    known = _read(names)
    if server_url not in known:
        _require_permission(server_url)
    name = known.setdefault(server_url, _new_name())
    names.touch(mode=0o600)  # a server's URL contains a password
    names.write_text(json.dumps(known, indent=2))
    if not has_database(server_url, name):
        create_database(server_url, name)
    return GivenDatabase(server_url, name, url_of_database(server_url, name), kept=True)


def drop_kept_databases(names: Path) -> None:
    """Drop every database that is recorded in the file `names`, then remove the file.

    Raises:
        ServerError: a server did not drop its database; the file is unchanged.
    """
    for server_url, name in _read(names).items():
        try:
            _drop(server_url, name)
        except SQLAlchemyError as error:
            server = make_url(server_url).render_as_string()
            raise ServerError(
                f"database {name} of {server} was not dropped; to leave it there, delete {names}"
            ) from error
    names.unlink(missing_ok=True)


def place_of(database_url: str) -> str:
    """A database and its server, without the user and the password."""
    url = make_url(database_url)
    return f"{url.database} on {url.host}:{url.port or 5432}"


def _require_permission(server_url: str) -> None:
    """Check that the user may create a database and its roles.

    Raises:
        NotPermittedError: the user may not.
    """
    with create_engine(server_url, poolclass=NullPool).connect() as connection:
        if connection.scalar(MAY_CREATE):
            return
    user = make_url(server_url).username
    raise NotPermittedError(
        f"the user {user} of DATABASE_URL may not create a database and its roles: as an administrator, run"
        f' ALTER ROLE "{user}" CREATEDB CREATEROLE; or use --adopt to work in the database of DATABASE_URL'
    )


def _drop(server_url: str, name: str) -> None:
    """Drop one of our databases, and the roles with its name as prefix."""
    drop_database(server_url, name)
    drop_roles(server_url, f"{name}_")


def _new_name() -> str:
    return f"roadmap_{secrets.token_hex(8)}"


def _read(names: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(names.read_text())
    except FileNotFoundError:
        return {}
    return known
