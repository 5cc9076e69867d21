"""Adds the lease, the refusals and the setting aside of an event to the outbox.

The index of the release before this one stays, because that release may run on this schema. Downgrading makes
events that were set aside wait again.
"""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE content_events
            ADD COLUMN due_at timestamp NOT NULL DEFAULT timezone('utc', now()),
            ADD COLUMN tries int NOT NULL DEFAULT 0,
            ADD COLUMN error_code text,
            ADD COLUMN set_aside_at timestamp
    """)
    op.execute("""
        CREATE INDEX content_event_due ON content_events (due_at, position)
        WHERE delivered_at IS NULL AND set_aside_at IS NULL
    """)
    op.execute(
        "CREATE INDEX content_event_aside ON content_events (set_aside_at) WHERE set_aside_at IS NOT NULL"
    )


def downgrade() -> None:
    op.execute("""
        ALTER TABLE content_events
            DROP COLUMN due_at, DROP COLUMN tries, DROP COLUMN error_code, DROP COLUMN set_aside_at
    """)
