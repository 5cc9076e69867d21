"""Run one step of a recovery under one fault, with the fault at each COMMIT of the step in turn.

The database, the steps and the faults are real; the executions are a model (`tests/faults/world.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from functools import cached_property, partial

from roadmap_content.capabilities.recoveries.advance import advance, cancel, pause, resume
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import StateError
from roadmap_content.contracts.states import TaskResult
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.runs.steps.finalize import finalize_task
from roadmap_content.state.tasks.attempts import user_start
from tests.faults.matrix.scripts import Refuse
from tests.faults.matrix.steps import Setting
from tests.faults.world import World
from tests.support.commits import How, Strike, When
from tests.support.evidence import DELETED
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.machine_model import Run, State
from tests.support.pipeline import SETTINGS

IDS = concept_ids(2)
QUIZ = Item(IDS[0], ContentType.QUIZ)
ROUNDS = 6
"""Sweeps after which a recovery of two tasks must have ended."""

_FINAL = (TaskResult.RECOVERED, TaskResult.STILL_FAILING, TaskResult.REFUSED)


class RecoveryStep(StrEnum):
    """The step during the fault."""

    CREATE = "creation"
    START = "starts its tasks"
    FINALIZE = "Finalize of its run"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    CANCEL_PAUSED = "cancel, paused"
    SWEEP = "sweep"


class RecoveryFault(StrEnum):
    """The faults, and concurrent actions of others."""

    KILLED_BEFORE = "killed before a COMMIT"
    KILLED_AFTER = "killed after a COMMIT"
    LOST_BEFORE = "connection lost before a COMMIT"
    UNKNOWN_COMMIT = "COMMIT of unknown outcome"
    AWAY = "database away"
    AWAY_AND_BACK = "database away and back"
    THROTTLED = "StartExecution throttled"
    TWICE_AT_ONCE = "invoked once more after a COMMIT"
    RETRIED = "somebody retries the task"
    RUN_STOPPED = "the task's run is stopped"
    TASK_CANCELLED = "the task is cancelled"
    TASK_DELETED = "the task is deleted"
    ROADMAP_DELETED = "the roadmap is deleted"
    PAUSED = "it is paused"
    CANCELLED = "it is cancelled"


_STRIKES = {
    RecoveryFault.KILLED_BEFORE: (When.BEFORE, How.PROCESS),
    RecoveryFault.KILLED_AFTER: (When.AFTER, How.PROCESS),
    RecoveryFault.LOST_BEFORE: (When.BEFORE, How.CONNECTION),
    RecoveryFault.UNKNOWN_COMMIT: (When.AFTER, How.CONNECTION),
}
_DURING_THE_STEP = (RecoveryFault.AWAY, RecoveryFault.AWAY_AND_BACK, RecoveryFault.THROTTLED)


class RecoveryPlay:
    """A recovery of two tasks: one with an invalid quiz, after its first run, and one without a roadmap."""

    def __init__(self, setting: Setting, step: RecoveryStep, fault: RecoveryFault) -> None:
        self.step, self.fault, self._setting = step, fault, setting
        setting.scene.empty()
        self.world = World(setting.scene, bundle_of(IDS), setting.url)
        self.world.commits.only_changes = True
        world = self.world
        world.services.settings = Settings(SETTINGS | {"EVENT_BUS": "bus"})
        world.pipeline.stage(QUIZ, b"{")
        world.run_to_its_end(world.start_by_hand())
        assert world.pipeline.task()["status"] == "partial_failure"

    # The step.

    def prepare(self) -> None:
        step, world = self.step, self.world
        if step is RecoveryStep.CREATE:
            return
        world.seconds = 5.0  # no time to start a task
        self._create()
        assert self._recovery_id  # read while the database answers
        world.seconds = World.seconds
        if step in (RecoveryStep.START, RecoveryStep.RESUME, RecoveryStep.CANCEL_PAUSED):
            if step is not RecoveryStep.START:
                pause(world.services, self._recovery_id, world.deadline())
            return
        self._advance()
        if step is RecoveryStep.FINALIZE:
            while self._run.state is not State.FINALIZE:
                world.advance(self._run)

    def act(self) -> None:
        world = self.world
        match self.step:
            case RecoveryStep.CREATE:
                self._create()
            case RecoveryStep.PAUSE:
                pause(world.services, self._recovery_id, world.deadline())
            case RecoveryStep.RESUME:
                resume(world.services, self._recovery_id, world.deadline())
            case RecoveryStep.CANCEL | RecoveryStep.CANCEL_PAUSED:
                cancel(world.services, self._recovery_id, world.deadline())
            case RecoveryStep.SWEEP:
                world.reconcile()
            case RecoveryStep.FINALIZE:
                finalize_task(self._run.finalize_request(), world.services, world.deadline())
            case RecoveryStep.START:
                self._advance()

    def _create(self) -> None:
        self.world.recover(canary=0, budget=None)

    def _advance(self) -> None:
        advance(self.world.services, self._recovery_id, self.world.deadline())

    # The fault.

    def strike(self, commit: int) -> bool:
        """Run the step with the fault at its COMMIT with this number; return whether there was such a
        COMMIT.
        """
        fault, world = self.fault, self.world
        before = world.commits.strikes
        if fault in _STRIKES:
            world.attempt(self.act, Strike(commit, *_STRIKES[fault]))
        elif fault in _DURING_THE_STEP:
            with self._surroundings():
                world.attempt(self.act)
        else:
            with world.commits.meanwhile(commit, self._meanwhile):
                world.attempt(self.act)
        if fault in _DURING_THE_STEP:
            return commit == 0
        return world.commits.strikes > before

    def _surroundings(self) -> AbstractContextManager[object]:
        world = self.world
        match self.fault:
            case RecoveryFault.AWAY:
                return Refuse(self._setting.proxy)
            case RecoveryFault.AWAY_AND_BACK:
                return Refuse(self._setting.proxy, times=2)
            case _:
                world.services.executions.throttled = True  # type: ignore[attr-defined]
                return nullcontext()

    def _meanwhile(self) -> None:
        fault, world = self.fault, self.world
        changes: dict[RecoveryFault, Callable[[], object]] = {
            RecoveryFault.TWICE_AT_ONCE: self.act,
            RecoveryFault.RETRIED: partial(
                retry_task, world.services, "t-1", USER, world.deadline(), user_start(USER)
            ),
            RecoveryFault.RUN_STOPPED: self._stop_runs,
            RecoveryFault.TASK_CANCELLED: world.cancel,
            RecoveryFault.TASK_DELETED: partial(
                world.pipeline.execute, "DELETE FROM roadmap_tasks WHERE task_id = 't-1'"
            ),
            RecoveryFault.ROADMAP_DELETED: partial(world.delete_roadmap, deleted=True),
            RecoveryFault.PAUSED: partial(self._change, pause),
            RecoveryFault.CANCELLED: partial(self._change, cancel),
        }
        with self._in_another_process():
            world.attempt(changes[fault])

    @contextmanager
    def _in_another_process(self) -> Iterator[None]:
        """Use other connections: the step holds the only one of its process."""
        services = self.world.services
        before = services.engine
        services.engine = services.reading_engine = self._setting.scene.aside.engine
        try:
            yield
        finally:
            services.engine = services.reading_engine = before

    def _change(self, change: Callable[..., None]) -> None:
        change(self.world.services, self._recovery_id, self.world.deadline())

    def _stop_runs(self) -> None:
        for run in self.world.runs:
            if run.running:
                self.world.stop(run)

    # Afterwards.

    def finish(self) -> None:
        """After the fault: run sweeps and runs until each recovery must have ended."""
        world = self.world
        world.services.executions.throttled = False  # type: ignore[attr-defined]
        if self.step is RecoveryStep.CREATE and not world.recovery_ids():
            self._create()  # nothing was created: the operator repeats the request
        for recovery_id in world.recovery_ids():
            world.attempt(partial(resume, world.services, recovery_id, world.deadline()))
        for _ in range(ROUNDS):
            self._sweep()
            self._end_runs()
            if self._have_ended():
                break
        self._sweep()

    def _have_ended(self) -> bool:
        return not self.world.pipeline.rows("SELECT state FROM content_recoveries WHERE ended_at IS NULL")

    def check(self) -> str:
        """Check I1 to I10, and that one retry completes the task.

        Return the recovery's end and its result of the task; the task's status; and the actors of the
        attempts after the first.
        """
        world = self.world
        rows = world.pipeline.rows(
            "SELECT c.state, c.ended_at, t.task_id, t.result, t.reason"
            " FROM content_recoveries c JOIN content_recovery_tasks t USING (recovery_id)"
            " ORDER BY c.created_at, c.recovery_id, t.task_id"
        )
        assert rows
        assert all(row["ended_at"] is not None and row["result"] in _FINAL for row in rows), rows
        assert all(row["result"] == TaskResult.REFUSED for row in rows if row["task_id"] == DELETED), rows
        results = [
            _said(row["state"], row["result"], row["reason"]) for row in rows if row["task_id"] == "t-1"
        ]
        if self.fault is RecoveryFault.TASK_DELETED:
            # The oracle reads the task: without it, the audit trail remains.
            attempts = world.pipeline.rows("SELECT actor FROM content_attempts ORDER BY attempt")
            task = "deleted"
        else:
            # The records of a task with a deleted roadmap are not changed.
            rests = [] if self.fault is RecoveryFault.ROADMAP_DELETED else world.oracle.at_rest()
            world.oracle.require(world.oracle.at_any_time(), rests, world.oracle.accounted())
            task = world.pipeline.task()["status"]
            attempts = world.pipeline.rows("SELECT actor FROM content_attempts ORDER BY attempt")
            self._heal()
        actors = [row["actor"].partition(":")[0] for row in attempts[1:]]
        return f"{', then '.join(results)}; {task}; {', '.join(actors) or 'none'}"

    def _heal(self) -> None:
        """I7: without the fault, one retry completes the task, and nothing is generated twice."""
        world = self.world
        world.delete_roadmap(deleted=False)
        if world.pipeline.task()["status"] != "completed":
            retry_task(world.services, "t-1", USER, world.deadline(), user_start(USER))
            self._end_runs()
            self._sweep()
        world.oracle.require(
            world.oracle.at_any_time(),
            world.oracle.at_rest(),
            world.oracle.accounted(),
            world.oracle.healed(),
        )

    def close(self) -> None:
        self.world.close()

    def _sweep(self) -> None:
        self.world.let_a_minute_pass()
        self.world.reconcile()

    def _end_runs(self) -> None:
        world = self.world
        for run in [run for run in world.runs if run.running]:
            if self.fault is RecoveryFault.TASK_DELETED:
                while run.running:
                    ended = world.attempt(partial(run.step, world.services, world.deadline()))
                    if ended != "done":
                        run.catch(StateError(error=ended, cause="as it was thrown"))
            else:
                world.run_to_its_end(run)

    @cached_property
    def _recovery_id(self) -> str:
        return self.world.recovery_ids()[-1]

    @property
    def _run(self) -> Run:
        return self.world.runs[-1]


def endings(setting: Setting, step: RecoveryStep, fault: RecoveryFault) -> str:
    """The different endings, with the fault at each COMMIT of the step, in their order."""
    found: list[str] = []
    while True:
        recovery = RecoveryPlay(setting, step, fault)
        try:
            recovery.prepare()
            if not recovery.strike(len(found)):
                break
            recovery.finish()
            found.append(recovery.check())
        finally:
            recovery.close()
    assert found, "the fault was not injected"
    return " or ".join(dict.fromkeys(found))


def _said(state: str, result: str, reason: str | None) -> str:
    code = f" {reason.partition(':')[0]}" if reason and result != TaskResult.RECOVERED else ""
    return f"{state}: {result}{code}"
