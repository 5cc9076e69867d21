"""Adds the findings of later checks of saved contents. Downgrading removes them."""

from alembic import op

revision = "0026"
down_revision = "0025"

WRITES = {"content_saved_checks": ("INSERT", "UPDATE")}
"""See `migrations.grants`."""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE content_saved_checks (
            task_id varchar(64) NOT NULL,
            content_type varchar(16) NOT NULL,
            concept_id text NOT NULL,
            content_id text NOT NULL,
            error_code text,
            reason text,
            checked_at timestamp NOT NULL,
            PRIMARY KEY (task_id, content_type, concept_id)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE content_saved_checks")
