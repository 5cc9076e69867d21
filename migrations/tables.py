"""The tables, as the migrations leave them on a database that was empty.

For migrations and tests: whoever reads or writes a table does it with the SQL of the module that owns it. A
database of the product's own that was adopted may have more columns, other lengths and other names of
constraints; see `migrations`.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# Timestamps have no time zone and are UTC.
_NOW = text("timezone('utc', now())")

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
)

# The roadmap is not a foreign key: a task may be there before its roadmap is.
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
    UniqueConstraint("roadmap_id", "concept_id", "content_version", name="content_tutorial_version_key"),
    # Not unique: a version is inserted before the one below it is demoted.
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
    UniqueConstraint("roadmap_id", "concept_id", name="content_resources_concept_key"),
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
    UniqueConstraint("roadmap_id", "concept_id", name="content_quiz_concept_key"),
)

# Why an item is missing, as an attempt saw it. No foreign key: a failure is recorded whatever became of
# its task.
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
    PrimaryKeyConstraint("task_id", "attempt", "concept_id", "content_type"),
)

# What the generation of a task has taken. No foreign key: it was taken, whatever became of the task.
generation_tokens = Table(
    "generation_tokens",
    metadata,
    Column("task_id", String(64), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
)

# Rows that had to leave a table so that a unique constraint could be added to it, whole.
content_archive = Table(
    "content_archive",
    metadata,
    Column("archive_id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_table", Text, nullable=False),
    Column("source_row", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("archived_at", DateTime, nullable=False, server_default=_NOW),
)
