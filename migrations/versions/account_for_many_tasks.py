"""Adds the tables for many tasks: attempts, current failures and their groups, recoveries, health counters.

`content_attempts` is filled with the known earlier attempts: the last attempt of a task from the task's row,
the previous ones from their recorded failures. `content_task_failures` starts empty: the next outcome or
sweep of a task writes its rows. Downgrading removes these tables, but no content.
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"

TABLES = """
CREATE TABLE content_attempts (
    task_id varchar(64) NOT NULL,
    attempt integer NOT NULL,
    actor text NOT NULL,
    cause varchar(16) NOT NULL,
    reason text,
    execution_arn text,
    redrive_count integer NOT NULL DEFAULT 0,
    step varchar(16) NOT NULL,
    claimed_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    ended_at timestamp,
    outcome varchar(32),
    planned json,
    saved json,
    failed json,
    generated json,
    tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (task_id, attempt)
);

CREATE TABLE content_task_failures (
    task_id varchar(64) NOT NULL,
    group_id varchar(32) NOT NULL,
    attempt integer NOT NULL,
    error_code text NOT NULL,
    stage varchar(16) NOT NULL,
    content_type varchar(16) NOT NULL,
    reason text NOT NULL,
    transient boolean NOT NULL,
    items integer NOT NULL,
    first_seen timestamp NOT NULL,
    last_seen timestamp NOT NULL,
    example_concept_id text NOT NULL,
    example_reason text NOT NULL,
    user_id text NOT NULL,
    created_at timestamp NOT NULL,
    PRIMARY KEY (task_id, group_id)
);
CREATE INDEX content_task_failure_by_group ON content_task_failures (group_id, created_at, task_id);
CREATE INDEX content_task_failure_by_code ON content_task_failures (error_code, created_at, task_id);
CREATE INDEX content_task_failure_by_type ON content_task_failures (content_type, created_at, task_id);
CREATE INDEX content_task_failure_by_user ON content_task_failures (user_id, group_id);

CREATE TABLE content_failure_groups (
    group_id varchar(32) PRIMARY KEY,
    error_code text NOT NULL,
    stage varchar(16) NOT NULL,
    content_type varchar(16) NOT NULL,
    reason text NOT NULL,
    transient boolean NOT NULL,
    tasks bigint NOT NULL,
    items bigint NOT NULL,
    first_seen timestamp NOT NULL,
    last_seen timestamp NOT NULL
);
CREATE INDEX content_failure_group_by_items ON content_failure_groups (items, group_id) WHERE items > 0;

CREATE TABLE content_failure_hours (
    group_id varchar(32) NOT NULL,
    hour timestamp NOT NULL,
    items bigint NOT NULL,
    PRIMARY KEY (group_id, hour)
);

CREATE TABLE content_token_hours (
    hour timestamp NOT NULL,
    shard smallint NOT NULL,
    spent bigint NOT NULL,
    saved_by_staging bigint NOT NULL,
    PRIMARY KEY (hour, shard)
);

CREATE TABLE content_automatic_attempts (
    task_id varchar(64) PRIMARY KEY,
    attempt integer NOT NULL,
    due_at timestamp NOT NULL
);
CREATE INDEX content_automatic_attempt_by_due ON content_automatic_attempts (due_at);

CREATE TABLE content_sweeps (
    swept_at timestamp PRIMARY KEY,
    seconds double precision NOT NULL,
    checked integer NOT NULL,
    repaired integer NOT NULL,
    refused integer NOT NULL,
    finished boolean NOT NULL
);

CREATE TABLE content_recoveries (
    recovery_id varchar(64) PRIMARY KEY,
    state varchar(32) NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    filter json NOT NULL,
    rate_per_minute integer NOT NULL,
    concurrency integer NOT NULL,
    token_budget bigint,
    canary integer NOT NULL,
    created_at timestamp NOT NULL DEFAULT timezone('utc', now()),
    started_at timestamp,
    ended_at timestamp,
    stop_reason text,
    part integer NOT NULL,
    execution_arn text NOT NULL,
    next_start_at timestamp
);
CREATE INDEX content_recovery_by_creation ON content_recoveries (created_at, recovery_id);
CREATE INDEX content_recovery_active ON content_recoveries (recovery_id) WHERE ended_at IS NULL;

