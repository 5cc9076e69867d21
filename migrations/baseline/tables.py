"""The tables of this system, with their indexes. No foreign key refers to a table of the product, which
may delete its rows.
"""

import json
import re
from collections.abc import Iterator

from sqlalchemy import Connection, text

from migrations import CannotAdoptError

CORE = """
-- Why an item is missing, per attempt; `content_fingerprint` is that of the refused content, if there was
-- one. An index entry holds 2,704 bytes, and an id may be any text: `concept_id` has the digest of a long id,
-- and `long_concept_id` the id.
CREATE TABLE content_failures (
    task_id varchar(64) NOT NULL,
    attempt integer NOT NULL,
    concept_id text NOT NULL,
    content_type varchar(16) NOT NULL,
    stage varchar(16) NOT NULL CHECK (stage IN ('generate', 'save', 'workflow')),
    error_code text NOT NULL,
    reason text NOT NULL,
    transient boolean NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT now(),
    content_fingerprint text,
    long_concept_id text,
    PRIMARY KEY (task_id, attempt, concept_id, content_type)
);

-- Current failures of a task by group and content type: those of its latest attempt that has ended. Its user
-- and creation (the product's local time) are copied, so that one index returns a page of a group's tasks in
-- order.
CREATE TABLE content_task_failures (
    task_id varchar(64) NOT NULL,
    group_id varchar(32) NOT NULL,
    attempt integer NOT NULL,
    error_code text NOT NULL,
    stage varchar(16) NOT NULL CHECK (stage IN ('generate', 'save', 'workflow')),
    content_type varchar(16) NOT NULL,
    reason text NOT NULL,
    transient boolean NOT NULL,
    items integer NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    example_concept_id text NOT NULL,
    example_reason text NOT NULL,
    user_id text NOT NULL,
    created_at timestamp NOT NULL,
    PRIMARY KEY (task_id, group_id, content_type)
);
CREATE INDEX content_task_failure_by_group ON content_task_failures (group_id, created_at, task_id);
CREATE INDEX content_task_failure_by_code ON content_task_failures (error_code, created_at, task_id);
CREATE INDEX content_task_failure_by_type ON content_task_failures (content_type, created_at, task_id);
CREATE INDEX content_task_failure_by_user ON content_task_failures (user_id, group_id);

-- The audit trail: one row per attempt, written with its claim and completed with its outcome. `scope` is
-- NULL for an attempt for all missing items; `replaces` has the ids of the current rows that it replaces:
-- {content_type: {concept_id: id}}. `planned` to `generated` are numbers of items by content type: NULL until
-- they are counted, {} if they cannot be known. Before the end, the only `outcome` is 'cancelled'. After the
-- task's latest attempt, `next_at` is when the next one begins for which nobody has to ask. The task's user
-- and roadmap are copied, to remove the records of tasks that the product has deleted: `…_gone_since` is when
-- a sweep first missed them.
CREATE TABLE content_attempts (
    task_id varchar(64) NOT NULL,
    attempt integer NOT NULL,
    actor text NOT NULL,
    cause varchar(16) NOT NULL CHECK (cause IN
        ('first_run', 'retry', 'checkpoint', 'console_redrive', 'automatic', 'recovery')),
    reason text,
    execution_arn text,
    redrive_count integer NOT NULL DEFAULT 0,
    step varchar(16) NOT NULL CHECK (step IN ('claimed', 'working', 'ended')),
    claimed_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz CHECK ((ended_at IS NULL) = (step <> 'ended')),
    outcome varchar(32) CHECK (outcome IN
        ('completed', 'partial_failure', 'failed', 'cancelled', 'superseded')),
    planned json,
    saved json,
    failed json,
    generated json,
    tokens bigint NOT NULL DEFAULT 0,
    scope json,
    replaces json,
    user_id text,
    roadmap_id text,
    task_gone_since timestamptz,
    roadmap_gone_since timestamptz,
    next_at timestamptz CHECK (next_at IS NULL OR ended_at IS NOT NULL),
    PRIMARY KEY (task_id, attempt)
);
CREATE INDEX content_attempt_next ON content_attempts (next_at) WHERE next_at IS NOT NULL;
CREATE UNIQUE INDEX content_attempt_open ON content_attempts (task_id) WHERE ended_at IS NULL;
CREATE INDEX content_attempt_uncounted ON content_attempts (task_id) WHERE saved IS NULL;
CREATE INDEX content_attempt_by_user ON content_attempts (user_id, task_id);
CREATE INDEX content_attempt_by_roadmap ON content_attempts (hashtextextended(roadmap_id, 0));

-- Claimed attempts that wait or work, and for some time those that have ended. `queue_key` is the user or the
-- tenant, `tokens` what its counter is charged with, `grants` the batches that may be generated at once.
CREATE TABLE content_queue (
    task_id varchar(64) NOT NULL,
    attempt integer NOT NULL,
    class varchar(16) NOT NULL CHECK (class IN ('interactive', 'bulk', 'bulk_paused')),
    queue_key text NOT NULL,
    state varchar(16) NOT NULL CHECK (state IN ('waiting', 'starting', 'redriving', 'running', 'ended')),
    tokens bigint NOT NULL,
    grants integer NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    admitted_at timestamptz,
    ended_at timestamptz CHECK ((ended_at IS NULL) = (state <> 'ended')),
    PRIMARY KEY (task_id, attempt),
    FOREIGN KEY (task_id, attempt) REFERENCES content_attempts ON DELETE CASCADE
);
CREATE UNIQUE INDEX content_queue_open ON content_queue (task_id) WHERE state <> 'ended';
CREATE INDEX content_queue_waiting ON content_queue (class, queue_key, enqueued_at, task_id)
    WHERE state = 'waiting';
CREATE INDEX content_queue_at_work ON content_queue (class, queue_key)
    WHERE state IN ('starting', 'redriving', 'running');
CREATE INDEX content_queue_by_end ON content_queue (ended_at) WHERE state = 'ended';

-- The virtual time of each user or tenant, per class: the tokens charged at admission.
CREATE TABLE content_queue_keys (
    class varchar(16) NOT NULL CHECK (class IN ('interactive', 'bulk')),
    queue_key text NOT NULL,
    virtual_time double precision NOT NULL,
    waiting boolean NOT NULL,
    PRIMARY KEY (class, queue_key)
);
CREATE INDEX content_queue_key_by_time ON content_queue_keys (class, waiting, virtual_time, queue_key);

-- The number of slots, and the switch that stops generation (not stopped: NULL): one row.
CREATE TABLE content_capacity (
    capacity_id smallint PRIMARY KEY DEFAULT 1 CHECK (capacity_id = 1),
    slots integer NOT NULL CHECK (slots > 0),
    stopped_reason text,
    stopped_since timestamptz
);
INSERT INTO content_capacity (slots) VALUES (10);

-- The outbox: events, until they are delivered and for some time after. `changes` is the number that the feed
-- makes of the event. `due_at` is also the end of the lease of a sender, and of the pause after a refusal;
-- what cannot be sent is set aside. Events of recoveries have no task.
CREATE TABLE content_events (
    event_id varchar(64) PRIMARY KEY,
    position bigint GENERATED ALWAYS AS IDENTITY,
    detail_type varchar(64) NOT NULL,
    task_id varchar(64),
    detail json NOT NULL,
    changes integer NOT NULL DEFAULT 1,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    delivered_at timestamptz,
    due_at timestamptz NOT NULL DEFAULT now(),
    tries int NOT NULL DEFAULT 0,
    error_code text,
    set_aside_at timestamptz
);
CREATE INDEX content_event_by_delivery ON content_events (delivered_at);
CREATE INDEX content_event_of_task ON content_events (task_id, position);
CREATE INDEX content_event_due ON content_events (due_at, position)
    WHERE delivered_at IS NULL AND set_aside_at IS NULL;
CREATE INDEX content_event_aside ON content_events (set_aside_at) WHERE set_aside_at IS NOT NULL;

-- The last check of a task by a sweep, with the error if it failed, and the next check; `pause` is the pause
-- after that one.
CREATE TABLE content_checks (
    task_id varchar(64) PRIMARY KEY,
    checked_at timestamptz,
    error_code text,
    reason text,
    next_check_at timestamptz NOT NULL,
    pause interval NOT NULL
);
CREATE INDEX content_check_by_time ON content_checks (next_check_at, task_id);

-- Changes that no sweep has seen: of a roadmap with a finished task of ours, or of such a task (`task_id`).
-- Triggers insert them: no index.
CREATE TABLE content_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roadmap_id text,
    task_id text
);

-- The sweeps. `places` has the task or the key up to which each scan has come; `held` is why the sweep has
-- checked no task, `refused` the number of tasks that could not be checked.
CREATE TABLE content_sweeps (
    swept_at timestamptz PRIMARY KEY,
    seconds double precision NOT NULL,
    checked integer NOT NULL,
    repaired integer NOT NULL,
    refused integer NOT NULL,
    finished boolean NOT NULL,
    places json NOT NULL DEFAULT '{}',
    held text
);
"""
"""The tables that a run, a retry, the sweep and a status need."""

