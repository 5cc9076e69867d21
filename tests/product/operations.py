"""The product's write operations, as SQL statements; each is one transaction.

Their parameters are the ids of a roadmap, a task and two concepts. They write the same rows as the product's
repositories: tutorials always as version 1 with a new id, times in Beijing time.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, text

_NOW = "timezone('Asia/Shanghai', now())"

_DEMOTE = "UPDATE tutorial_metadata SET is_latest = false WHERE roadmap_id = :roadmap_id AND concept_id = {}"

_TUTORIAL = f"""
INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
    content_status, content_version, is_latest, estimated_completion_time, generated_at)
VALUES (CAST(gen_random_uuid() AS text), {{concept}}, :roadmap_id, 'Theirs', 'Theirs',
    CAST(:roadmap_id AS text) || '/concepts/' || {{concept}} || '/v1.md', 'completed', {{version}}, true, 15,
    {_NOW})
"""

_RESOURCES = f"""
INSERT INTO resource_recommendation_metadata
    (id, concept_id, roadmap_id, resources, resources_count, search_queries_used, generated_at)
VALUES (CAST(gen_random_uuid() AS text), {{concept}}, :roadmap_id,
    '[{{{{"title": "T", "url": "https://example.org", "type": "article", "relevance_score": 0.5}}}}]', 1,
    '["q"]', {_NOW})
"""

_QUIZ = f"""
INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count,
    medium_count, hard_count, generated_at)
VALUES (CAST(gen_random_uuid() AS text), {{concept}}, :roadmap_id, '[]', 0, 0, 0, 0, {_NOW})
"""


def _delete(table: str, concept: str) -> str:
    return f"DELETE FROM {table} WHERE roadmap_id = :roadmap_id AND concept_id = {concept}"


_FIRST, _SECOND = "CAST(:concept_id AS text)", "CAST(:other_concept_id AS text)"


def _save_tutorial(concept: str, version: str = "1") -> list[str]:
    return [_DEMOTE.format(concept), _TUTORIAL.format(concept=concept, version=version)]


def _save_resources(concept: str) -> list[str]:
    return [
        _delete("resource_recommendation_metadata", concept),
        _RESOURCES.format(concept=concept),
    ]


def _save_quiz(concept: str) -> list[str]:
    return [
        (
            f"DELETE FROM quiz_attempts WHERE quiz_id IN (SELECT quiz_id FROM quiz_metadata "
            f"WHERE roadmap_id = :roadmap_id AND concept_id = {concept})"
        ),
        _delete("quiz_metadata", concept),
        _QUIZ.format(concept=concept),
    ]


_INSERT_TASK = f"""
INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, user_request, roadmap_id, created_at,
    updated_at, task_type, concept_id, content_type)
VALUES (CAST(gen_random_uuid() AS text), :user_id, 'pending', '{{step}}', '{{{{}}}}', {{roadmap}}, {_NOW},
    {_NOW}, '{{kind}}', {{concept}}, {{content_type}})
