"""The rules of a state stand in the schema; the catalogue's values are those that the code writes."""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import pytest
from sqlalchemy.exc import DBAPIError

from roadmap_content.contracts.items import Stage
from roadmap_content.contracts.states import (
    Cause,
    GroupState,
    QueueClass,
    QueueState,
    RecoveryState,
    TaskResult,
)
from roadmap_content.state.tasks.outcome import OUTCOMES
from tests.support.factories import bundle_of
from tests.support.pipeline import Pipeline

NAMES = ("state", "class", "step", "outcome", "stage", "cause", "result")
WRITTEN: Mapping[str, AbstractSet[object]] = {
    "content_attempts.cause": set(Cause),
    "content_attempts.step": {"claimed", "working", "ended"},
    "content_attempts.outcome": set(OUTCOMES),
    "content_failures.stage": set(Stage),
    "content_task_failures.stage": set(Stage),
    "content_failure_groups.stage": set(Stage),
    "content_queue.class": set(QueueClass),
    "content_queue.state": set(QueueState),
    "content_queue_keys.class": set(QueueClass) - {QueueClass.BULK_PAUSED},
    "content_group_changes.state": set(GroupState) - {GroupState.REGRESSED},  # it follows from the sums
    "content_recoveries.state": set(RecoveryState),
    "content_recovery_tasks.result": set(TaskResult),
}

COLUMNS = """
SELECT c.relname || '.' || a.attname AS name, coalesce((
    SELECT string_agg(pg_get_constraintdef(k.oid), '') FROM pg_constraint k
    WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]), '') AS checks
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = ANY(:names)
WHERE c.relkind = 'r' AND starts_with(c.relname, 'content_')
    AND c.relnamespace = CAST(current_schema() AS regnamespace)
"""


def test_each_state_column_permits_exactly_the_values_that_the_code_writes(pipeline: Pipeline) -> None:
    found = {
        row["name"]: set(re.findall(r"'([^']+)'", row["checks"]))
        for row in pipeline.rows(COLUMNS, names=list(NAMES))
    }
    assert found == {name: set(map(str, values)) for name, values in WRITTEN.items()}


ATTEMPT = """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step)
VALUES ('t-1', {attempt}, 'auto', 'retry', 'claimed')
"""
ENTRY = """
INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants)
VALUES ('t-1', {attempt}, 'bulk', 'k', 'waiting', 0, 0)
"""


def test_a_task_has_one_open_attempt_and_one_entry_in_the_queue(pipeline: Pipeline) -> None:
    """With SQL alone."""
    pipeline.execute(ATTEMPT.format(attempt=1))
    pipeline.execute(ENTRY.format(attempt=1))
    with pytest.raises(DBAPIError, match="content_attempt_open"):
        pipeline.execute(ATTEMPT.format(attempt=2))
    pipeline.execute("UPDATE content_attempts SET step = 'ended', ended_at = now()")
    pipeline.execute(ATTEMPT.format(attempt=2))
    with pytest.raises(DBAPIError, match="content_queue_open"):
        pipeline.execute(ENTRY.format(attempt=2))
    pipeline.execute("UPDATE content_queue SET state = 'ended', ended_at = now()")
    pipeline.execute(ENTRY.format(attempt=2))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE content_attempts SET ended_at = now()",
        "UPDATE content_attempts SET step = 'ended'",
        "UPDATE content_queue SET ended_at = now()",
        "UPDATE content_queue SET state = 'ended'",
    ],
)
def test_what_has_ended_has_a_time(pipeline: Pipeline, change: str) -> None:
    pipeline.execute(ATTEMPT.format(attempt=1))
    pipeline.execute(ENTRY.format(attempt=1))
    with pytest.raises(DBAPIError, match="_check"):
        pipeline.execute(change)


def test_an_attempt_of_a_higher_number_is_ended_by_the_next_claim(pipeline: Pipeline) -> None:
    """As after a database that was restored in part: it would be refused for ever."""
    pipeline.execute(ATTEMPT.format(attempt=7))
    pipeline.execute(ENTRY.format(attempt=7))
    pipeline.load(bundle_of(["a"]))
    assert pipeline.run().complete
    assert pipeline.rows("SELECT attempt FROM content_attempts WHERE ended_at IS NULL") == []
