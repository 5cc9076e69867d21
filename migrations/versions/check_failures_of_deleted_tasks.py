"""Adds to a sweep the task up to which current failures were checked for deleted tasks.

The product deletes tasks. Their failures must be removed from the groups; each sweep checks some of the rows.
Without the column, every sweep would start with the same rows. Downgrading removes the column.
"""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE content_sweeps ADD COLUMN failures_checked_to varchar(64)")


def downgrade() -> None:
    op.execute("ALTER TABLE content_sweeps DROP COLUMN failures_checked_to")
