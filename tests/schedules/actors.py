"""The actors: what a process does. Each is a real function of the system, or a write of the product."""

import json
from collections.abc import Callable

from sqlalchemy import text

from roadmap_content.api.cancel import cancel_task
from roadmap_content.items import ContentType
from roadmap_content.reconciliation.finish import finish_run
from roadmap_content.reconciliation.reconcile import ExecutionEnd, ReconcileRequest, reconcile
from roadmap_content.recoveries.advance import advance as advance_recovery
from roadmap_content.recoveries.control import cancel as cancel_a_recovery
from roadmap_content.retries.retry import RetryAnswer, redrive_task, retry_task
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.steps import await_redrive as await_redrive_step
from roadmap_content.steps.await_redrive import AwaitRedriveRequest
from roadmap_content.steps.generate import generate_content
from roadmap_content.steps.plan import plan_batches
from roadmap_content.steps.save import save_batch
from roadmap_content.tasks.admission import admit_waiting
from roadmap_content.tasks.attempts import AttemptStart, Cause, user_start
from roadmap_content.tasks.scope import WHOLE_TASK, Scope
from tests.faults.world import PUBLISH, World
from tests.schedules.process import Process
from tests.support.factories import USER, concept_ids

Actor = Callable[[World, Process], object]

_TASK = " WHERE task_id = :task_id"
_ROADMAP = " WHERE roadmap_id = :roadmap_id"
_TAKEN_OVER = "UPDATE roadmap_tasks SET status = 'processing', celery_task_id = 'c-1'" + _TASK
_CANCELLED = "UPDATE roadmap_tasks SET status = 'cancelled', completed_at = content_now()" + _TASK
_DELETED = "UPDATE roadmap_metadata SET deleted_at = content_now()" + _ROADMAP

ACTORS: dict[str, Actor] = {}


def actor(work: Actor) -> Actor:
    """Register an actor under the name of its function."""
    ACTORS[work.__name__.replace("_", "-")] = work
    return work


def _deadline() -> Deadline:
    return Deadline.after(World.seconds)


@actor
def retry(world: World, process: Process) -> object:
    """The user's retry."""
    return _retry(world, process)


@actor
def narrowed_retry(world: World, process: Process) -> object:
    """The user's retry of the quizzes."""
    return _retry(world, process, Scope(None, ContentType.QUIZ))


@actor
def regenerate(world: World, process: Process) -> object:
    """The user replaces the tutorials, also saved ones."""
    return _retry(world, process, Scope(None, ContentType.TUTORIAL, regenerate=True))


@actor
def retry_anyway(world: World, process: Process) -> object:
    """The user's retry with `take_over`."""
    return _retry(world, process, take_over=True)


def _retry(
    world: World, process: Process, scope: Scope = WHOLE_TASK, *, take_over: bool = False
) -> RetryAnswer:
    start = user_start(USER)._replace(scope=scope)
    return retry_task(process.services, world.task_id, USER, _deadline(), start, take_over=take_over)


@actor
def redrive(world: World, process: Process) -> object:
    """The user's redrive."""
    start = AttemptStart(f"user:{USER}", Cause.CHECKPOINT)
    return redrive_task(process.services, world.task_id, USER, _deadline(), start)


@actor
def cancel(world: World, process: Process) -> object:
    """The user's cancel."""
    return cancel_task(process.services, world.task_id, USER, _deadline(), f"user:{USER}", None)


@actor
def event(world: World, process: Process) -> object:
    """The event of the end of the first run."""
    run = world.runs[0]
    end = ExecutionEnd(execution_arn=run.arn, status="FAILED" if run.running else run.status)
    return reconcile(ReconcileRequest(detail=end), process.services, _deadline())


@actor
def sweep(world: World, process: Process) -> object:
    """The scheduled sweep."""
    return reconcile(ReconcileRequest(), process.services, _deadline())


