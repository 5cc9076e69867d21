"""Adds an attempt's scope and the rows to replace to the audit trail.

`scope` is NULL for an attempt for all missing items. `replaces` holds the ids of the current rows when the
attempt was planned: `{content_type: {concept_id: id}}`. Downgrading removes both.
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE content_attempts ADD COLUMN scope json, ADD COLUMN replaces json")


def downgrade() -> None:
    op.execute("ALTER TABLE content_attempts DROP COLUMN scope, DROP COLUMN replaces")
