"""Adds the index that the feed of a task's changes reads. Downgrading removes it."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("CREATE INDEX content_event_of_task ON content_events (task_id, position)")


def downgrade() -> None:
    op.execute("DROP INDEX content_event_of_task")
