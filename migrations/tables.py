"""The tables after all migrations of an empty database.

Used by migrations and tests only: other code uses the SQL of the module that owns a table. An adopted
database of the product may have more columns, other lengths and other names of constraints; see `migrations`.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    Label,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    func,
    literal_column,
    text,
)

metadata = MetaData()

# Timestamps have no time zone and are UTC.
_NOW = text("timezone('utc', now())")


def _prefix(expression: str) -> Label[str]:
    return func.left(literal_column(expression), literal_column("100")).label("prefix")


roadmap_metadata = Table(
    "roadmap_metadata",
    metadata,
    Column("roadmap_id", Text, primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("title", String(500), nullable=False),
    Column("total_estimated_hours", Double),
    Column("recommended_completion_weeks", Integer),
    Column("framework_data", JSON),
    Column("created_at", DateTime, nullable=False, server_default=_NOW),
    Column("deleted_at", DateTime),
    Column("deleted_by", String(64)),
    Index("content_roadmap_by_title", _prefix("lower(title)"), postgresql_ops={"prefix": "text_pattern_ops"}),
)

# No foreign key to the roadmap: a task may exist before its roadmap.
roadmap_tasks = Table(
    "roadmap_tasks",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("status", String(32), nullable=False, server_default="pending"),
    Column("current_step", String(64)),
    Column("user_request", JSON),
    Column("roadmap_id", Text),
    Column("created_at", DateTime, nullable=False, server_default=_NOW),
    Column("updated_at", DateTime, nullable=False, server_default=_NOW),
    Column("completed_at", DateTime),
    Column("error_message", Text),
    Column("failed_concepts", JSON),
    Column("execution_summary", JSON),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("execution_arn", Text),
    Index("content_task_by_status", "status", "updated_at"),
    Index("content_task_by_execution", "execution_arn"),
    Index("content_task_by_creation", "created_at", "task_id"),
    Index("content_task_by_status_and_creation", "status", "created_at", "task_id"),
    Index("content_task_by_user_and_creation", "user_id", "created_at", "task_id"),
    Index("content_task_by_update", "updated_at"),
    Index("content_task_by_prefix", "task_id", postgresql_ops={"task_id": "text_pattern_ops"}),
    # Only prefixes are indexed: an insert with a text too long for an index entry would fail.
    Index("content_task_by_roadmap", _prefix("roadmap_id"), postgresql_ops={"prefix": "text_pattern_ops"}),
)

tutorial_metadata = Table(
    "tutorial_metadata",
    metadata,
    Column("tutorial_id", String(64), primary_key=True),
    Column("concept_id", Text, nullable=False),
    Column("roadmap_id", Text, ForeignKey("roadmap_metadata.roadmap_id"), nullable=False),
    Column("title", String(500), nullable=False),
    Column("summary", Text),
    Column("content_url", Text),
    Column("content_status", String(32), nullable=False, server_default="completed"),
    Column("content_version", Integer, nullable=False, server_default=text("1")),
    Column("is_latest", Boolean, nullable=False, server_default=text("true")),
    Column("estimated_completion_time", Integer),  # minutes
    Column("generated_at", DateTime, nullable=False, server_default=_NOW),
    # Not unique, like those of resources and quizzes: unique indexes would reject inserts of the product.
    Index("content_tutorial_by_version", "roadmap_id", "concept_id", "content_version"),
    # Not unique: a version is inserted before the previous one is marked as not the latest.
    Index("content_tutorial_latest", "roadmap_id", "concept_id", postgresql_where=text("is_latest")),
)

resource_recommendation_metadata = Table(
    "resource_recommendation_metadata",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("concept_id", Text, nullable=False),
    Column("roadmap_id", Text, ForeignKey("roadmap_metadata.roadmap_id"), nullable=False),
    Column("resources", JSON, nullable=False),
    Column("resources_count", Integer, nullable=False, server_default=text("0")),
    Column("search_queries_used", JSON),
    Column("generated_at", DateTime, nullable=False, server_default=_NOW),
    Index("content_resources_by_concept", "roadmap_id", "concept_id"),
)

quiz_metadata = Table(
    "quiz_metadata",
    metadata,
    Column("quiz_id", String(64), primary_key=True),
    Column("concept_id", Text, nullable=False),
    Column("roadmap_id", Text, ForeignKey("roadmap_metadata.roadmap_id"), nullable=False),
    Column("questions", JSON, nullable=False),
    Column("total_questions", Integer, nullable=False, server_default=text("0")),
    Column("easy_count", Integer, nullable=False, server_default=text("0")),
    Column("medium_count", Integer, nullable=False, server_default=text("0")),
    Column("hard_count", Integer, nullable=False, server_default=text("0")),
    Column("generated_at", DateTime, nullable=False, server_default=_NOW),
    Index("content_quiz_by_concept", "roadmap_id", "concept_id"),
)

# The reason why an item is missing after an attempt. No foreign key: a failure is recorded even if its task
# was deleted.
content_failures = Table(
    "content_failures",
    metadata,
    Column("task_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("concept_id", Text, nullable=False),
    Column("content_type", String(16), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("error_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("transient", Boolean, nullable=False),
    Column("content_fingerprint", Text),
    Column("occurred_at", DateTime, nullable=False, server_default=_NOW),
    Column("long_concept_id", Text),  # the id, if it is too long for an index row; `concept_id` is its digest
    PrimaryKeyConstraint("task_id", "attempt", "concept_id", "content_type"),
)

# The audit trail: one row per attempt, written with its claim and completed with its outcome.
content_attempts = Table(
    "content_attempts",
    metadata,
    Column("task_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("actor", Text, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("reason", Text),
    Column("execution_arn", Text),
    Column("redrive_count", Integer, nullable=False, server_default=text("0")),
    Column("step", String(16), nullable=False),
    Column("claimed_at", DateTime, nullable=False, server_default=_NOW),
    Column("ended_at", DateTime),
    Column("outcome", String(32)),
    Column("planned", JSON),
    Column("saved", JSON),
    Column("failed", JSON),
    Column("generated", JSON),
    Column("tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("scope", JSON),
    Column("replaces", JSON),
    PrimaryKeyConstraint("task_id", "attempt"),
)

# Current failures of a task by group: those of its latest attempt that has ended. The task's user and
# creation are copied, so that one index returns a page of a group's tasks in order.
content_task_failures = Table(
    "content_task_failures",
    metadata,
    Column("task_id", String(64), nullable=False),
    Column("group_id", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error_code", Text, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("content_type", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("transient", Boolean, nullable=False),
    Column("items", Integer, nullable=False),
    Column("first_seen", DateTime, nullable=False),
    Column("last_seen", DateTime, nullable=False),
    Column("example_concept_id", Text, nullable=False),
    Column("example_reason", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    PrimaryKeyConstraint("task_id", "group_id"),
    Index("content_task_failure_by_group", "group_id", "created_at", "task_id"),
    Index("content_task_failure_by_code", "error_code", "created_at", "task_id"),
    Index("content_task_failure_by_type", "content_type", "created_at", "task_id"),
    Index("content_task_failure_by_user", "user_id", "group_id"),
)

# The sums of `content_task_failures` by group, and by group and hour, updated in the same transactions.
content_failure_groups = Table(
    "content_failure_groups",
    metadata,
    Column("group_id", String(32), primary_key=True),
    Column("error_code", Text, nullable=False),
    Column("stage", String(16), nullable=False),
    Column("content_type", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("transient", Boolean, nullable=False),
    Column("tasks", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("first_seen", DateTime, nullable=False),
    Column("last_seen", DateTime, nullable=False),
    Index("content_failure_group_by_items", "items", "group_id", postgresql_where=text("items > 0")),
)

content_failure_hours = Table(
    "content_failure_hours",
    metadata,
    Column("group_id", String(32), nullable=False),
    Column("hour", DateTime, nullable=False),
    Column("items", BigInteger, nullable=False),
    PrimaryKeyConstraint("group_id", "hour"),
)

# What operators said about failure groups, and when; the latest change of a group applies.
content_group_changes = Table(
    "content_group_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("group_id", String(32), nullable=False),
    Column("changed_at", DateTime, nullable=False, server_default=_NOW),
    Column("actor", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("note", Text, nullable=False),
    Column("until", DateTime),
    Column("until_tasks", BigInteger),
    Index("content_group_change_by_group", "group_id", "change_id"),
)

# Tokens per hour, in shards, so that attempts that end at the same time do not wait for one row.
content_token_hours = Table(
    "content_token_hours",
    metadata,
    Column("hour", DateTime, nullable=False),
    Column("shard", SmallInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("saved_by_staging", BigInteger, nullable=False),
    PrimaryKeyConstraint("hour", "shard"),
)

# Tasks for which the sweep starts the next attempt.
content_automatic_attempts = Table(
    "content_automatic_attempts",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("due_at", DateTime, nullable=False),
    Index("content_automatic_attempt_by_due", "due_at"),
)

content_sweeps = Table(
    "content_sweeps",
    metadata,
    Column("swept_at", DateTime, primary_key=True),
    Column("seconds", Double, nullable=False),
    Column("checked", Integer, nullable=False),
    Column("repaired", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("finished", Boolean, nullable=False),
    Column("failures_checked_to", String(64)),
)

# Bulk recoveries, and the result for each of their tasks.
content_recoveries = Table(
    "content_recoveries",
    metadata,
    Column("recovery_id", String(64), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("filter", JSON, nullable=False),
    Column("rate_per_minute", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("token_budget", BigInteger),
    Column("canary", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False, server_default=_NOW),
    Column("started_at", DateTime),
    Column("ended_at", DateTime),
    Column("stop_reason", Text),
    Column("part", Integer, nullable=False, server_default=text("0")),
    Column("execution_arn", Text, nullable=False, server_default=""),
    Column("next_start_at", DateTime),
    Column("breaker", Integer, nullable=False, server_default=text("0")),
    Column("advanced_at", DateTime),
    Column("resumed_at", DateTime),
    Index("content_recovery_by_creation", "created_at", "recovery_id"),
    Index("content_recovery_active", "recovery_id", postgresql_where=text("ended_at IS NULL")),
)

content_recovery_tasks = Table(
    "content_recovery_tasks",
    metadata,
    Column(
        "recovery_id",
        String(64),
        ForeignKey("content_recoveries.recovery_id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("position", Integer, nullable=False),
    Column("task_id", String(64), nullable=False),
    Column("canary", Boolean, nullable=False),
    Column("result", String(16), nullable=False, server_default="waiting"),
    Column("reason", Text),
    Column("attempt", Integer),
    Column("started_at", DateTime),
    Column("ended_at", DateTime),
    Column("groups_before", JSON),
    Column("same_failures", Boolean),
    Column("tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("items", JSON),
    Column("undone", JSON),
    PrimaryKeyConstraint("recovery_id", "task_id"),
    Index("content_recovery_task_by_position", "recovery_id", "position"),
    Index("content_recovery_task_by_result", "recovery_id", "result", "position"),
)

# Tokens used by the generation of a task. No foreign key: they are kept even if the task was deleted.
generation_tokens = Table(
    "generation_tokens",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
)

# Events, until they are delivered and for some time after.
content_events = Table(
    "content_events",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("detail_type", String(64), nullable=False),
    Column("task_id", String(64)),
    Column("detail", JSON, nullable=False),
    Column("recorded_at", DateTime, nullable=False, server_default=_NOW),
    Column("delivered_at", DateTime),
    Column("due_at", DateTime, nullable=False, server_default=_NOW),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("error_code", Text),
    Column("set_aside_at", DateTime),
    Index("content_event_waiting", "position", postgresql_where=text("delivered_at IS NULL")),
    Index("content_event_by_delivery", "delivered_at"),
    Index("content_event_of_task", "task_id", "position"),
    Index(
        "content_event_due",
        "due_at",
        "position",
        postgresql_where=text("delivered_at IS NULL AND set_aside_at IS NULL"),
    ),
    Index("content_event_aside", "set_aside_at", postgresql_where=text("set_aside_at IS NOT NULL")),
)

# Rows that were removed from a content table, or replaced in place, with all columns.
content_archive = Table(
    "content_archive",
    metadata,
    Column("archive_id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_table", Text, nullable=False),
    Column("source_row", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("archived_at", DateTime, nullable=False, server_default=_NOW),
    Column("row_id", Text),
    Column("replaced_by", Text),  # the id of the content that replaced it in place
    Column("roadmap_id", Text),
    Column("concept_id", Text),
    Index(
        "content_archive_by_item",
        func.hashtextextended(literal_column("roadmap_id"), literal_column("0")),
        func.hashtextextended(literal_column("concept_id"), literal_column("0")),
    ),
    Index("content_archive_by_row", "row_id", "archive_id", postgresql_where=text("row_id IS NOT NULL")),
)

# How each saved content came to be (`content_id` is its revision), and each content that was refused.
content_origins = Table(
    "content_origins",
    metadata,
    Column("origin_id", BigInteger, Identity(always=True), primary_key=True),
    Column("content_type", String(16), nullable=False),
    Column("content_id", Text),
    Column("roadmap_id", Text, nullable=False),
    Column("concept_id", Text, nullable=False),
    Column("task_id", String(64)),
    Column("attempt", Integer),
    Column("actor", Text),
    Column("reason", Text),
    Column("generator", Text),
    Column("model_id", Text),
    Column("prompt_version", Text),
    Column("service_tier", Text),
    Column("tokens_in", Integer),
    Column("tokens_out", Integer),
    Column("content_fingerprint", Text),
    Column("restored_from", Text),
    Column("refused_code", Text),
    Column("recorded_at", DateTime, nullable=False, server_default=_NOW),
    Index("content_origin_by_content", "content_id", postgresql_where=text("content_id IS NOT NULL")),
    Index("content_origin_refused", "task_id", "attempt", postgresql_where=text("refused_code IS NOT NULL")),
)

# The last check of a task by a sweep, with the error if it failed, and the next check. No foreign key: a task
# may be deleted.
content_checks = Table(
    "content_checks",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("checked_at", DateTime),
    Column("error_code", Text),
    Column("reason", Text),
    Column(
        "next_check_at",
        DateTime,
        nullable=False,
        server_default=text("timezone('utc', now()) + interval '15 minutes'"),
    ),
    Column("pause", Interval, nullable=False, server_default=text("interval '15 minutes'")),
    Index("content_check_by_time", "next_check_at", "task_id"),
)

# Changes of rows of finished tasks that no sweep has seen. Triggers insert them, and must neither wait nor
# fail.
content_changes = Table(
    "content_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("roadmap_id", Text),
    Column("task_id", Text),
)

# The limits of generation, and the switch that stops it: one row.
content_capacity = Table(
    "content_capacity",
    metadata,
    Column("capacity_id", SmallInteger, primary_key=True, server_default=text("1")),
    Column("slots", Integer, nullable=False),
    Column("stopped_reason", Text),
    Column("changed_by", Text),
    Column("changed_at", DateTime),
    CheckConstraint("capacity_id = 1"),
    CheckConstraint("slots > 0"),
)

# Who changed the capacity, when and why.
content_capacity_changes = Table(
    "content_capacity_changes",
    metadata,
    Column("change_id", BigInteger, Identity(always=True), primary_key=True),
    Column("changed_at", DateTime, nullable=False, server_default=_NOW),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("slots_before", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("stopped_before", Boolean, nullable=False),
    Column("stopped", Boolean, nullable=False),
)

# Claimed attempts that wait or work, and for some time those that have ended. No foreign key: a task may be
# deleted.
content_queue = Table(
    "content_queue",
    metadata,
    Column("task_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("class", String(16), nullable=False),
    Column("queue_key", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("grants", Integer, nullable=False),
    Column("enqueued_at", DateTime, nullable=False, server_default=_NOW),
    Column("admitted_at", DateTime),
    Column("ended_at", DateTime),
    PrimaryKeyConstraint("task_id", "attempt"),
    Index(
        "content_queue_waiting",
        "class",
        "queue_key",
        "enqueued_at",
        "task_id",
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(
        "content_queue_at_work",
        "class",
        "queue_key",
        postgresql_where=text("state IN ('starting', 'redriving', 'running')"),
    ),
    Index("content_queue_by_end", "ended_at", postgresql_where=text("state = 'ended'")),
)

# The fairness counter of each user or tenant, per class: tokens charged at admission, divided by the weight.
content_queue_keys = Table(
    "content_queue_keys",
    metadata,
    Column("class", String(16), nullable=False),
    Column("queue_key", Text, nullable=False),
    Column("charged", Double, nullable=False),
    Column("waiting", Boolean, nullable=False),
    PrimaryKeyConstraint("class", "queue_key"),
    Index("content_queue_key_by_charge", "class", "waiting", "charged", "queue_key"),
)

# Weights other than 1.
content_queue_weights = Table(
    "content_queue_weights",
    metadata,
    Column("queue_key", Text, primary_key=True),
    Column("weight", Double, nullable=False),
    CheckConstraint("weight > 0"),
)
