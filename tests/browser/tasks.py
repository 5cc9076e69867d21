"""Real tasks in every state, for the console's tests and its pictures. A task's id is the name of its state.

A test that changes a task makes one for itself: `partly_failed(api, "my-task")`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from roadmap_content.capabilities.recoveries.advance import advance
from roadmap_content.contracts.errors import ContentError, ModelDeclinedError, TokenBudgetExhaustedError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from tests.browser.real_api import BATCH, RealApi
from tests.browser.texts import (
    ARABIC_QUESTIONS,
    ARABIC_TUTORIAL,
    HOSTILE,
    LINKS,
    LONG,
    OLDER_QUESTIONS,
    OLDER_TUTORIAL,
    QUESTIONS,
    REFUSED_QUESTIONS,
    RTL,
    TUTORIAL,
    Author,
)
from tests.support.factories import TYPES, bundle_of, concept_ids, quiz, resources, tutorial
from tests.support.pipeline import Pipeline

OWNER = "owner"
"""The owner of the tasks, the user of the role `owner`."""

PARTLY_FAILED, COMPLETE, LARGE = "partly-failed", "complete", "large"
RUNNING, CANCELLED, UNTOUCHED = "running", "cancelled", "untouched"
ELSEWHERE, NEEDS_PERSON, FORGOTTEN, HEALED = "elsewhere", "needs-person", "forgotten", "healed"
HOSTILES = {"hostile": HOSTILE, "right-to-left": RTL, "long": LONG}
"""Tasks of the user `hostile`: every title and name is such a text."""

CONCEPTS = 22
"""The concepts of `partly_failed`; its last batch, of two, is lost. Up to 30, the map shows names."""

MISSING = 2 + CONCEPTS % BATCH * TYPES
"""The items that it misses."""

WORDS = ["Attention", "Sampling", "Tokenizers", "Decoding", "Indexes", "Locks", "Queues", "Caching"]
BROKEN = 60
"""The number of the tasks `broken-1` and so on, of an outage."""


def concept(task_id: str, number: int) -> str:
    """The id of a task's concept, from 1."""
    return concept_ids(number, f"r-{task_id}")[-1]


def load(
    api: RealApi,
    task_id: str,
    title: str,
    *,
    concepts: int = 6,
    user: str = OWNER,
    name: str | None = None,
    older: bool = False,
    staged: bool = True,
) -> Pipeline:
    """Load a task with staged content. A module has six concepts, 15 in a large roadmap."""
    ids = concept_ids(concepts, f"r-{task_id}")
    bundle: dict[str, Any] = bundle_of(
        ids if staged else ids[:0], roadmap_id=f"r-{task_id}", task_id=task_id, user_id=user
    )
    bundle["roadmap"] |= {"title": title, "framework_data": _framework(ids, name)}
    for entry in bundle["content"]:
        own = entry["concept_id"]
        entry["tutorial"] = tutorial(own, markdown=OLDER_TUTORIAL if older else name or TUTORIAL)
        entry["resources"] = resources(own, resources=LINKS[:1] if older else LINKS)
        questions = OLDER_QUESTIONS if older else QUESTIONS
        entry["quiz"] = quiz(own, questions=questions, total_questions=len(questions))
    pipeline = api.pipeline(task_id)
    pipeline.load(bundle)
    return pipeline


def _framework(ids: Sequence[str], name: str | None) -> dict[str, Any]:
    leaves = [
        {
            "concept_id": each,
            "name": name or f"{WORDS[k % 8]} and {WORDS[(k * 7 + 3) % 8].lower()} {k + 1}",
            "description": "A concept.",
        }
        for k, each in enumerate(ids)
    ]
    size = 6 if len(ids) <= 300 else 15
    modules = [
        {"name": f"{WORDS[k // size % 8]}: foundations {k // size + 1}", "concepts": leaves[k : k + size]}
        for k in range(0, len(ids), size)
    ]
    return {
        "stages": [
            {"name": f"{WORDS[k // 5 % 8]} and more", "modules": modules[k : k + 5]}
            for k in range(0, len(modules), 5)
        ]
    }


