"""Allows failures for concept ids of any length: a long id is stored in a separate column.

An index row holds 2,704 bytes, and an id may be any text. A longer id was refused, together with the failures
of its whole batch. `concept_id`, which is part of the key, holds the digest of a long id. The key is not
changed, because the previous release writes with `ON CONFLICT` on its columns.

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
