"""Adds the model's quota of tokens and the bucket that invocations share. Downgrading removes both."""

from alembic import op

revision = "0025"
down_revision = "0024"

WRITES = {"content_model_tokens": ("INSERT", "UPDATE")}
"""See `migrations.grants`."""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE content_model_tokens (
            model_id text PRIMARY KEY,
            supplied double precision NOT NULL,
            promised double precision NOT NULL,
            refilled_at timestamp NOT NULL
        );
        ALTER TABLE content_capacity ADD COLUMN tokens_per_minute bigint CHECK (tokens_per_minute > 0);
        ALTER TABLE content_capacity_changes
            ADD COLUMN tokens_per_minute_before bigint, ADD COLUMN tokens_per_minute bigint
    """)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE content_capacity_changes
            DROP COLUMN tokens_per_minute_before, DROP COLUMN tokens_per_minute;
        ALTER TABLE content_capacity DROP COLUMN tokens_per_minute;
        DROP TABLE content_model_tokens
    """)
