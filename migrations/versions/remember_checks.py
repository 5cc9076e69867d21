"""Adds the time of each task's last check by a sweep. Downgrading removes it, so every task is due again."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE content_checks (
            task_id varchar(64) PRIMARY KEY,
            checked_at timestamp NOT NULL,
            error_code text,
            reason text
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE content_checks")