GENERATION = """
-- Tokens used by the generation of a task.
CREATE TABLE generation_tokens (task_id varchar(64) PRIMARY KEY, tokens bigint NOT NULL);

-- Tokens per hour, in shards, so that attempts that end at the same time do not wait for one row.
CREATE TABLE content_token_hours (
    hour timestamptz NOT NULL,
    shard smallint NOT NULL,
    spent bigint NOT NULL,
    PRIMARY KEY (hour, shard)
);

-- The model's quota (NULL: none is configured, and calls adapt to refusals), and the bucket that invocations
-- share: one row. `supplied` and `promised` are the sums of all tokens that the quota has supplied, and that
-- were leased. The first exchange fills the bucket.
CREATE TABLE content_model_quota (
    quota_id smallint PRIMARY KEY DEFAULT 1 CHECK (quota_id = 1),
    tokens_per_minute bigint CHECK (tokens_per_minute > 0),
    supplied double precision NOT NULL DEFAULT 0,
    promised double precision NOT NULL DEFAULT 0,
    refilled_at timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO content_model_quota DEFAULT VALUES;

-- Its leases, of which `rest` tokens are not due until `supplied` is `range_end`. `seen_at` is when the
-- invocation last asked: one that was killed does not return its lease.
CREATE TABLE content_model_leases (
    lease_id varchar(64) PRIMARY KEY,
    range_end double precision NOT NULL,
    rest double precision NOT NULL,
    seen_at timestamptz NOT NULL
);
"""
"""The tables of Generate, and the tokens that it has used."""

