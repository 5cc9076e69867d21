"""The three roles of a database (`database/roles.sql`), on a PostgreSQL server of this machine."""

import secrets
from collections.abc import Collection, Iterator
from typing import NamedTuple

from sqlalchemy import NullPool, create_engine, make_url, text

from .builds import REPOSITORY

PREFIX = "roadmap_"
"""The prefix of the roles' names in `database/roles.sql`."""


class DatabaseRoles(NamedTuple):
    """The URLs with which the roles log in to one database."""

    migrator: str
    writer: str
    reader: str

    @property
    def names(self) -> "DatabaseRoles":
        """The names of the roles."""
        return DatabaseRoles(*(make_url(url).username or "" for url in self))


def create_roles(
    administrator_url: str, prefix: str = PREFIX, owners: Collection[str] | None = None
) -> DatabaseRoles:
    """Create the roles with the name prefix `prefix`, or set new passwords for existing ones.

    The migrator becomes a member of `owners`, the roles that own the product's tables; by default, of the
    administrator's role.
    """
    url = make_url(administrator_url)
    urls = DatabaseRoles(
        *(
            url.set(username=f"{prefix}{kind}", password=secrets.token_urlsafe(24)).render_as_string(
                hide_password=False
            )
            for kind in DatabaseRoles._fields
        )
    )
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        existing = set(connection.scalars(text("SELECT rolname FROM pg_roles")))
        schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
        for statement in role_statements(prefix, schema):
            if not (statement.startswith("CREATE ROLE") and statement.split()[2] in existing):
                connection.exec_driver_sql(statement)
        for role in urls:
            entry = make_url(role)
            connection.exec_driver_sql(f"ALTER ROLE {entry.username} PASSWORD '{entry.password}'")
        for owner in {str(url.username)} if owners is None else set(owners) - {urls.names.migrator}:
            connection.exec_driver_sql(f'GRANT "{owner}" TO {urls.names.migrator}')
    return urls


def drop_roles(administrator_url: str, prefix: str) -> None:
    """Drop the roles, if they exist. Drop the databases in which they own objects first."""
    with create_engine(administrator_url, poolclass=NullPool).begin() as connection:
        for kind in DatabaseRoles._fields:
            connection.exec_driver_sql(f"DROP ROLE IF EXISTS {prefix}{kind}")


def role_statements(prefix: str = PREFIX, schema: str = "public") -> Iterator[str]:
    """The statements of `database/roles.sql`, with the name prefix `prefix` and for another schema."""
    lines = (REPOSITORY / "database/roles.sql").read_text().splitlines()
    script = "\n".join(line for line in lines if not line.startswith("--"))
    for statement in script.split(";"):
        if statement.strip():
            yield statement.strip().replace(PREFIX, prefix).replace("SCHEMA public", f"SCHEMA {schema}")