CREATE TABLE content_recovery_tasks (
    recovery_id varchar(64) NOT NULL REFERENCES content_recoveries ON DELETE CASCADE,
    position integer NOT NULL,
    task_id varchar(64) NOT NULL,
    canary boolean NOT NULL,
    result varchar(16) NOT NULL DEFAULT 'waiting',
    reason text,
    attempt integer,
    started_at timestamp,
    ended_at timestamp,
    groups_before json,
    same_failures boolean,
    tokens bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (recovery_id, task_id)
);
CREATE INDEX content_recovery_task_by_position ON content_recovery_tasks (recovery_id, position);
CREATE INDEX content_recovery_task_by_result ON content_recovery_tasks (recovery_id, result, position);

-- Of a longer text than an index entry holds, an insert would fail: prefixes alone are indexed.
CREATE INDEX content_task_by_creation ON roadmap_tasks (created_at, task_id);
CREATE INDEX content_task_by_status_and_creation ON roadmap_tasks (status, created_at, task_id);
CREATE INDEX content_task_by_user_and_creation ON roadmap_tasks (user_id, created_at, task_id);
CREATE INDEX content_task_by_update ON roadmap_tasks (updated_at);
CREATE INDEX content_task_by_prefix ON roadmap_tasks (task_id text_pattern_ops);
CREATE INDEX content_task_by_roadmap ON roadmap_tasks ("left"(roadmap_id, 100) text_pattern_ops);
CREATE INDEX content_roadmap_by_title ON roadmap_metadata ("left"(lower(title), 100) text_pattern_ops);
"""

ADOPT_LAST_ATTEMPTS = """
WITH ours AS (
    SELECT *, CASE WHEN json_typeof(execution_summary) = 'object'
            AND execution_summary ->> 'attempt' = CAST(attempt AS text)
            AND json_typeof(execution_summary -> 'duration_seconds') = 'number'
        THEN execution_summary END AS summary
    FROM roadmap_tasks WHERE attempt > 0
)
INSERT INTO content_attempts
    (task_id, attempt, actor, cause, execution_arn, step, claimed_at, ended_at, outcome, failed, tokens)
SELECT o.task_id, o.attempt, 'unknown', 'adopted', o.execution_arn,
    CASE o.status WHEN 'processing' THEN 'working' ELSE 'ended' END,
    coalesce(o.completed_at - make_interval(
        secs => CAST(o.summary ->> 'duration_seconds' AS double precision)), o.updated_at, o.created_at),
    CASE WHEN o.status <> 'processing' THEN o.completed_at END,
    CASE WHEN o.status <> 'processing' THEN o.status END,
    CASE WHEN o.status <> 'processing' AND o.summary IS NOT NULL THEN json_build_object(
        'tutorial', o.summary #> '{tutorial,failed}', 'resources', o.summary #> '{resources,failed}',
        'quiz', o.summary #> '{quiz,failed}') END,
    coalesce(t.tokens, 0)
FROM ours o LEFT JOIN generation_tokens t USING (task_id)
"""

# Only the failures of earlier attempts are known.
ADOPT_EARLIER_ATTEMPTS = """
INSERT INTO content_attempts
    (task_id, attempt, actor, cause, step, claimed_at, ended_at, outcome, failed)
SELECT f.task_id, f.attempt, 'unknown', 'adopted', 'ended', min(f.occurred_at), max(f.occurred_at), NULL,
    json_build_object('tutorial', count(*) FILTER (WHERE f.content_type = 'tutorial'),
        'resources', count(*) FILTER (WHERE f.content_type = 'resources'),
        'quiz', count(*) FILTER (WHERE f.content_type = 'quiz'))
FROM content_failures f JOIN roadmap_tasks t USING (task_id)
WHERE f.attempt < t.attempt
GROUP BY f.task_id, f.attempt
"""

REMOVE = """
DROP INDEX content_roadmap_by_title, content_task_by_roadmap, content_task_by_prefix, content_task_by_update,
    content_task_by_user_and_creation, content_task_by_status_and_creation, content_task_by_creation;
DROP TABLE content_recovery_tasks, content_recoveries, content_sweeps, content_automatic_attempts,
    content_token_hours, content_failure_hours, content_failure_groups, content_task_failures,
    content_attempts;
"""


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(text(TABLES))
    connection.execute(text(ADOPT_LAST_ATTEMPTS))
    connection.execute(text(ADOPT_EARLIER_ATTEMPTS))


def downgrade() -> None:
    op.execute(REMOVE)
