"""Lets a recovery regenerate saved items, and undo this.

- `items` has the items of a task that a recovery regenerates, with the revisions that it replaces, by content
  type and concept. NULL: the recovery retries missing items.
- `undone` is what an undo did to them. NULL: they were not processed by an undo.

Downgrading removes both.
"""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("ALTER TABLE content_recovery_tasks ADD COLUMN items json, ADD COLUMN undone json")


def downgrade() -> None:
    op.execute("ALTER TABLE content_recovery_tasks DROP COLUMN items, DROP COLUMN undone")
