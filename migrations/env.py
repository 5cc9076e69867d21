"""Alembic's environment. `migrations.migrate` passes the connection, with an open transaction and a lock."""

from alembic import context

from migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
