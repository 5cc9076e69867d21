"""Adds the audit trail of the capacity. Downgrading removes it."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE content_capacity_changes (
            change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            changed_at timestamp NOT NULL DEFAULT timezone('utc', now()),
            actor text NOT NULL,
            reason text NOT NULL,
            slots_before integer NOT NULL,
            slots integer NOT NULL,
            stopped_before boolean NOT NULL,
            stopped boolean NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE content_capacity_changes")
