"""Adds the queue of attempts and the capacity; recoveries get a breaker and lose their own executions.

Attempts that are at work during the migration have no row in the queue, so they take no slot. The previous
release claims attempts without the queue and starts them itself. It requires a recovery's `part` and
`execution_arn`, which therefore have defaults instead of being dropped: recoveries of this release have no
execution, and wait until this release is deployed again. Downgrading removes the queue: the sweep finalizes
waiting attempts as never started.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

TABLES = """
CREATE TABLE content_capacity (
    capacity_id smallint PRIMARY KEY DEFAULT 1 CHECK (capacity_id = 1),
    slots integer NOT NULL CHECK (slots > 0),
    stopped_reason text,
    changed_by text,
    changed_at timestamp
);
INSERT INTO content_capacity (slots) VALUES (10);

CREATE TABLE content_queue (
    task_id varchar(64) NOT NULL,
    attempt integer NOT NULL,
    class varchar(16) NOT NULL,
    queue_key text NOT NULL,
    state varchar(16) NOT NULL,
    tokens bigint NOT NULL,
    grants integer NOT NULL,
    enqueued_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    admitted_at timestamp,
    ended_at timestamp,
    PRIMARY KEY (task_id, attempt)
);
CREATE INDEX content_queue_waiting ON content_queue (class, queue_key, enqueued_at, task_id)
    WHERE state = 'waiting';
CREATE INDEX content_queue_at_work ON content_queue (class, queue_key)
    WHERE state IN ('starting', 'redriving', 'running');
CREATE INDEX content_queue_by_end ON content_queue (ended_at) WHERE state = 'ended';

CREATE TABLE content_queue_keys (
    class varchar(16) NOT NULL,
    queue_key text NOT NULL,
    charged double precision NOT NULL,
    waiting boolean NOT NULL,
    PRIMARY KEY (class, queue_key)
);
CREATE INDEX content_queue_key_by_charge ON content_queue_keys (class, waiting, charged, queue_key);

CREATE TABLE content_queue_weights (
    queue_key text PRIMARY KEY,
    weight double precision NOT NULL CHECK (weight > 0)
);

ALTER TABLE content_recoveries
    ADD COLUMN breaker integer NOT NULL DEFAULT 0, ADD COLUMN advanced_at timestamp;
ALTER TABLE content_recoveries ALTER COLUMN part SET DEFAULT 0, ALTER COLUMN execution_arn SET DEFAULT '';
"""

REMOVE = """
ALTER TABLE content_recoveries ALTER COLUMN part DROP DEFAULT, ALTER COLUMN execution_arn DROP DEFAULT;
ALTER TABLE content_recoveries DROP COLUMN breaker, DROP COLUMN advanced_at;
DROP TABLE content_queue_weights, content_queue_keys, content_queue, content_capacity;
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute(REMOVE)