@actor
def plan(world: World, process: Process) -> object:
    """The step Plan of the last run, perhaps delivered late."""
    return plan_batches(world.runs[-1].plan_request(), process.services, _deadline())


@actor
def generate(world: World, process: Process) -> object:
    """The step Generate of the last run's first batch, perhaps delivered late."""
    return generate_content(world.runs[-1].requests[0], process.services, _deadline())


@actor
def save(world: World, process: Process) -> object:
    """The step Save of the last run's first batch, perhaps delivered late."""
    return save_batch(world.runs[-1].requests[0], process.services, _deadline())


@actor
def save_another(world: World, process: Process) -> object:
    """The step Save of the last run's last batch."""
    return save_batch(world.runs[-1].requests[-1], process.services, _deadline())


@actor
def finalize(world: World, process: Process) -> object:
    """The step Finalize of the last run, perhaps delivered late."""
    result = finish_run(world.runs[-1].finalize_request(), process.services, _deadline())
    if result.attempt is not None:
        world.log.recorded.add(result.attempt)
    return result


@actor
def release(world: World, process: Process) -> object:
    """The step Finalize of the other task's run, which releases its slots."""
    return finish_run(world.runs[0].finalize_request(), process.services, _deadline())


@actor
def await_redrive(world: World, process: Process) -> object:
    """The step AwaitRedrive of the last run."""
    run = world.runs[-1]
    assert run.outcome is not None
    request = AwaitRedriveRequest(outcome=run.outcome, execution=run.execution())
    return await_redrive_step.await_redrive(request, process.services, _deadline())


@actor
def advance(world: World, process: Process) -> object:
    """A recovery's turn."""
    advance_recovery(process.services, _recovery(world), _deadline())
    return None


@actor
def cancel_recovery(world: World, process: Process) -> object:
    """An operator cancels the recovery."""
    cancel_a_recovery(process.services, _recovery(world), _deadline())
    return None


def _recovery(world: World) -> str:
    # Not asked in the process, whose steps are counted.
    return world.recovery_ids()[0]


@actor
def admit(world: World, process: Process) -> object:
    """Admission, as at the end of another run."""
    admit_waiting(process.services, _deadline())
    return None


@actor
def take_over(world: World, process: Process) -> object:
    """The product puts the task into its own queue again."""
    return _write(world, process, _TAKEN_OVER)


@actor
def product_cancel(world: World, process: Process) -> object:
    """The product cancels the task."""
    return _write(world, process, _CANCELLED)


@actor
def delete_roadmap(world: World, process: Process) -> object:
    """The product deletes the roadmap, softly."""
    return _write(world, process, _DELETED)


@actor
def new_row(world: World, process: Process) -> object:
    """The product writes the next version of a tutorial."""
    concept_id = concept_ids(2)[1]
    version = len(world.tutorials(concept_id)) + 1
    url = f"{world.pipeline.roadmap_id}/concepts/{concept_id}/v{version}.md"
    process.services.bucket.put(url, b"the product's own")
    return _write(world, process, *PUBLISH, r=world.pipeline.roadmap_id, c=concept_id, v=version, u=url)


@actor
def edit(world: World, process: Process) -> object:
    """The product reads `framework_data`, and writes it back with a change."""
    with process.services.engine.begin() as connection:
        roadmap = {"roadmap_id": world.pipeline.roadmap_id}
        framework = connection.scalar(text("SELECT framework_data FROM roadmap_metadata" + _ROADMAP), roadmap)
        assert framework is not None
        framework["edited"] = True
        write = "UPDATE roadmap_metadata SET framework_data = CAST(:framework AS json)" + _ROADMAP
        connection.execute(text(write), roadmap | {"framework": json.dumps(framework)})
    world.log.framework = framework
    return None


def _write(world: World, process: Process, *statements: str, **parameters: object) -> object:
    """Statements of the product, in one transaction."""
    ours = {"task_id": world.task_id, "roadmap_id": world.pipeline.roadmap_id}
    with process.services.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement), ours | parameters)
    return None
