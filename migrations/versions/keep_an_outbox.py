"""Adds the outbox of events. Downgrading removes events that have not been delivered."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE content_events (
            event_id varchar(64) PRIMARY KEY,
            position bigint GENERATED ALWAYS AS IDENTITY,
            detail_type varchar(64) NOT NULL,
            task_id varchar(64),
            detail json NOT NULL,
            recorded_at timestamp NOT NULL DEFAULT timezone('utc', now()),
            delivered_at timestamp
        )
    """)
    op.execute("CREATE INDEX content_event_waiting ON content_events (position) WHERE delivered_at IS NULL")
    op.execute("CREATE INDEX content_event_by_delivery ON content_events (delivered_at)")


def downgrade() -> None:
    op.execute("DROP TABLE content_events")
