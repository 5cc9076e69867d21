"""Run one step of a task under one fault, in process, and then everything that follows.

The steps, PostgreSQL and the faults are real; the executions are a model (`tests/faults/world.py`), and S3 is
in memory.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, await_redrive
from roadmap_content.state.tasks.attempts import user_start
from tests.faults.matrix.database_proxy import DatabaseProxy
from tests.faults.world import Scene, World
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.machine_model import State

IDS = concept_ids(3)


class Step(StrEnum):
    """The steps of a run, the retry endpoint, and Reconcile."""

    PLAN = "Plan"
    GENERATE = "Generate"
    SAVE = "Save"
    FINALIZE = "Finalize"
    AWAIT_REDRIVE = "AwaitRedrive"
    RETRY = "retry"
    RECONCILE = "Reconcile"


MACHINE = (Step.PLAN, Step.GENERATE, Step.SAVE, Step.FINALIZE, Step.AWAIT_REDRIVE)
"""The states of the state machine."""

TABLES = {Step.GENERATE: "content_attempts", Step.SAVE: "resource_recommendation_metadata"}
"""The table that a step writes; the other steps write `roadmap_tasks`."""


class Setting(NamedTuple):
    """The surroundings of a play: the database with its proxy, and the role of the steps."""

    scene: Scene
    proxy: DatabaseProxy
    url: str
    """The database behind the proxy, for the steps' role."""

    role: str


def of_all(count: int, total: int) -> str:
    """A number of items in an ending, which is the same however many content types there are."""
    return str(count) if 2 * count < total else "all" if count == total else f"all but {total - count}"


class Play:
    """A task of three concepts: one list of resources is not generated yet. One quiz cannot be saved if the
    step comes after Save, so that the attempt before the fault is incomplete.
    """

    def __init__(self, setting: Setting, step: Step) -> None:
        self.setting, self.step = setting, step
        setting.scene.empty()
        bundle = bundle_of(IDS)
        del bundle["content"][1]["resources"]
        self.world = world = World(setting.scene, bundle, setting.url)
        if step in (Step.FINALIZE, Step.AWAIT_REDRIVE, Step.RETRY):
            world.pipeline.stage(Item(IDS[0], ContentType.QUIZ), b"{")
        self.run = world.start_by_hand()
        if step in (Step.AWAIT_REDRIVE, Step.RETRY):
            world.run_to_its_end(self.run)
        else:
            until = State.FINALIZE if step is Step.RECONCILE else State(step)
            while self.run.state is not until:
                world.advance(self.run)
        if step is Step.RECONCILE:
            world.stop(self.run)
        elif step is Step.AWAIT_REDRIVE:
            self.run.redrive()
        self.repeat = self._repetition()

    @property
    def table(self) -> str:
        return TABLES.get(self.step, "roadmap_tasks")

    def act(self) -> str:
        """Run the step; return how it ended."""
        world = self.world
        if self.step is Step.RETRY:
            return world.attempt(self.retry)
        if self.step is Step.RECONCILE:
            return world.attempt(partial(world.reconcile, self.run))
        return world.advance(self.run)

    def retry(self) -> object:
        world = self.world
        return retry_task(world.services, "t-1", USER, world.deadline(), user_start(USER))

    def follow(self) -> None:
        """Run the executions to their ends and record these; the user restores the roadmap."""
        world = self.world
        for run in world.runs:
            world.run_to_its_end(run)
        world.delete_roadmap(deleted=False)
        for run in world.runs:
            if run.status != "SUCCEEDED":
                world.reconcile(run)

    def check(self) -> None:
        world = self.world
        world.log.recorded.add(world.pipeline.task()["attempt"])
        world.oracle.require(world.oracle.at_any_time(), world.oracle.at_rest())

    def ending(self) -> str:
        """The executions' ends, the task's status, the number of saved items, the reasons of the others."""
        now = self.world.oracle.look()
        total, missing = len(now.items()), len(now.missing())
        current = [row for row in now.failures if row["attempt"] == now.task["attempt"]]
        codes = Counter(row["error_code"] for row in current)
        runs = ", ".join(run.status for run in self.world.runs)
        reasons = "".join(f", {of_all(count, total)} {code}" for code, count in sorted(codes.items()))
        return f"{runs}; {now.task['status']} {of_all(total - missing, total)}{reasons}"

    def heal(self) -> None:
        """Without the fault, one retry completes the task; one redrive after Finalize or AwaitRedrive."""
        world = self.world
        task = world.pipeline.task()
        if self.step in (Step.FINALIZE, Step.AWAIT_REDRIVE) and task["status"] not in (
            "completed",
            "cancelled",
        ):
            redrive_task(world.services, "t-1", USER, world.deadline(), user_start(USER))
        else:
            self.retry()
        self.follow()
        self.check()
        world.oracle.require(world.oracle.healed())

    def play(self, fault: "Callable[[Play], AbstractContextManager[object]] | None" = None) -> str:
        """The step under the fault, the following ones, and the healing; how the step and the task ended."""
        with nullcontext() if fault is None else fault(self):
            ended = self.act()
        self.follow()
        self.world.let_a_minute_pass()
        self.world.reconcile()
        self.follow()
        self.check()
        ending = f"{ended}; {self.ending()}"
        self.heal()
        return ending

    def _repetition(self) -> Callable[[], object]:
        """The same invocation once more."""
        world, run = self.world, self.run
        match self.step:
            case Step.PLAN:
                return partial(world.plan_again, run)
            case Step.GENERATE:
                return partial(world.generate_again, run, run.requests[0])
            case Step.SAVE:
                return partial(world.save_again, run.requests[0])
            case Step.FINALIZE:
                return partial(world.finalize_again, run)
            case Step.AWAIT_REDRIVE:
                assert run.outcome is not None
                request = AwaitRedriveRequest(outcome=run.outcome, execution=run.execution())
                return lambda: await_redrive(request, world.services, world.deadline())
            case Step.RETRY:
                return self.retry
            case _:
                return partial(world.reconcile, run)
