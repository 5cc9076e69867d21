"""Lets a failure be recorded for a concept id of any length: a long id stands in a column of its own.

An index row holds 2,704 bytes, and an id is any text: a long one was refused, and with it the failures of its
whole batch. `concept_id`, which is part of the key, holds the digest of a long id. The key stays as it was,
because the release before writes with `ON CONFLICT` on its columns.

Downgrading removes the failures of long ids.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

UPGRADE = "ALTER TABLE content_failures ADD COLUMN long_concept_id text"

DOWNGRADE = """
DELETE FROM content_failures WHERE long_concept_id IS NOT NULL;
ALTER TABLE content_failures DROP COLUMN long_concept_id;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
