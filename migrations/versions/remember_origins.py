"""Records how each saved content came to be. Rows that were saved before have no origin.

Downgrading removes the origins.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

ORIGINS = """
CREATE TABLE content_origins (
    origin_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    content_type varchar(16) NOT NULL,
    content_id text,
    roadmap_id text NOT NULL,
    concept_id text NOT NULL,
    task_id varchar(64),
    attempt integer,
    actor text,
    reason text,
    generator text,
    model_id text,
    prompt_version text,
    service_tier text,
    tokens_in integer,
    tokens_out integer,
    content_fingerprint text,
    restored_from text,
    refused_code text,
    recorded_at timestamp NOT NULL DEFAULT timezone('utc', now())
);
CREATE INDEX content_origin_by_content ON content_origins (content_id) WHERE content_id IS NOT NULL;
CREATE INDEX content_origin_refused ON content_origins (task_id, attempt) WHERE refused_code IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(ORIGINS)


def downgrade() -> None:
    op.execute("DROP TABLE content_origins")