CONTENT = """
-- Rows that were removed from a content table, or replaced in place, with all columns. `content_id` is the
-- revision that the row was. The revision of a current row is the newest `replaced_by`, or its own id:
-- of this newest one, the retention removes only `source_row`. The ids of the item are not generated
-- from the row: PostgreSQL's operators decode the whole document, and fail on an escaped NUL character, which
-- `json` accepts. The table exists already if a downgrade has kept it.
CREATE TABLE IF NOT EXISTS content_archive (
    archive_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_table text NOT NULL,
    source_row json,
    reason text NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    row_id text,
    content_id text,
    replaced_by text,
    roadmap_id text,
    concept_id text
);
CREATE INDEX IF NOT EXISTS content_archive_by_row ON content_archive (row_id, archive_id)
    WHERE row_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS content_archive_kept ON content_archive (archive_id) WHERE source_row IS NOT NULL;
CREATE INDEX IF NOT EXISTS content_archive_by_item ON content_archive
    (hashtextextended(roadmap_id, 0), hashtextextended(concept_id, 0));

-- How each saved content came to be (`content_id` is its revision), and each content that was refused. The
-- first stays as long as its content, current or former.
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
    tokens_in integer,
    tokens_out integer,
    content_fingerprint text,
    restored_from text,
    refused_code text,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX content_origin_by_content ON content_origins (content_id) WHERE content_id IS NOT NULL;
-- By digests, as in the archive: an id may be longer than an index entry.
CREATE INDEX content_origin_by_roadmap ON content_origins (hashtextextended(roadmap_id, 0));
CREATE INDEX content_origin_refused ON content_origins (task_id, attempt) WHERE refused_code IS NOT NULL;
CREATE INDEX content_origin_refused_by_age ON content_origins (origin_id) WHERE refused_code IS NOT NULL;
"""
"""Former contents, and how each came to be."""