def partly_failed(api: RealApi, task_id: str, title: str = "Systems engineer") -> None:
    """A taken tutorial id, a refused quiz, and a lost batch of staged items."""
    pipeline = load(api, task_id, title, concepts=CONCEPTS)
    taken = tutorial(concept(COMPLETE, 1))["tutorial_id"]
    own = concept(task_id, 1)
    stage(pipeline, own, ContentType.TUTORIAL, tutorial(own, tutorial_id=taken, markdown=TUTORIAL))
    own = concept(task_id, 2)
    stage(pipeline, own, ContentType.QUIZ, quiz(own, questions=REFUSED_QUESTIONS, total_questions=2))
    api.executions.begin(task_id)
    api.play(task_id, lost=[CONCEPTS // BATCH])


def stage(pipeline: Pipeline, concept_id: str, kind: ContentType, content: object) -> None:
    """Stage an item's content."""
    pipeline.stage(Item(concept_id, kind), json.dumps(content).encode())


def complete(
    api: RealApi, task_id: str, title: str = "Prompt engineering", *, regenerated: bool = True
) -> None:
    """A complete task; each item of its first concept was generated again, by Bedrock."""
    load(api, task_id, title, older=True)
    api.executions.begin(task_id)
    api.play(task_id)
    if regenerated:
        query = {"concept_id": concept(task_id, 1), "regenerate": "true", "reason": "a better prompt"}
        api.send("POST", f"/tasks/{task_id}/retry", **query)
        api.play(task_id)
        api.execute(
            "UPDATE content_origins SET generator = 'bedrock', model_id = 'model-x', tokens_in = 1412,"
            " prompt_version = 'en/' || content_type || '@9f86d081a3c2', tokens_out = 2000"
            " WHERE roadmap_id = :id AND generator = 'offline'",
            id=f"r-{task_id}",
        )


def running(api: RealApi, task_id: str) -> None:
    """A task of which only the first batch is saved."""
    load(api, task_id, "从零开始的数据工程", concepts=24)
    api.executions.begin(task_id)
    api.play(task_id, until=1)


def cancelled(api: RealApi, task_id: str) -> None:
    """A task that was cancelled after its first batch: most items are staged, those of a concept are not."""
    pipeline = load(api, task_id, "Machine learning for biologists", concepts=24)
    for number in (23, 24):
        for kind in ContentType:
            key = staged_key(pipeline.roadmap_id, Item(concept(task_id, number), kind))
            pipeline.bucket.delete(key)
    api.executions.begin(task_id)
    api.play(task_id, until=1)
    api.send("POST", f"/tasks/{task_id}/cancel", reason="the course is withdrawn")


def needs_person(api: RealApi, task_id: str) -> None:
    """A task that has used up its tokens."""
    load(api, task_id, "Applied statistics", staged=False)
    with refusing(api, TokenBudgetExhaustedError("the task has used 5,000,000 of 5,000,000 tokens")):
        api.executions.begin(task_id)
        api.play(task_id)


@contextmanager
def refusing(api: RealApi, error: ContentError) -> Iterator[None]:
    """Let every generation fail for the duration of the block."""
    author = api.work.generator
    assert isinstance(author, Author)
    author.error = error
    try:
        yield
    finally:
        author.error = None


def elsewhere(api: RealApi, task_id: str) -> None:
    """A task that the product's own workers are processing."""
    load(api, task_id, "Compilers")
    api.execute("UPDATE roadmap_tasks SET status = 'processing' WHERE task_id = :id", id=task_id)


def healed(api: RealApi, task_id: str) -> None:
    """Three attempts: the first run, a person's retry, and a recovery's."""
    partly_failed(api, task_id, "PostgreSQL internals")
    query = {"content_type": "quiz", "reason": "only the quizzes"}
    api.send("POST", f"/tasks/{task_id}/retry", **query)
    api.play(task_id)
    finish(api, recover(api, "after the database outage", [task_id]), [task_id])


def large(api: RealApi) -> str:
    """A task of 3,000 concepts, made on first use: some are saved, the other batches are lost."""
    if not api.pipeline(LARGE).rows("SELECT task_id FROM roadmap_tasks WHERE task_id = :id", id=LARGE):
        load(api, LARGE, "前端性能优化", concepts=3_000, staged=False)
        api.executions.begin(LARGE)
        api.play(LARGE, lost=range(20, 200))
    return LARGE


def recover(api: RealApi, reason: str, task_ids: Sequence[str], **more: Any) -> str:
    """Start a recovery as an operator; return its id."""
    limits = {"rate_per_minute": 6_000, "concurrency": 10}
    body = {"filter": {"task_ids": list(task_ids)}, "reason": reason, **limits, **more}
    recovery_id: str = api.send("POST", "/recoveries", body)["recovery_id"]
    return recovery_id


def finish(api: RealApi, recovery_id: str, task_ids: Sequence[str]) -> None:
    """Run a recovery's tasks until it has ended or stands still."""
    for _ in range(2 * len(task_ids) + 2):
        api.execute("UPDATE content_recoveries SET next_start_at = now() - interval '1 minute'")
        advance(api.work, recovery_id, Deadline.after(600))
        api.play(*task_ids)
        if api.send("GET", f"/recoveries/{recovery_id}")["state"] not in ("waiting", "canary", "running"):
            return
    raise AssertionError(f"{recovery_id} does not end")


def make_recoveries(api: RealApi, broken: Sequence[str]) -> None:
    """A recovery in each state."""
    made = api.recoveries
    with refusing(api, ModelDeclinedError("the model declined the concept")):
        for state, tasks, limits in (
            ("paused_by_breaker", broken[:10], {"breaker": 4, "canary": 0, "concurrency": 1}),
            ("stopped_by_canary", broken[10:20], {"canary": 5}),
        ):
            made[state] = recover(api, f"{state.replace('_', ' ')}, release 41", tasks, **limits)
            finish(api, made[state], tasks)
    made["regenerated"] = regenerated(api, "regenerated")
    made["running"] = recover(api, "after the database outage of 02:10", broken[20:40], concurrency=3)
    api.play(*broken[20:22])


def regenerated(api: RealApi, task_id: str) -> str:
    """A recovery that has replaced the quizzes of a complete task; its id."""
    complete(api, task_id, "Regenerated course", regenerated=False)
    recovery_id = recover(api, "a new prompt", [task_id], regenerate={"content_type": "quiz"})
    finish(api, recovery_id, [task_id])
    return recovery_id


# The state after an outage: tasks that failed before anything was generated.
BROKEN_ROADMAPS = """
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at)
SELECT name || n, 'user-' || mod(n, 7), 'Broken roadmap ' || n,
    CAST(replace(
        '{"stages": [{"name": "S", "modules": [{"name": "M", "concepts": [{"concept_id": "#-c-1",'
        ' "name": "Concept", "description": "One."}]}]}]}', '#', name || n) AS json),
    timezone('utc', now())
FROM generate_series(1, :tasks) AS n, (SELECT CAST(:name AS text) || '-' AS name) AS of_task
"""
BROKEN_TASKS = """
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, current_step, user_request, created_at,
    updated_at)
SELECT name || n, 'user-' || mod(n, 7), name || n, 'failed', 'failed', '{}', timezone('utc', now()),
    timezone('utc', now())
FROM generate_series(1, :tasks) AS n, (SELECT CAST(:name AS text) || '-' AS name) AS of_task
"""


def outage(api: RealApi, name: str, tasks: int) -> list[str]:
    """Tasks of several users that the product has left without any content: `name-1` and so on."""
    for statement in (BROKEN_ROADMAPS, BROKEN_TASKS):
        api.execute(statement, name=name, tasks=tasks)
    return [f"{name}-{number}" for number in range(1, tasks + 1)]


def make_tasks(api: RealApi) -> None:
    """A task and a recovery in each state."""
    broken = outage(api, "broken", BROKEN)
    for task_id, text in HOSTILES.items():
        pipeline = load(api, task_id, text, user="hostile", name=text)
        if text is RTL:
            own = concept(task_id, 1)
            stage(pipeline, own, ContentType.TUTORIAL, tutorial(own, markdown=ARABIC_TUTORIAL))
            stage(pipeline, own, ContentType.QUIZ, quiz(own, questions=ARABIC_QUESTIONS, total_questions=1))
        api.executions.begin(task_id)
        api.play(task_id, lost=[0] if task_id == "long" else [])
    complete(api, COMPLETE)
    healed(api, HEALED)
    make_recoveries(api, broken)
    load(api, UNTOUCHED, "Distributed systems")
    elsewhere(api, ELSEWHERE)
    needs_person(api, NEEDS_PERSON)
    needs_person(api, FORGOTTEN)
    api.executions.forget(FORGOTTEN)
    cancelled(api, CANCELLED)
    running(api, RUNNING)
    partly_failed(api, PARTLY_FAILED)
    reconcile(ReconcileRequest(), api.work, Deadline.after(600))


@contextmanager
def stopped(api: RealApi, reason: str) -> Iterator[None]:
    """Stop generation for the duration of the block."""
    api.send("PUT", "/capacity", {"stopped": True, "reason": reason})
    try:
        yield
    finally:
        api.send("PUT", "/capacity", {"stopped": False, "reason": "continued"})


@contextmanager
def waiting(api: RealApi, task_id: str) -> Iterator[None]:
    """A task that waits for a slot, for the duration of the block."""
    load(api, task_id, "Waiting course", staged=False)
    slots = api.send("GET", "/capacity")["slots"]
    api.send("PUT", "/capacity", {"slots": 1, "reason": "a test"})
    api.send("POST", f"/tasks/{task_id}/retry")
    try:
        yield
    finally:
        api.send("POST", f"/tasks/{task_id}/cancel")
        api.send("PUT", "/capacity", {"slots": slots, "reason": "a test"})


def views(api: RealApi) -> dict[str, str]:
    """The path of each view."""
    item = quote(concept(PARTLY_FAILED, 2), safe="")
    return {
        "tasks": "/tasks?status=failed&status=partial_failure",
        "task": f"/tasks/{PARTLY_FAILED}",
        "task-with-drawer": f"/tasks/{PARTLY_FAILED}?item={item}&type=quiz",
        "task-running": f"/tasks/{RUNNING}",
        "task-cancelled": f"/tasks/{CANCELLED}",
        "failures": "/failures",
        "recoveries": "/recoveries",
        "recovery": f"/recoveries/{api.recoveries['running']}",
        "health": "/health",
    }
