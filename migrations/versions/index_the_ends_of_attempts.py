"""Adds an index of the ends of attempts. Downgrading removes it."""

from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.execute("CREATE INDEX content_attempt_by_end ON content_attempts (ended_at, outcome)")


def downgrade() -> None:
    op.execute("DROP INDEX content_attempt_by_end")
