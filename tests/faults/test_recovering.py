"""A recovery fails at each of its COMMITs while its tasks change: every task gets a result (I9, I10).

The database, the turns and the faults are real; the executions are a model (`tests/faults/world.py`).
"""

from collections.abc import Callable, Iterator
from itertools import product

import pytest

from roadmap_content.items import ContentType, Item
from roadmap_content.recoveries.control import cancel, pause, resume
from roadmap_content.retries.retry import retry_task
from roadmap_content.runtime.settings import Settings
from roadmap_content.tasks.attempts import user_start
from tests.faults.world import Scene, World
from tests.support.commits import How, Strike, When
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.pipeline import SETTINGS

IDS = concept_ids(2)
TURNS = 6
COMMITS = 5
"""A turn of two tasks has at most five COMMITs."""


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


def part_of(world: World) -> str | None:
    """The last execution of the recovery."""
    return next(reversed(world.parts.by_arn), None)


def take_a_turn(world: World, strike: Strike | None = None) -> None:
    """Run a turn. If it crashes, it is not retried, and the execution fails."""
    if (arn := part_of(world)) is not None and world.attempt(
        lambda: world.take_a_turn(arn), strike
    ) != "done":
        world.parts.by_arn[arn].status = "FAILED"


def finish(world: World) -> None:
    """Without further faults: a sweep, turns and runs, and a sweep that delivers the events."""
    world.let_a_minute_pass()
    world.reconcile()
    for _ in range(TURNS):
        for arn, part in list(world.parts.by_arn.items()):
            if part.status == "RUNNING":
                world.take_a_turn(arn)
        for run in [run for run in world.runs if run.running]:
            world.run_to_its_end(run)
    world.let_a_minute_pass()
    world.reconcile()
    world.oracle.require(world.oracle.at_any_time(), world.oracle.accounted())


def results(world: World) -> dict[str, str]:
    rows = world.pipeline.rows("SELECT task_id, result FROM content_recovery_tasks")
    return {row["task_id"]: row["result"] for row in rows}


strikes = [Strike(*each) for each in product(range(COMMITS), When, How)]


@pytest.mark.parametrize("turn", [0, 1, 2])
@pytest.mark.parametrize("strike", strikes, ids=str)
def test_a_turn_may_fail_at_any_commit(world: World, strike: Strike, turn: int) -> None:
    world.recover(canary=0, budget=None)
    for number in range(turn + 1):
        take_a_turn(world, strike if number == turn else None)
        for run in [run for run in world.runs if run.running] if number == 1 else []:
            world.run_to_its_end(run)
    finish(world)
    assert results(world) == {"t-1": "recovered", "t-deleted": "refused"}
    # The sweep ends an attempt that was claimed and never started; another one follows.
    later = world.pipeline.rows("SELECT actor, cause FROM content_attempts WHERE attempt > 1")
    assert {(row["actor"].partition(":")[0], row["cause"]) for row in later} == {("recovery", "recovery")}
    assert len(later) <= 2
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
    take_a_turn(world)
    arn = part_of(world)
    assert arn is not None
    recovery_id = world.parts.by_arn[arn].recovery_id
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


@pytest.mark.parametrize("turns", [0, 1, 2])
@pytest.mark.parametrize("strike", [None, *strikes[4:16:4]], ids=str)
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_task_may_change_meanwhile(world: World, meanwhile: str, strike: Strike | None, turns: int) -> None:
    """The change is between the creation and the turns, with or without a crashed turn before it."""
    change, wanted = MEANWHILE[meanwhile]
    world.recover(canary=0, budget=None)
    for number in range(turns):
        take_a_turn(world, strike if number == turns - 1 else None)
    change(world)
    finish(world)
    found = results(world)
    assert found["t-1"] in wanted
    assert found["t-deleted"] == "refused"


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_recovery_s_own_redrive_starts_nothing_twice(world: World, turns: int) -> None:
    """The execution fails; the sweep starts the next part, and a person also redrives the failed one."""
    world.recover(canary=0, budget=None)
    for _ in range(turns):
        take_a_turn(world)
    first = part_of(world)
    assert first is not None
    world.parts.by_arn[first].status = "FAILED"
    world.reconcile()  # continues it in another execution
    world.parts.by_arn[first].status = "RUNNING"  # the redrive
    finish(world)
    assert results(world) == {"t-1": "recovered", "t-deleted": "refused"}
    assert world.pipeline.task()["attempt"] == 2
    assert len(world.log.generated) == 1
