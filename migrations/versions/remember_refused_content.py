"""Adds to a failure which content it was that was refused. Downgrading forgets it: it is tried once more."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE content_failures ADD COLUMN content_fingerprint text")


def downgrade() -> None:
    op.execute("ALTER TABLE content_failures DROP COLUMN content_fingerprint")
