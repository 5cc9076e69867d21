"""Plan: find out what is missing, and write it down for the batches."""

from sqlalchemy import Connection

from .attempts import Task, claim, confirm, note_step, read_task
from .connections import Connections
from .contracts import BatchReference, Execution, Payload, Plan, RunInput
from .current import saved_concepts
from .deadline import Deadline
from .framework import Framework
from .items import Item, count_by_type
from .keys import manifest_key
from .log import logger
from .manifest import make_manifest
from .metrics import Metric, emit
from .roadmaps import load_framework
from .transactions import transact


class PlanRequest(Payload):
    """Asks `plan_batches` to find out what is missing."""

    input: RunInput
    execution: Execution


class PlanResult(Payload):
    """The plan, and references to its batches."""

    plan: Plan
    batches: list[BatchReference]


def plan_batches(request: PlanRequest, connections: Connections, deadline: Deadline) -> PlanResult:
    """Claim the attempt, unless whoever started the run did, and plan exactly what PostgreSQL misses.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError: there is nothing to plan for.
        ClaimRefusedError, StaleAttemptError: another execution is at work on the task.
        DatabaseUnavailableError, StorageUnavailableError: trying again may help.
    """
    task_id, execution_arn = request.input.task_id, request.execution.arn
    attempt = request.input.attempt
    if attempt is None:
        task = transact(connections.engine, lambda connection: read_task(connection, task_id), deadline)
        attempt = claim(connections, task, execution_arn, deadline).attempt

    def read(connection: Connection) -> tuple[Task, Framework, list[Item]]:
        task = confirm(connection, task_id, attempt, execution_arn)
        framework = load_framework(connection, task.roadmap_id, task.user_id)
        missing = framework.missing(saved_concepts(connection, task.roadmap_id or ""))
        note_step(connection, task_id, attempt, "saving")
        return task, framework, missing

    task, framework, missing = transact(connections.engine, read, deadline)
    manifest = make_manifest(framework, missing, connections.settings.batch_size)
    key = manifest_key(task_id, attempt, manifest.body)
    connections.bucket.put(key, manifest.body)
    plan = Plan(
        task_id=task_id,
        roadmap_id=task.roadmap_id or "",
        attempt=attempt,
        claimed_at=task.updated_at,
        manifest=key,
        planned=count_by_type(missing),
    )
    logger.info(
        "batches_planned",
        task_id=task_id,
        attempt=attempt,
        planned=plan.planned,
        batches=len(manifest.batches),
    )
    emit({Metric.BATCHES_PLANNED: len(manifest.batches)})
    return PlanResult(plan=plan, batches=manifest.batches)
