"""Read a task through the API. The commands need no access to the database."""

from typing import Any
from urllib.parse import quote

from local_stack.errors import RefusedError
from roadmap_command.asking import ask, pages
from roadmap_command.target import Target
from roadmap_content.api.attempt_list import AttemptRow
from roadmap_content.api.task_detail import TaskDetail
from roadmap_content.contracts.items import Item

MOST_ATTEMPTS = 1_000
"""Attempts of a task that are looked through, the newest first."""


def read_task_detail(target: Target, task_id: str) -> TaskDetail:
    """Read a task's status.

    Raises:
        RefusedError: there is no such task, or the token does not permit to see it.
        ApiUnavailableError: the API failed.
    """
    return TaskDetail.model_validate(ask(target.operator_api(), "GET", _path(task_id)))


def read_item(target: Target, task_id: str, item: Item) -> dict[str, Any]:
    """One item of a task.

    Raises:
        RefusedError: there is no such task or item, or the token does not permit to see it.
        ApiUnavailableError: the API failed.
    """
    path = f"{_path(task_id)}/items/{item.content_type}"
    answer: dict[str, Any] = ask(target.operator_api(), "GET", path, concept_id=item.concept_id)
    return answer


def read_attempt(target: Target, task_id: str, attempt: int) -> AttemptRow:
    """An attempt of a task.

    Raises:
        RefusedError: there is no such task or attempt, or the token does not permit to see it.
        ApiUnavailableError: the API failed.
    """
    rows, _ = pages(target.operator_api(), f"{_path(task_id)}/attempts", MOST_ATTEMPTS)
    for row in rows:
        if row["attempt"] == attempt:
            return AttemptRow.model_validate(row)
    raise RefusedError(f"task {task_id} has no attempt {attempt}")


def retry_task(target: Target, task_id: str, **query: str) -> dict[str, Any]:
    """Retry a task's missing items.

    Raises:
        RefusedError: the API refused it.
        ApiUnavailableError: the API failed.
    """
    answer: dict[str, Any] = ask(target.operator_api(), "POST", f"{_path(task_id)}/retry", **query)
    return answer


def _path(task_id: str) -> str:
    return f"/tasks/{quote(task_id, safe='')}"
