"""Rows of every table of ours have a retention, or a reason to have none."""

import pytest

from roadmap_content.capabilities.composed import EVERY
from roadmap_content.contracts.errors import MissingSettingError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.reconciliation import retention
from roadmap_content.runs.reconciliation.retention import remove_expired, retentions
from roadmap_content.state.services import Services
from tests.support.pipeline import SETTINGS, Pipeline

ROWS = {
    "content_sweeps": "(swept_at, seconds, checked, repaired, refused, finished) "
    "SELECT at - n * interval '1 second', 1, 0, 0, 0, true",
    "content_queue": "(task_id, attempt, class, queue_key, state, tokens, grants, ended_at) "
    "SELECT 't' || at, n, 'bulk', 'k', 'ended', 0, 0, at",
    "content_events": "(event_id, detail_type, detail, delivered_at) "
    "SELECT md5('d' || at || n), 'T', '{}', at",
    "content_events_aside": "(event_id, detail_type, detail, set_aside_at) "
    "SELECT md5('a' || at || n), 'T', '{}', at",
    "content_token_hours": "SELECT at, n, 0",
    "content_failure_hours": "SELECT 'g' || n, at, 1",
    "content_archive": "(source_table, source_row, reason, archived_at) SELECT 'quiz_metadata', '{}', '', at",
    "content_origins": "(content_type, roadmap_id, concept_id, refused_code, recorded_at) "
    "SELECT 'quiz', 'r', 'c', 'e', at",
}
"""Inserts `n` rows of the age `at`, for each rule."""

ATTEMPTS = (
    "(task_id, attempt, actor, cause, step, ended_at) SELECT 't' || at, n, 'auto', 'automatic', 'ended', at"
)
"""The attempts of the queue's entries."""


def counts(pipeline: Pipeline) -> dict[str, int]:
    """The rows by rule."""
    return {
        rule.name: pipeline.rows(
            f"SELECT count(*) AS rows FROM {rule.table or rule.name} WHERE {rule.since} IS NOT NULL"
        )[0]["rows"]
        for rule, _ in retentions(pipeline.services)
    }


def test_rows_are_removed_after_their_days_in_bounded_steps(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP", 2)
    for rule, _ in retentions(pipeline.services):
        for days, number in ((rule.days + 1, 5), (rule.days - 1, 3)):
            rows = (
                f"FROM generate_series(1, {number}) n, "
                f"(SELECT date_trunc('day', now()) - interval '{days} days' AS at) AS t"
            )
            if rule.name == "content_queue":
                pipeline.execute(f"INSERT INTO content_attempts {ATTEMPTS} {rows}")
            pipeline.execute(f"INSERT INTO {rule.table or rule.name} {ROWS[rule.name]} {rows}")
    pipeline.execute(
        "UPDATE content_queue SET state = 'running', ended_at = NULL WHERE attempt = 1; "
        "UPDATE content_events SET delivered_at = NULL, set_aside_at = NULL"
        " WHERE event_id IN (SELECT event_id FROM content_events WHERE delivered_at IS NOT NULL"
        " ORDER BY delivered_at LIMIT 1)"
    )
    remove_expired(pipeline.services, Deadline.after(60))
    assert counts(pipeline) == dict.fromkeys(ROWS, 3) | {"content_queue": 2}
    assert pipeline.rows("SELECT count(*) AS rows FROM content_queue")[0]["rows"] == 4, "at work"
    assert pipeline.rows("SELECT count(*) AS rows FROM content_events")[0]["rows"] == 7, "not sent yet"

    pipeline.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "content_origins=1,content_sweeps=1"})
    remove_expired(pipeline.services, Deadline.after(60))
    changed = {name for name, rows in counts(pipeline).items() if rows == 0}
    assert changed == {"content_origins", "content_sweeps"}


def test_a_parameter_that_names_another_table_is_refused() -> None:
    with pytest.raises(MissingSettingError, match="roadmap_tasks"):
        retentions(Services(Settings({"RETENTION_DAYS": "roadmap_tasks=1"}), EVERY))


def test_every_table_of_ours_has_a_rule_or_a_reason_to_have_none(pipeline: Pipeline) -> None:
    found = pipeline.rows(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND (tablename LIKE 'content\\_%' OR tablename = 'generation_tokens')"
    )
    ours = {row["tablename"] for row in found} - {"content_schema_version"}
    assert ours == {rule.table or rule.name for rule, _ in retentions(pipeline.services)} | {
        "content_attempts",  # this and the next five: as long as the task
        "content_checks",
        "content_failures",
        "content_recovery_tasks",
        "content_task_failures",
        "generation_tokens",
        "content_recoveries",  # the audit trail of recoveries
        "content_capacity_changes",  # decisions of operators: few
        "content_group_changes",
        "content_capacity",  # one row, or one for each model
        "content_model_leases",
        "content_model_quota",
        "content_erasures",  # the register, which names no user
        "content_failure_groups",  # one row for each reason
        "content_queue_keys",  # one row for each user and class
        "content_changes",  # removed when a sweep has seen them
        "content_findings",  # a day: each sweep condenses them
        "content_installation",  # the migrations write it
    }