CAPABILITIES = """
-- The sums of `content_task_failures` by group, and by group and hour, updated in the same transactions. The
-- numbers of an hour after `items` only grow: what has failed, and what was healed, by whose attempt.
CREATE TABLE content_failure_groups (
    group_id varchar(32) PRIMARY KEY,
    error_code text NOT NULL,
    stage varchar(16) NOT NULL CHECK (stage IN ('generate', 'save', 'workflow')),
    reason text NOT NULL,
    transient boolean NOT NULL,
    tasks bigint NOT NULL,
    items bigint NOT NULL,
    by_type json NOT NULL,
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL
);
CREATE INDEX content_failure_group_by_items ON content_failure_groups (items, group_id) WHERE items > 0;

CREATE TABLE content_failure_hours (
    group_id varchar(32) NOT NULL,
    hour timestamptz NOT NULL,
    items bigint NOT NULL,
    failed bigint NOT NULL DEFAULT 0,
    automatically bigint NOT NULL DEFAULT 0,
    by_recovery bigint NOT NULL DEFAULT 0,
    by_person bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (group_id, hour)
);
CREATE INDEX content_failure_hour_by_time ON content_failure_hours (hour);

-- What operators decided about failure groups, and when; the latest change of a group applies. A group is
-- ignored `until` a time, or a number of tasks.
CREATE TABLE content_group_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_id varchar(32) NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    state varchar(16) NOT NULL CHECK (state IN ('new', 'acknowledged', 'ignored', 'resolved')),
    note text NOT NULL,
    until timestamptz,
    until_tasks bigint
);
CREATE INDEX content_group_change_by_group ON content_group_changes (group_id, change_id);

-- Bulk recoveries, and the result for each of their tasks. `canary` and `breaker` are numbers of tasks (0:
-- none), `paid` is that of the ended tasks that have used tokens. `items` has the items that a recovery
-- regenerates, with the revisions that it replaces (NULL: it retries missing items); `undone` is what an undo
-- did to them.
CREATE TABLE content_recoveries (
    recovery_id varchar(64) PRIMARY KEY,
    state varchar(32) NOT NULL CHECK (state IN ('waiting', 'canary', 'running', 'paused', 'paused_by_breaker',
        'stopped_by_canary', 'stopped_by_budget', 'cancelled', 'completed')),
    actor text NOT NULL,
    reason text NOT NULL,
    filter json NOT NULL,
    rate_per_minute integer NOT NULL,
    concurrency integer NOT NULL,
    token_budget bigint,
    canary integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    stop_reason text,
    next_start_at timestamptz,
    breaker integer NOT NULL DEFAULT 0,
    advanced_at timestamptz,
    resumed_at timestamptz,
    tokens_used bigint NOT NULL DEFAULT 0,
    paid integer NOT NULL DEFAULT 0
);
CREATE INDEX content_recovery_by_creation ON content_recoveries (created_at, recovery_id);
CREATE INDEX content_recovery_active ON content_recoveries (recovery_id) WHERE ended_at IS NULL;

CREATE TABLE content_recovery_tasks (
    recovery_id varchar(64) NOT NULL REFERENCES content_recoveries ON DELETE CASCADE,
    position integer NOT NULL,
    task_id varchar(64) NOT NULL,
    canary boolean NOT NULL,
    result varchar(16) NOT NULL DEFAULT 'waiting' CHECK (result IN
        ('waiting', 'running', 'recovered', 'still_failing', 'refused')),
    reason text,
    attempt integer,
    started_at timestamptz,
    ended_at timestamptz,
    tokens bigint NOT NULL DEFAULT 0,
    items json,
    undone json,
    PRIMARY KEY (recovery_id, task_id)
);
CREATE INDEX content_recovery_task_by_position ON content_recovery_tasks (recovery_id, position);
CREATE INDEX content_recovery_task_by_result ON content_recovery_tasks (recovery_id, result, position);
CREATE INDEX content_recovery_task_by_end ON content_recovery_tasks (recovery_id, ended_at, position)
    WHERE ended_at IS NOT NULL;

-- The register of erasures. `user_hash` is a keyed hash; `user_id` is set only while the erasure runs, and
-- permits no claim of the user's tasks. `requested_at` is the time of the last request. `removed` has the
-- numbers of rows and objects; `last_counted` is the id of the part whose objects were added last, so that a
-- repeated transaction adds them once.
CREATE TABLE IF NOT EXISTS content_erasures (
    erasure_id varchar(64) PRIMARY KEY,
    user_hash varchar(64) NOT NULL,
    user_id text,
    actor text NOT NULL,
    product_rows boolean NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    requested_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    removed json NOT NULL,
    last_counted text
);
CREATE UNIQUE INDEX IF NOT EXISTS content_erasure_running ON content_erasures (user_id)
    WHERE user_id IS NOT NULL;
-- Each claim asks for the newest.
CREATE INDEX IF NOT EXISTS content_erasure_ended ON content_erasures (ended_at);
"""
"""The tables of the folders of `capabilities/`."""