"""

OPERATIONS: Mapping[str, list[str]] = {
    "create a task": [
        _INSERT_TASK.format(step="init", roadmap="NULL", kind="creation", concept="NULL", content_type="NULL")
    ],
    "create a single-concept retry": [
        _INSERT_TASK.format(
            step="tutorial_generation",
            roadmap=":roadmap_id",
            kind="retry_tutorial",
            concept=":concept_id",
            content_type="'tutorial'",
        )
    ],
    "queue a task in Celery": [
        (
            "UPDATE roadmap_tasks SET celery_task_id = CAST(gen_random_uuid() AS text), "
            "status = 'processing', current_step = 'content_generation_queued', "
            f"updated_at = {_NOW} WHERE task_id = :task_id"
        )
    ],
    "move a task to a step": [
        (
            f"UPDATE roadmap_tasks SET status = 'processing', current_step = 'content_generation', "
            f"updated_at = {_NOW} WHERE task_id = :task_id"
        )
    ],
    "save a tutorial": _save_tutorial(_FIRST),
    "save a tutorial's metadata": _save_tutorial(_SECOND),
    "save a batch of tutorials": [*_save_tutorial(_FIRST), *_save_tutorial(_SECOND)],
    "modify a tutorial": _save_tutorial(
        _FIRST,
        "(SELECT coalesce(max(content_version), 0) + 1 FROM tutorial_metadata "
        "WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id)",
    ),
    "change a tutorial's summary": [
        (
            "UPDATE tutorial_metadata SET summary = 'Changed' "
            "WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id AND is_latest"
        )
    ],
    "save resources": _save_resources(_FIRST),
    "save a batch of resources": [*_save_resources(_FIRST), *_save_resources(_SECOND)],
    "change resources": [
        (
            "UPDATE resource_recommendation_metadata SET resources = '[]', resources_count = 0 "
            "WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id"
        )
    ],
    "save a quiz": _save_quiz(_FIRST),
    "save a batch of quizzes": [*_save_quiz(_FIRST), *_save_quiz(_SECOND)],
    "record a quiz attempt": [
        (
            "INSERT INTO quiz_attempts (id, user_id, roadmap_id, concept_id, quiz_id, total_questions, "
            "correct_answers, score_percentage, incorrect_question_indices, attempted_at) "
            "SELECT CAST(gen_random_uuid() AS text), :user_id, roadmap_id, concept_id, quiz_id, 5, 4, 80, "
            f"'[3]', {_NOW} FROM quiz_metadata "
            "WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id LIMIT 1"
        )
    ],
    "write the framework": [
        "UPDATE roadmap_metadata SET framework_data = framework_data WHERE roadmap_id = :roadmap_id"
    ],
    "prepare a concept's metadata": [
        (
            "INSERT INTO concept_metadata (concept_id, roadmap_id, tutorial_status, resources_status, "
            "quiz_status, overall_status, created_at, updated_at) VALUES (CAST(gen_random_uuid() AS text), "
            f":roadmap_id, 'pending', 'pending', 'pending', 'pending', {_NOW}, {_NOW})"
        )
    ],
    "change a concept's metadata": [
        (
            "UPDATE concept_metadata SET tutorial_status = 'generating', overall_status = 'generating', "
            f"updated_at = {_NOW} WHERE concept_id = :concept_id"
        )
    ],
    "log": [
        (
            "INSERT INTO execution_logs (id, task_id, level, category, message, created_at) "
            f"VALUES (CAST(gen_random_uuid() AS text), :task_id, 'info', 'workflow', 'M', {_NOW})"
        )
    ],
    "finish a task": [
        (
            "UPDATE roadmap_tasks SET status = 'partial_failure', current_step = 'content_generation', "
            "failed_concepts = '{\"count\": 0, \"concept_ids\": []}', execution_summary = '{}', "
            f"completed_at = {_NOW}, updated_at = {_NOW} WHERE task_id = :task_id"
        )
    ],
    "cancel a task": [
        (
            "UPDATE roadmap_tasks SET status = 'cancelled', error_message = 'Cancelled by the user', "
            f"completed_at = {_NOW}, updated_at = {_NOW} WHERE task_id = :task_id"
        )
    ],
}
"""21 operations. Those that save a tutorial use concepts that already have version 1."""

NEEDS = {
    "prepare a concept's metadata": "concept_metadata",
    "change a concept's metadata": "concept_metadata",
    "log": "execution_logs",
}
"""The tables that some operations need; older installations do not have them."""


def perform(
    engine: Engine, name: str, ids: Mapping[str, Any], then: Callable[[], object] = lambda: None
) -> None:
    """Perform an operation in a transaction. `then` runs before its COMMIT."""
    with engine.begin() as connection:
        for statement in OPERATIONS[name]:
            named = {key: value for key, value in ids.items() if f":{key}" in statement}
            connection.execute(text(statement), named)
        then()
