"""Adds the functions `content_time_zone()` and `content_now()`: the clock of the product's tables.

Their timestamps have no time zone, and the product writes local time into them. This system must write the
same local time: two clocks in one column give durations that are eight hours too long, or negative. The zone
is stored in the database, so that every session uses the same one, also through a pooler. It is UTC until
`migrations.use_time_zone` sets another one. Our own tables are in UTC.

Downgrading removes both functions. Written times do not change.
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
