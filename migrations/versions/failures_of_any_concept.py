"""Lets a failure be recorded for a concept id of any length: the key holds its hash.

An index row holds 2,704 bytes, and an id is any text: a long one was refused, and with it the failures of its
whole batch. Downgrading removes the failures whose ids do not fit the old key.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

UPGRADE = """
ALTER TABLE content_failures ADD COLUMN concept_hash bytea;
UPDATE content_failures SET concept_hash = sha256(convert_to(concept_id, 'UTF8'));
ALTER TABLE content_failures
    ALTER COLUMN concept_hash SET NOT NULL,
    DROP CONSTRAINT content_failures_pkey,
    ADD PRIMARY KEY (task_id, attempt, content_type, concept_hash);
"""

DOWNGRADE = """
DELETE FROM content_failures WHERE octet_length(concept_id) > 2000;
ALTER TABLE content_failures
    DROP CONSTRAINT content_failures_pkey,
    ADD PRIMARY KEY (task_id, attempt, concept_id, content_type),
    DROP COLUMN concept_hash;
"""


def upgrade() -> None:
    op.execute(UPGRADE)


def downgrade() -> None:
    op.execute(DOWNGRADE)
