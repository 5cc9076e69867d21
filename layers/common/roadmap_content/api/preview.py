"""The preview of a retry: what is staged, what would be generated, and about how many tokens."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from ..contracts import Count, Payload
from ..items import ContentType, count_by_type
from ..postgres.transactions import transact
from ..runtime.deadline import Deadline
from ..services import Services
from ..storage.staging import Staging
from ..tasks.snapshot import TaskSnapshot, read_snapshot
from ..tasks.task import read_task

Basis = Literal["task", "roadmap", "none"]

_GENERATED = """
SELECT coalesce(sum(a.tokens), 0) AS tokens, coalesce(sum(CAST(a.generated ->> 'tutorial' AS bigint)
    + CAST(a.generated ->> 'resources' AS bigint) + CAST(a.generated ->> 'quiz' AS bigint)), 0) AS generated
FROM content_attempts a
"""

# What generated items have taken so far, with the tokens of those that came to nothing.
OF_TASK = text(f"{_GENERATED} WHERE a.task_id = :task_id")

OF_ROADMAP = text(f"""
{_GENERATED} WHERE a.task_id IN (
    SELECT task_id FROM roadmap_tasks WHERE "left"(roadmap_id, 100) = "left"(CAST(:roadmap_id AS text), 100)
        AND roadmap_id = :roadmap_id)
""")


class RetryPreview(Payload):
    """The answer of a retry with `dry_run`."""

    dry_run: bool = True
    task_id: str
    staged: Mapping[ContentType, Count]
    to_generate: Mapping[ContentType, Count]
    total_items: Count
    estimated_tokens: int | None
    estimate_basis: Basis


class Price(NamedTuple):
    """Tokens of one generated item, and whose items say so."""

    tokens: float | None
    basis: Basis


def preview_retry(services: Services, task_id: str, user_id: str | None, deadline: Deadline) -> RetryPreview:
    """What a retry of a task would do now.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError: there is nothing to retry.
        DatabaseUnavailableError, StorageUnavailableError: trying again may help.
    """

    def read(connection: Connection) -> tuple[TaskSnapshot, Price]:
        snapshot = read_snapshot(connection, read_task(connection, task_id, user_id))
        return snapshot, _price(connection, task_id, snapshot.task.roadmap_id)

    snapshot, price = transact(services.engine, read, deadline)
    staging = Staging(services.bucket, snapshot.task.roadmap_id or "")
    staged = staging.staged_among(snapshot.missing) if snapshot.missing else frozenset()
    to_generate = [item for item in snapshot.missing if item not in staged]
    estimate = None if price.tokens is None else round(price.tokens * len(to_generate))
    return RetryPreview(
        task_id=task_id,
        staged=count_by_type(staged),
        to_generate=count_by_type(to_generate),
        total_items=len(snapshot.missing),
        estimated_tokens=estimate if to_generate else 0,
        estimate_basis=price.basis,
    )


def _price(connection: Connection, task_id: str, roadmap_id: str | None) -> Price:
    bases: tuple[tuple[Basis, TextClause], ...] = (("task", OF_TASK), ("roadmap", OF_ROADMAP))
    for basis, statement in bases:
        found = connection.execute(statement, {"task_id": task_id, "roadmap_id": roadmap_id}).one()
        if found.generated and found.tokens:
            return Price(int(found.tokens) / int(found.generated), basis)
    return Price(None, "none")
