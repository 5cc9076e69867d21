"""Check saved contents later: a link may die after it was saved.

A sample of the tasks is checked each day, none more than once a week, by the same function that Save asks,
within a budget of requests. Rejected content stays saved and readable: it is recorded, and its failure group
shows it. A recovery can regenerate it.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from ...content.registry import CONTENT_KINDS
from ...content.roadmaps.metadata import lock_roadmap_at_once
from ...content.saved_checks import (
    DueTask,
    Finding,
    SavedContent,
    due_for_check,
    record_findings,
    saved_code,
    saved_contents,
)
from ...content.verdicts import Rejected, read_answer
from ...contracts.documents import MAX_STAGED
from ...contracts.errors import ContentCheckFailedError, named
from ...platform.aws.content_check import ContentCheck
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.storage.bucket import ObjectTooLargeError
from ...state.failures.failures import storable_text
from ...state.services import Services
from ...state.tasks.ownership import is_at_work_elsewhere, is_ours
from ...state.tasks.task import ProductWork, Task, lock_task_at_once, read_product_work, read_task
from ..steps.finalize import RunEnd, finalize_attempt

MOST_TASKS = 1_000
"""Tasks of one check."""

PORTION = 32
"""Items of one request."""

PORTION_CHARACTERS = 500_000
"""Characters after which a request has no further item: six bytes for each fit into 6 MB."""

RESERVE_SECONDS = 15.0
"""Seconds for the records of a task. A task with less time left is not begun."""


def recheck(services: Services, deadline: Deadline) -> int:
    """Check the saved contents of some tasks; return the number of tasks.

    Raises:
        DatabaseUnavailableError: no task was checked.
    """
    check, budget = services.content_check, services.settings.saved_check_requests
    if check is None or not budget:
        return 0
    due = transact(services.engine, lambda connection: due_for_check(connection, MOST_TASKS), deadline)
    spent = checked = 0
    for task in due:
        if spent >= budget or deadline.remaining < _needed(services):
            break
        try:
            spent += _check_task(services, check, task, budget - spent, deadline)
        except ContentCheckFailedError as error:
            logger.warning("saved_contents_not_checked", task_id=task.task_id, reason=str(error))
            break  # the next call would fail, too
        except Exception as unnamed:  # noqa: BLE001 - one task must never stop the check
            known = named(unnamed)
            logger.warning(
                "saved_contents_not_checked", task_id=task.task_id, error_code=known.code, reason=str(known)
            )
            continue
        checked += 1
    logger.info("saved_contents_checked", tasks=checked, requests=spent)
    return checked


def _needed(services: Services) -> float:
    """Seconds for one call and the records of its task."""
    return services.settings.content_check_seconds + RESERVE_SECONDS


def _check_task(
    services: Services, check: ContentCheck, task: DueTask, budget: int, deadline: Deadline
) -> int:
    """Check the contents of a task; return the requests that this cost."""
    contents = transact(
        services.engine, lambda connection: saved_contents(connection, task.roadmap_id), deadline
    )
    findings: list[Finding] = []
    spent = 0
    for portion in _portions(services, contents):
        if spent >= budget or deadline.remaining < _needed(services):
            break
        question = {
            "task_id": task.task_id,
            "roadmap_id": task.roadmap_id,
            "saved": True,
            "items": [saved.item._asdict() | {"content": saved.content} for saved in portion],
        }
        reply = check.ask(question, deadline.remaining - RESERVE_SECONDS)
        answer = read_answer(reply, len(portion))
        spent += answer.cost
        for saved, verdict in zip(portion, answer.verdicts, strict=True):
            if isinstance(verdict, ContentCheckFailedError):
                logger.warning("saved_content_not_checked", item=saved.item, reason=str(verdict))
            elif isinstance(verdict, Rejected):
                code, reason = saved_code(verdict.error_code), storable_text(verdict.reason)
                findings.append(Finding(saved.item, saved.content_id, code, reason))
            else:
                findings.append(Finding(saved.item, saved.content_id, None, None))
    _record(services, task, findings, deadline)
    return spent


def _portions(services: Services, contents: Sequence[SavedContent]) -> Iterator[list[SavedContent]]:
    portion: list[SavedContent] = []
    characters = 0
    for saved in contents:
        if (complete := _with_text(services, saved)) is None:
            continue
        portion.append(complete)
        characters += len(str(complete.content))
        if len(portion) == PORTION or characters > PORTION_CHARACTERS:
            yield portion
            portion, characters = [], 0
    if portion:
        yield portion


def _with_text(services: Services, saved: SavedContent) -> SavedContent | None:
    """A content with the part that is not in its row; `None` if that is missing or too large."""
    stored = CONTENT_KINDS[saved.item.content_type].stored_text
    if stored is None:
        return saved
    content = dict(saved.content)
    try:
        found = services.bucket.get(content.pop(stored.key_column), limit=MAX_STAGED)
    except ObjectTooLargeError:
        return None
    if found is None:
        return None
    return saved._replace(content=content | {stored.field: found.body.decode(errors="replace")})


def _record(services: Services, due: DueTask, findings: Sequence[Finding], deadline: Deadline) -> None:
    """Record the findings, and update the task's failure groups in the same transaction."""

    def read(connection: Connection) -> tuple[Task, ProductWork, Sequence[ProductWork]]:
        return read_task(connection, due.task_id), *read_product_work(connection, due.task_id)

    task, own, siblings = transact(services.engine, read, deadline)
    at_work = [task.status == "processing", *map(is_at_work_elsewhere, (own, *siblings))]
    if any(at_work) or not is_ours(task):
        return  # the contents may be replaced now

    def first(connection: Connection) -> None:
        lock_roadmap_at_once(connection, due.roadmap_id)
        lock_task_at_once(connection, due.task_id)
        record_findings(connection, due.task_id, findings)

    finalize_attempt(services, due.task_id, task.attempt, RunEnd(), deadline, first=first)
    rejected = [finding for finding in findings if finding.error_code is not None]
    for finding in rejected:
        logger.warning(
            "saved_content_rejected",
            task_id=due.task_id,
            **finding.item._asdict(),
            error_code=finding.error_code,
            reason=finding.reason,
        )
