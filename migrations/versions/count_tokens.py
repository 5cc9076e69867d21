"""Adds the table that counts the tokens of a task's generation. Downgrading removes the counts."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE TABLE generation_tokens (task_id varchar(64) PRIMARY KEY, tokens bigint NOT NULL)")


def downgrade() -> None:
    op.execute("DROP TABLE generation_tokens")
