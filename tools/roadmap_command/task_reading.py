"""Read a task through the API. The commands need no access to the database."""

from typing import Any
from urllib.parse import quote

from roadmap_command.asking import ask
from roadmap_command.target import Target
from roadmap_content.api.task_detail import TaskDetail
from roadmap_content.contracts.items import Item


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


def read_timeline(target: Target, task_id: str, attempt: int) -> dict[str, Any]:
    """An attempt on a time axis.

    Raises:
        RefusedError: there is no such task or attempt, or the token does not permit to see it.
        ApiUnavailableError: the API failed.
    """
    path = f"{_path(task_id)}/attempts/{attempt}/timeline"
    answer: dict[str, Any] = ask(target.operator_api(), "GET", path)
    return answer


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