OPERATIONS = """
-- What the product's tables have refused, and which triggers of ours have failed. Triggers insert the rows:
-- no index. The sweep keeps the newest row of each object.
CREATE TABLE content_findings (
    kind text NOT NULL,
    object text NOT NULL,
    sqlstate text NOT NULL,
    message text,
    found_at timestamptz NOT NULL DEFAULT now()
);

-- What this system has installed on the product's tables, with the statement that creates it, and the columns
-- that it needs, with their types.
CREATE TABLE content_installation (
    kind text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    definition text NOT NULL,
    PRIMARY KEY (kind, table_name, name)
);

-- Who changed the capacity, when and why.
CREATE TABLE content_capacity_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changed_at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    reason text NOT NULL,
    slots_before integer NOT NULL,
    slots integer NOT NULL,
    stopped_before boolean NOT NULL,
    stopped boolean NOT NULL,
    tokens_per_minute_before bigint,
    tokens_per_minute bigint
);
"""
"""Decisions of operators, and the objects that are installed on the product's tables."""

TABLES = CORE + GENERATION + CONTENT + CAPABILITIES + OPERATIONS


def by_table() -> Iterator[tuple[str, str]]:
    """Each table, with the statements that create it, its indexes and its first rows."""
    for statements in re.split(r"^(?=CREATE TABLE )", TABLES, flags=re.MULTILINE)[1:]:
        yield re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", statements)[0], statements


KEPT = ("content_archive", "content_erasures")
"""The tables that stay while they have rows: former content, and the register of erasures, which is applied
again after a restore. An adoption finds them.
"""

OWN = tuple(name for name, _ in by_table() if name not in KEPT)
"""The tables that a downgrade removes with their rows."""

# The columns of the kept tables, with their types, read from the statements above.
_COLUMNS = [
    (table, column, type_name)
    for table in KEPT
    for body in re.findall(rf"CREATE TABLE IF NOT EXISTS {table} \((.*?)\n\);", TABLES, re.DOTALL)
    for column, type_name in re.findall(r"^    ([a-z]\w+) ([a-z]+)", body, re.MULTILINE)
]

# Names the tables that exist and lack one of these columns with its type.
OF_ANOTHER_SHAPE = text("""
SELECT DISTINCT c.column->>0 FROM json_array_elements(CAST(:columns AS json)) AS c("column")
LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(c.column->>0) AND a.attname = c.column->>1
WHERE to_regclass(c.column->>0) IS NOT NULL AND a.atttypid IS DISTINCT FROM to_regtype(c.column->>2)
ORDER BY 1
""")


def refuse_other_shapes(connection: Connection) -> None:
    """Refuse tables with other columns, which an older release has kept."""
    if found := connection.scalars(OF_ANOTHER_SHAPE, {"columns": json.dumps(_COLUMNS)}).all():
        raise CannotAdoptError(
            f"{', '.join(found)}: kept by another release, with other columns; move the rows elsewhere and "
            "drop the table, then migrate again"
        )
