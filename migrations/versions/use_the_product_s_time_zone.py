"""Adds the functions `content_time_zone()` and `content_now()`: the clock of the product's tables.

Their timestamps have no time zone. The product writes local time into them, and so must we: a duration of
eight hours too much, or a negative one, comes of two clocks in one column. The zone is kept in the database,
because every session, also one through a pooler, must use the same. It is UTC until
`migrations.use_time_zone` is told otherwise. Our own tables are in UTC.

Downgrading removes both. Times that were written stay as they are.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute(
        "CREATE FUNCTION content_time_zone() RETURNS text LANGUAGE sql STABLE AS 'SELECT text ''UTC'''"
    )
    op.execute(
        "CREATE FUNCTION content_now() RETURNS timestamp LANGUAGE sql STABLE "
        "AS 'SELECT timezone(content_time_zone(), now())'"
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION content_now()")
    op.execute("DROP FUNCTION content_time_zone()")
