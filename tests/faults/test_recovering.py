"""A recovery fails at each of its COMMITs while its tasks change: every task gets a result (I9, I10).

The database, the steps and the faults are real; the executions are a model (`tests/faults/world.py`).
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import pytest

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.recoveries.advance import advance
from roadmap_content.runs.recoveries.control import cancel, pause, resume
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.tasks.attempts import user_start
from tests.faults.sampling import cells
from tests.faults.world import Scene, World
from tests.support.commits import How, Strike, When
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.pipeline import SETTINGS

IDS = concept_ids(2)
ROUNDS = 6
COMMITS = 5
"""Advancing a recovery of two tasks has at most five COMMITs."""


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """A task with an invalid quiz, after its first run, and a task without a roadmap."""
    scene = Scene(database_url, "content")
    world = World(scene, bundle_of(IDS))
    world.services.settings = Settings(SETTINGS | {"EVENT_BUS": "bus"})
    world.pipeline.stage(Item(IDS[0], ContentType.QUIZ), b"{")
    world.run_to_its_end(world.start_by_hand())
    assert world.pipeline.task()["status"] == "partial_failure"
    yield world
    world.close()
    scene.close()


def create(world: World) -> str:
    """A recovery that has not started a task yet, as if the request had no time left for it."""
    world.seconds = 5.0
    world.recover(canary=0, budget=None)
    world.seconds = World.seconds
    (recovery_id,) = world.recovery_ids()
    return recovery_id


def take_a_turn(world: World, strike: Strike | None = None) -> None:
    """Advance the recovery. If that crashes, it is not repeated."""
    for recovery_id in world.recovery_ids():
        world.attempt(partial(advance, world.services, recovery_id, world.deadline()), strike)


def finish(world: World) -> None:
    """Without further faults: sweeps and runs, and a sweep that delivers the events."""
    for _ in range(ROUNDS):
        world.let_a_minute_pass()
        world.reconcile()
        for run in [run for run in world.runs if run.running]:
            world.run_to_its_end(run)
    world.let_a_minute_pass()
    world.reconcile()
    world.oracle.require(world.oracle.at_any_time(), world.oracle.accounted())


def results(world: World) -> dict[str, str]:
    rows = world.pipeline.rows("SELECT task_id, result FROM content_recovery_tasks")
    return {row["task_id"]: row["result"] for row in rows}


strikes = [Strike(*each) for each in product(range(COMMITS), When, How)]


@pytest.mark.parametrize(("strike", "turn"), cells(strikes, range(3)), ids=str)
def test_a_turn_may_fail_at_any_commit(world: World, strike: Strike, turn: int) -> None:
    create(world)
    for number in range(turn + 1):
        take_a_turn(world, strike if number == turn else None)
        for run in [run for run in world.runs if run.running] if number == 1 else []:
            world.run_to_its_end(run)
    finish(world)
    assert results(world) == {"t-1": "recovered", "t-deleted": "refused"}
    # The sweep starts an attempt that was claimed and never started; there is no other one.
    later = world.pipeline.rows("SELECT actor, cause FROM content_attempts WHERE attempt > 1")
    assert [(row["actor"].partition(":")[0], row["cause"]) for row in later] == [("recovery", "recovery")]
    world.oracle.require(world.oracle.healed(), world.oracle.at_rest())


@pytest.mark.parametrize("strike", strikes[:8], ids=str)
def test_a_creation_may_fail_at_any_commit(world: World, strike: Strike) -> None:
    ended = world.attempt(lambda: world.recover(canary=1, budget=None), strike)
    if not world.pipeline.rows("SELECT recovery_id FROM content_recoveries"):
        assert ended == "died"
        world.recover(canary=1, budget=None)
    finish(world)
    assert results(world) == {"t-1": "recovered", "t-deleted": "refused"}


@pytest.mark.parametrize("change", [pause, resume, cancel], ids=lambda change: change.__name__)
@pytest.mark.parametrize("strike", strikes[:8], ids=str)
def test_a_change_may_fail_at_any_commit(world: World, change: Callable[..., None], strike: Strike) -> None:
    world.recover(canary=0, budget=None)
    (recovery_id,) = world.recovery_ids()
    if change is resume:
        pause(world.services, recovery_id, world.deadline())
    world.attempt(lambda: change(world.services, recovery_id, world.deadline()), strike)
    take_a_turn(world)
    resumed = world.attempt(lambda: resume(world.services, recovery_id, world.deadline()))
    assert resumed in ("done", "RecoveryState")
    finish(world)
    assert set(results(world).values()) <= {"recovered", "refused"}


def retry_meanwhile(world: World) -> None:
    world.attempt(lambda: retry_task(world.services, "t-1", USER, world.deadline(), user_start(USER)))


def lose_the_runs(world: World) -> None:
    for run in [run for run in world.runs if run.running]:
        world.stop(run)


MEANWHILE: dict[str, tuple[Callable[[World], None], set[str]]] = {
    "somebody else retries it": (retry_meanwhile, {"recovered", "refused"}),
    "it is cancelled": (World.cancel, {"still_failing", "recovered"}),
    "its roadmap is deleted": (
        lambda world: world.delete_roadmap(deleted=True),
        {"refused", "still_failing", "recovered"},
    ),
    "the other task is deleted": (World.delete_other_task, {"recovered"}),
    "its run is stopped": (lose_the_runs, {"still_failing", "recovered"}),
}


@pytest.mark.parametrize(
    ("interference", "turns"), cells(product(MEANWHILE, [None, *strikes[4:16:4]]), range(3)), ids=str
)
def test_a_task_may_change_meanwhile(
    world: World, interference: tuple[str, Strike | None], turns: int
) -> None:
    """The change is between the creation and the turns, with or without a crashed turn before it."""
    meanwhile, strike = interference
    change, wanted = MEANWHILE[meanwhile]
    create(world)
    for number in range(turns):
        take_a_turn(world, strike if number == turns - 1 else None)
    change(world)
    finish(world)
    found = results(world)
    assert found["t-1"] in wanted
    assert found["t-deleted"] == "refused"
