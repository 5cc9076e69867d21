"""Adds the fingerprint of the refused content to failures. Downgrading removes it, so the content is tried
once more.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE content_failures ADD COLUMN content_fingerprint text")


def downgrade() -> None:
    op.execute("ALTER TABLE content_failures DROP COLUMN content_fingerprint")
