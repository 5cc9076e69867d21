"""The turn of a group, whose SQL finds the task that decides, is the turn that the list gives this task."""

from itertools import product
from typing import Any

import pytest
from sqlalchemy import text

from roadmap_content.capabilities.failure_groups import turns
from roadmap_content.contracts.states import QueueState
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask

STATUSES = ("pending", "processing", "completed", "partial_failure", "failed", "cancelled", "erased")
ATTEMPTS = (None, *QueueState, "planned")
"""The latest attempt: none, one in each state of the queue, and one after which another is planned."""

ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data, deleted_at)
SELECT id, 'u', 'R', '{}', CASE WHEN id = 'deleted' THEN now() END
FROM unnest(CAST(:ids AS text[])) AS id
""")
ROADMAPS = ("present", "deleted")
RECOVERIES = (None, "running", "paused", "paused regeneration")

TASK = text("""
INSERT INTO roadmap_tasks (task_id, user_id, status, attempt, execution_arn, created_at, updated_at,
    roadmap_id)
VALUES (:id, 'u', :status, :attempt, :arn, now(), now(), :roadmap)
""")
FAILURE = text("""
WITH f AS (INSERT INTO content_task_failures SELECT :id, :id, 1, 'IdTaken', 'save', 'quiz', 'r', true, 1,
    now(), now(), 'c', 'r', 'u', now())
INSERT INTO content_failure_groups
SELECT :id, 'IdTaken', 'save', 'r', true, 1, 1, '{"quiz": 1}', now(), now()
""")
ATTEMPT = text("""
INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, next_at)
SELECT :id, 1, 'user:u', 'retry', CASE WHEN :ended THEN 'ended' ELSE 'working' END,
    CASE WHEN :ended THEN now() END, CASE WHEN :planned THEN now() END
""")
QUEUED = text("""
INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants, ended_at)
SELECT :id, 1, 'bulk', 'u', :state, 1, 1, CASE WHEN :ended THEN now() END
""")
RECOVERY = text("""
INSERT INTO content_recoveries (recovery_id, state, actor, reason, filter, rate_per_minute, concurrency,
    canary) SELECT state, state, 'operator:op', 'r', '{}', 1, 1, 0 FROM unnest(CAST(:states AS text[])) state
""")
MEMBER = text("""
INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary, result, attempt, items)
SELECT split_part(:recovery, ' ', 1), 1, :id, false, CASE WHEN :started THEN 'running' ELSE 'waiting' END,
    CASE WHEN :started THEN 1 END, CASE WHEN :recovery LIKE '% regeneration' THEN json '[]' END
""")


def test_a_group_has_the_turn_of_its_task_for_every_combination_of_facts(
    pipeline: Pipeline, ask: Ask
) -> None:
    roadmap_of: dict[str, str] = {}
    with pipeline.engine.begin() as connection:
        connection.execute(RECOVERY, {"states": ["running", "paused"]})
        connection.execute(ROADMAP, {"ids": list(ROADMAPS)})
        for number, (status, attempt, recovery, started, roadmap) in enumerate(
            product(STATUSES, ATTEMPTS, RECOVERIES, (False, True), ROADMAPS)
        ):
            task_id, ended = f"{number:04x}", attempt in ("ended", "planned")
            erased = status == "erased"
            if erased and attempt is not None:
                continue  # its attempts are those of an earlier life
            arn = "erasure:e" if erased else None if attempt is None else "arn"
            roadmap_of[task_id] = roadmap
            task = {"id": task_id, "roadmap": roadmap, "status": "failed" if erased else status, "arn": arn}
            connection.execute(TASK, task | {"attempt": int(attempt is not None)})
            connection.execute(FAILURE, {"id": task_id})
            if attempt is not None:
                facts = {"id": task_id, "ended": ended, "state": "ended" if ended else attempt}
                connection.execute(ATTEMPT, facts | {"planned": attempt == "planned"})
                connection.execute(QUEUED, facts)
            if recovery is not None:
                connection.execute(MEMBER, {"id": task_id, "recovery": recovery, "started": started})

    def turns_in(path: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        query: dict[str, str] | None = {"limit": "200"}
        while query is not None:
            page = ask("GET", path, query, **OPERATOR).body
            found |= {row[key]: row["turn"] for row in page["items"]}
            query = page["next_cursor"] and query | {"cursor": page["next_cursor"]}
        return {key: (turn["who"], turn["at"], turn["recovery_id"]) for key, turn in found.items()}

    of_tasks, of_groups = turns_in("/tasks", "task_id"), turns_in("/failures", "group_id")
    assert len(of_groups) > 500
    assert {key: (turn, of_groups[key]) for key, turn in of_tasks.items() if turn != of_groups[key]} == {}
    of_deleted = {turn[:2] for key, turn in of_groups.items() if roadmap_of[key] == "deleted"}
    assert of_deleted == {("nobody", None), ("running", None), ("automatic", None)}
    calling = sum(who == "person" for who, *_ in of_groups.values())
    assert ask("GET", "/health", **OPERATOR).body["failure_groups_ringing"] == calling > 20


@pytest.mark.parametrize(("looked_at", "who"), [(1, "automatic"), (2, "person")])
def test_the_oldest_and_the_newest_tasks_of_a_group_are_looked_at(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch, looked_at: int, who: str
) -> None:
    """Regression: with 200,000 tasks of a running recovery, the groups took 20 s, and health 5 s."""
    monkeypatch.setattr(turns, "MOST_LOOKED_AT", looked_at)
    with pipeline.engine.begin() as connection:
        connection.execute(ROADMAP, {"ids": ["present"]})
        for task_id in ("a", "b", "c"):
            fact = {
                "id": task_id,
                "roadmap": "present",
                "status": "failed",
                "attempt": 1,
                "arn": "arn",
                "ended": True,
            }
            connection.execute(TASK, fact)
            connection.execute(FAILURE, fact)
            connection.execute(ATTEMPT, fact | {"planned": task_id != "b"})
        connection.execute(text("UPDATE content_task_failures SET group_id = 'b'"))
        connection.execute(text("DELETE FROM content_failure_groups WHERE group_id <> 'b'"))
    (group,) = ask("GET", "/failures", **OPERATOR).body["items"]
    assert group["turn"]["who"] == who
    assert ask("GET", "/health", **OPERATOR).body["failure_groups_ringing"] == (who == "person")
