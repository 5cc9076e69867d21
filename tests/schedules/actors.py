"""The actors. Each is a real function of the system, or a write of the product."""

import json
from collections.abc import Callable

from sqlalchemy import text

from roadmap_content.api.cancel import cancel_task
from roadmap_content.api.restores import Author, Restore
from roadmap_content.api.revisions import list_revisions
from roadmap_content.capabilities.recoveries.advance import advance, cancel
from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.states import Cause
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, AwaitRedriveResult, await_redrive
from roadmap_content.runs.steps.finalize import finalize_task
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.plan import plan_batches
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.state.queue.admission import admit_waiting
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import AUTOMATIC, AttemptStart, user_start
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope
from tests.faults.world import PUBLISH, World
from tests.support.erasing import erased
from tests.support.factories import USER, concept_ids

Actor = Callable[[World, Services], object]


def _time() -> Deadline:
    return Deadline.after(World.seconds)


def _retry(
    world: World, services: Services, scope: Scope = WHOLE_TASK, *, take_over: bool = False
) -> RetryAnswer:
    start = user_start(USER)._replace(scope=scope)
    return retry_task(services, world.task_id, USER, _time(), start, take_over=take_over)


def _redrive(world: World, services: Services) -> RetryAnswer:
    start = AttemptStart(f"user:{USER}", Cause.CHECKPOINT)
    return redrive_task(services, world.task_id, USER, _time(), start)


def _event(world: World, services: Services) -> object:
    """The event of the end of the first run."""
    run = world.runs[0]
    end = ExecutionEnd(execution_arn=run.arn, status="FAILED" if run.running else run.status)
    return reconcile(ReconcileRequest(detail=end), services, _time())


def _finalize(world: World, services: Services) -> object:
    result = finalize_task(world.runs[-1].finalize_request(), services, _time())
    world.log.note_outcome(result)
    return result


def _await_redrive(world: World, services: Services) -> AwaitRedriveResult:
    run = world.runs[-1]
    assert run.outcome is not None
    return await_redrive(
        AwaitRedriveRequest(outcome=run.outcome, execution=run.execution()), services, _time()
    )


def _restore(world: World, services: Services) -> object:
    item = Item(concept_ids(2)[0], ContentType.QUIZ)
    oldest = list_revisions(services, world.task_id, USER, item, _time()).items[-1]
    world.log.restored.add(item)
    restore = Restore(services, item, oldest.revision_id, Author(f"user:{USER}", None))
    return restore.of_task(world.task_id, USER, _time())


def _writing(statement: str, answer: object = None) -> Actor:
    def write(world: World, services: Services) -> object:
        ids = {"task_id": world.task_id, "roadmap_id": world.pipeline.roadmap_id}
        with services.engine.begin() as connection:
            connection.execute(text(statement), ids)
        return answer

    return write


def _new_row(world: World, services: Services) -> None:
    """The product writes the next version of a tutorial, its text first."""
    concept_id, roadmap_id = concept_ids(2)[1], world.pipeline.roadmap_id
    version = len(world.tutorials(concept_id)) + 1
    url = f"{roadmap_id}/concepts/{concept_id}/v{version}.md"
    services.bucket.put(url, b"the product's own")
    with services.engine.begin() as connection:
        # The trigger gives up before PostgreSQL looks for a deadlock. Here it does so when it closes a cycle.
        connection.connection.cursor().execute("SET LOCAL deadlock_timeout = '1ms'")
        for statement in PUBLISH:
            connection.execute(text(statement), {"r": roadmap_id, "c": concept_id, "v": version, "u": url})


def _edit(world: World, services: Services) -> None:
    """The product reads `framework_data`, and writes it back with a change."""
    roadmap = {"roadmap_id": world.pipeline.roadmap_id}
    with services.engine.begin() as connection:
        framework = connection.scalar(
            text(f"SELECT framework_data FROM roadmap_metadata {_ROADMAP}"), roadmap
        )
        assert framework is not None
        framework["edited"] = True
        write = f"UPDATE roadmap_metadata SET framework_data = CAST(:framework AS json) {_ROADMAP}"
        connection.execute(text(write), roadmap | {"framework": json.dumps(framework)})
    world.log.framework = framework


_TASK = "WHERE task_id = :task_id"
_ROADMAP = "WHERE roadmap_id = :roadmap_id"

ACTORS: dict[str, Actor] = {
    # Requests of the API.
    "retry": _retry,
    "narrowed-retry": lambda world, services: _retry(world, services, Scope(None, ContentType.QUIZ)),
    "regenerate": lambda world, services: _retry(
        world, services, Scope(None, ContentType.TUTORIAL, regenerate=True)
    ),
    "retry-anyway": lambda world, services: _retry(world, services, take_over=True),
    "automatic": lambda world, services: retry_task(
        services, world.task_id, USER, _time(), AttemptStart(AUTOMATIC, Cause.AUTOMATIC)
    ),
    "redrive": _redrive,
    "cancel": lambda world, services: cancel_task(
        services, world.task_id, USER, _time(), f"user:{USER}", None
    ),
    "restore": _restore,
    "cancel-recovery": lambda world, services: cancel(services, world.recovery_ids()[0], _time()),
    "erase": lambda _, services: erased(services, USER),
    # Steps of the last run. They may be delivered late, or twice.
    "plan": lambda world, services: plan_batches(world.runs[-1].plan_request(), services, _time()),
    "generate": lambda world, services: generate_content(world.runs[-1].requests[0], services, _time()),
    "save": lambda world, services: save_batch(world.runs[-1].requests[0], services, _time()),
    "save-another": lambda world, services: save_batch(world.runs[-1].requests[-1], services, _time()),
    "finalize": _finalize,
    "await-redrive": _await_redrive,
    # Repairs and admission.
    "event": _event,
    "sweep": lambda _, services: reconcile(ReconcileRequest(), services, _time()),
    "advance": lambda world, services: advance(services, world.recovery_ids()[0], _time()),
    "admit": lambda _, services: admit_waiting(services, _time()),
    "release": lambda world, services: finalize_task(world.runs[0].finalize_request(), services, _time()),
    # Writes of the product.
    "take-over": _writing(f"UPDATE roadmap_tasks SET status = 'processing', celery_task_id = 'c-1' {_TASK}"),
    "product-cancel": _writing(
        "UPDATE roadmap_tasks SET status = 'cancelled', error_message = 'Cancelled by the user',"
        f" completed_at = content_now(), updated_at = content_now() {_TASK}",
        "cancelled",
    ),
    "delete-roadmap": _writing(f"UPDATE roadmap_metadata SET deleted_at = content_now() {_ROADMAP}"),
    "new-row": _new_row,
    "edit": _edit,
}
