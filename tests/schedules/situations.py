"""Situations of a task, in which two actors meet. Each is made by the real steps.

Not explored: the threads of one step, which run one after the other here; they share a connection, and each
has another item (`tests/integration/test_item_locks.py` has real threads). No schedule misses two locks:
Save's lock of the roadmap, which the triggers of the content tables take as well, and the sweep's lock of a
task, which keeps the sweep from waiting, not from writing.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from roadmap_content.capabilities.recoveries.create import create
from roadmap_content.capabilities.recoveries.request import RecoveryFilter, RecoveryRequest
from roadmap_content.content.generation.generator import OutOfTimeError
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.payloads import StateError
from roadmap_content.contracts.states import Cause
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.state.tasks.attempts import AttemptStart, user_start
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope
from tests.faults.world import World
from tests.support.commits import How, Strike, When
from tests.support.evidence import DELETED
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.generators import FakeModel
from tests.support.machine_model import Run
from tests.support.pipeline import Pipeline

IDS = concept_ids(2)


def bundle(ids: Sequence[str] = IDS, **named: str) -> dict[str, Any]:
    """Everything is staged but one tutorial, which is to be generated."""
    made = bundle_of(ids, **named)
    del made["content"][0]["tutorial"]
    return made


def retry(world: World, scope: Scope = WHOLE_TASK) -> Run:
    """An attempt that was started over the API."""
    start = user_start(USER)._replace(scope=scope)
    retry_task(world.services, world.task_id, USER, world.deadline(), start)
    return world.runs[-1]


def fresh(world: World) -> None:
    """The task was never claimed, and an execution was started by hand."""
    world.start_by_hand()


def at_work(world: World) -> None:
    """Attempt 1 has been planned."""
    world.advance(retry(world))


def stopped(world: World) -> None:
    """The run of attempt 1 was stopped a minute ago, after its first batch. The event of its end was not
    delivered.
    """
    run = retry(world)
    for _ in range(3):
        world.advance(run)
    world.stop(run)
    world.let_a_minute_pass()


def failed(world: World) -> None:
    """Attempt 1 has ended: one item could not be generated."""
    generator = world.services.generator
    world.services.generator = FakeModel(OutOfTimeError("the time was up"))
    world.run_to_its_end(retry(world))
    world.services.generator = generator
    world.let_a_minute_pass()


def arrived(world: World) -> None:
    """As `failed`, and an execution was started by hand: it claims an attempt itself."""
    failed(world)
    world.start_by_hand()


def redriven(world: World) -> None:
    """As `failed`, and the execution was redriven in the console."""
    failed(world)
    world.services.executions.redrive(world.runs[-1].arn)


def claimed(world: World) -> None:
    """As `failed`, and the process of a retry ended a minute ago, after its claim."""
    failed(world)
    _crash_after_claim(world, lambda: retry(world))


def redriving(world: World) -> None:
    """As `failed`, and the process of a redrive ended a minute ago, after its claim."""
    failed(world)
    start = AttemptStart(f"user:{USER}", Cause.CHECKPOINT)
    _crash_after_claim(
        world, lambda: redrive_task(world.services, world.task_id, USER, world.deadline(), start)
    )


def _crash_after_claim(world: World, work: Callable[[], object]) -> None:
    """End the process after the COMMIT of its claim: its second, because it reads the task first."""
    assert world.attempt(work, Strike(1, When.AFTER, How.PROCESS)) == "died"
    world.let_a_minute_pass()


def waiting(world: World) -> None:
    """Attempt 1 waits, because an attempt of another task uses up the capacity."""
    world.pipeline.execute("UPDATE content_capacity SET slots = 1")
    _retry_other_task(world, USER)
    retry(world)


def _retry_other_task(world: World, user_id: str) -> None:
    world.delete_other_task()  # the oracle knows its events
    other = Pipeline(world.services, DELETED)
    other.load(bundle(concept_ids(2, "r-2"), roadmap_id="r-2", task_id=DELETED, user_id=user_id))
    retry_task(world.services, DELETED, user_id, world.deadline(), user_start(user_id))


def contended(world: World) -> None:
    """The task was never claimed. An attempt of another user is about to be admitted, and uses up the
    capacity then. An automatic attempt would come before it, because none is at work.
    """
    world.pipeline.execute("UPDATE content_capacity SET slots = 1, stopped_reason = 'a test'")
    _retry_other_task(world, f"not-{USER}")
    world.pipeline.execute("UPDATE content_capacity SET stopped_reason = NULL")


def admissible(world: World) -> None:
    """As `waiting`, and there is more capacity now."""
    waiting(world)
    world.pipeline.execute("UPDATE content_capacity SET slots = 3")


def replanned(world: World) -> None:
    """As `failed`, and a redrive waits. Then the execution was redriven in the console, and its new plan
    failed. There is capacity for the redrive now.
    """
    failed(world)
    run = world.runs[0]
    world.pipeline.execute("UPDATE content_capacity SET slots = 1")
    _retry_other_task(world, USER)
    redrive_task(
        world.services, world.task_id, USER, world.deadline(), AttemptStart(f"user:{USER}", Cause.CHECKPOINT)
    )
    run.redrive()
    world.advance(run)
    run.catch(StateError(error="Runtime.ExitError", cause="as it was thrown"))
    world.pipeline.execute("UPDATE content_capacity SET slots = 3")


def recovering(world: World) -> None:
    """As `failed`, and a recovery is about to claim an attempt."""
    failed(world)
    request = RecoveryRequest(
        filter=RecoveryFilter(task_ids=[world.task_id]),
        reason="why",
        rate_per_minute=100_000,
        concurrency=2,
        canary=0,
        breaker=0,
    )
    # With so little time it is created, and not advanced.
    create(world.services, request, "operator:op", Deadline.after(5))


def regenerating(world: World) -> None:
    """The task is complete, and an attempt that replaces its quizzes has been planned."""
    world.run_to_its_end(retry(world))
    retry(world, Scope(None, ContentType.QUIZ, regenerate=True))
    world.advance(world.runs[-1])


def replaced(world: World) -> None:
    """The task is complete, and its quizzes have been replaced: each has a former revision."""
    regenerating(world)
    world.run_to_its_end(world.runs[-1])
    world.let_a_minute_pass()


def cancelled(world: World) -> None:
    """As `replaced`, and the product has cancelled the task, which misses nothing."""
    replaced(world)
    world.pipeline.execute(
        "UPDATE roadmap_tasks SET status = 'cancelled', error_message = 'Cancelled by the user'"
    )


class Situation(NamedTuple):
    """A situation, and the actors that meet in it: each with each, and with itself."""

    make: Callable[[World], None]
    gate: tuple[str, ...]
    """The actors of the merge gate: those that write the same rows."""

    nightly: tuple[str, ...] = ()
    """More actors, by night."""

    several_tasks: bool = False

    @property
    def described(self) -> str:
        """The events before the actors begin."""
        return " ".join((self.make.__doc__ or "").split())


_PRODUCT = ("edit", "take-over", "product-cancel", "delete-roadmap", "new-row", "erase")
_CLAIMS = ("retry", "redrive", "cancel", "event")
_LATE = ("plan", "generate", "save", "save-another", "finalize")

SITUATIONS = {
    "fresh": Situation(fresh, (), (*_CLAIMS, "sweep", "plan", *_PRODUCT)),
    "at-work": Situation(
        at_work, ("cancel", *_LATE, "edit"), ("retry", "regenerate", "event", "sweep", *_PRODUCT[1:])
    ),
    "stopped": Situation(
        stopped,
        (*_CLAIMS, "sweep", "plan"),
        ("narrowed-retry", "regenerate", "retry-anyway", *_LATE[1:], *_PRODUCT),
    ),
    "failed": Situation(
        failed,
        (*_CLAIMS, "regenerate", "take-over"),
        ("narrowed-retry", "retry-anyway", "sweep", *_PRODUCT[:1], *_PRODUCT[2:]),
    ),
    "arrived": Situation(arrived, ("plan", *_CLAIMS), ("sweep", "finalize", *_PRODUCT)),
    "redriven": Situation(redriven, ("await-redrive", *_CLAIMS), ("plan", "sweep", *_PRODUCT)),
    "claimed": Situation(claimed, (*_CLAIMS, "admit"), ("sweep", "retry-anyway", *_PRODUCT)),
    "redriving": Situation(redriving, (*_CLAIMS, "admit"), ("sweep", "retry-anyway", *_PRODUCT)),
    "regenerating": Situation(
        regenerating, ("cancel", "save", "finalize"), ("retry", "generate", "event", "sweep", *_PRODUCT)
    ),
    "replaced": Situation(
        replaced,
        ("restore", "regenerate", "cancel", "edit"),
        ("save", "finalize", "event", "sweep", "redrive", *_PRODUCT[1:]),
    ),
    "cancelled": Situation(
        cancelled, ("retry", "restore"), ("cancel", "event", "sweep", "redrive", *_PRODUCT)
    ),
    "waiting": Situation(
        waiting,
        ("retry", "cancel", "admit", "release"),
        ("sweep", "redrive", "retry-anyway", *_PRODUCT),
        several_tasks=True,
    ),
    "admissible": Situation(
        admissible,
        ("cancel", "admit", "retry"),
        ("sweep", "release", "redrive", *_PRODUCT),
        several_tasks=True,
    ),
    "contended": Situation(
        contended, ("automatic", "cancel", "admit"), ("retry", "sweep", *_PRODUCT), several_tasks=True
    ),
    "replanned": Situation(
        replanned, ("release", "admit"), ("cancel", "event", "sweep", "erase"), several_tasks=True
    ),
    "recovering": Situation(
        recovering, ("advance", "cancel-recovery", "retry", "cancel"), ("redrive", "sweep", *_PRODUCT)
    ),
}
