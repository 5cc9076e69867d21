"""Explores the schedules of actors in a situation, and checks each final state twice."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sqlalchemy import create_engine, text

from roadmap_content.generation import item_locks
from roadmap_content.postgres import driver, engine, transactions
from roadmap_content.runtime.settings import Settings
from roadmap_content.steps import generate
from roadmap_content.storage import bucket
from tests.faults.world import Scene, World
from tests.schedules.actors import ACTORS
from tests.schedules.answers import accepted, answered, attempts_of, broken_at_once
from tests.schedules.process import LASTING, SETTINGS, Process, Serially, sleep
from tests.schedules.schedule import MOST_ACTORS, EndlessError, Schedule, Scheduler, Step, Turn
from tests.schedules.situations import SITUATIONS, bundle
from tests.support.databases import restoring
from tests.support.oracle import Broken, OracleOfOne

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
# Differ between runs of the same schedule.
_VOLATILE = re.compile(
    r'"(duration_seconds|seconds|event_id|position|archive_id|id)": ?("[^"]*"|[\d.e-]+)|[0-9a-f]{64}'
)

_TABLES = text("""
SELECT string_agg(
    format('SELECT %L || row_to_json(t) FROM %s t', relname, CAST(oid AS regclass)), ' UNION ALL ')
FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)
    AND relname LIKE ANY (ARRAY['content\\_%', 'roadmap\\_%', '%\\_metadata'])
    AND relname NOT IN ('content_sweeps', 'content_checks', 'content_changes')
""")

_LEFT_LOCKS = text("""
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (
    SELECT oid FROM pg_database WHERE datname = current_database())
""")

ROUNDS = 4
"""Sweeps after which nothing is at work any more."""


@contextmanager
def deterministic() -> Iterator[None]:
    """Replace what depends on threads and time. A pause gives the other process its turn."""
    with ExitStack() as stack:
        for module, replaced in (
            (generate, {"ThreadPoolExecutor": Serially}),
            (bucket, {"_threads": Serially}),
            (driver, {"PING_TIMEOUT": 600}),
            (engine, {"CONNECT_TIMEOUT": 600}),
            (transactions, {"time": SimpleNamespace(sleep=sleep)}),
            (item_locks, {"time": SimpleNamespace(sleep=sleep)}),
        ):
            stack.enter_context(patch.multiple(module, **replaced))
        yield


@dataclass
class Violation:
    """A schedule after which something is wrong."""

    schedule: Schedule
    broken: list[str]
    trace: list[Step]


@dataclass
class Explored:
    """The result of a pair."""

    pair: str
    schedules: int = 0
    crashes: int = 0
    states: int = 0
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        """A line."""
        wrong = f", {len(self.violations)} VIOLATIONS" if self.violations else ""
        return (
            f"{self.pair:40} {self.schedules:4} schedules, {self.crashes:3} with a crash, "
            f"{self.states:3} final states{wrong}"
        )


class Explorer:
    """One situation in a database of its own, restored before each schedule."""

    def __init__(self, database_url: str, situation: str) -> None:
        self._situation = situation
        made = SITUATIONS[situation]
        self._admin = create_engine(database_url, isolation_level="AUTOCOMMIT")
        self._scene = Scene(database_url, "content")
        self._world = World(self._scene, bundle())
        self._world.services.settings = Settings(SETTINGS)
        made.make(self._world)
        if made.several_tasks:
            world, scene = self._world, self._scene
            world.oracle = OracleOfOne(
                scene.aside.engine, scene.s3, scene.aside.bucket.name, bundle(), world.log
            )
        self._world.oracle.at_any_time()  # what exists must not be lost
        with self._admin.connect() as connection:
            self._restore = restoring(connection, end_sessions=False)
            self._dump = connection.scalar(_TABLES)
        self._objects = self._scene.memory.saved()
        self._kept = deepcopy((self._world.runs, vars(self._world.log), self._seen()))
        self._attempts = attempts_of(self._world)
        self._all = [Process(f"p{number}", self._scene, database_url) for number in range(MOST_ACTORS)]
        self._processes: list[Process] = []
        """Those that play the present schedule."""
        self._states: set[str] = set()

    def close(self) -> None:
        """Close all connections."""
        for process in self._all:
            process.services.engine.dispose()
        self._world.close()
        self._scene.close()
        self._admin.dispose()

    @deterministic()
    def explore(self, first: str, second: str) -> Explored:
        """All schedules with at most one preemption, and with a crash after each lasting effect."""
        found = Explored(f"{self._situation}: {first}, {second}")
        self._states.clear()
        for one, other in dict.fromkeys([(first, second), (second, first)]):
            whole = self._whole([one, other], found)
            labels = list(self._processes[0].steps)
            for number, label in enumerate(labels[:-1], start=1):
                self._try(whole.stopped(number), found)
                if label.startswith(LASTING):
                    self._try(whole.stopped(number, crash=True), found)
        return found

    @deterministic()
    def sample(self, actors: Sequence[str], dice: Random, count: int) -> Explored:
        """Some schedules with at most two preemptions. They begin with the actors in the given order."""
        found = Explored(f"{self._situation}: {', '.join(actors)}")
        self._states.clear()
        whole = self._whole(actors, found)
        ends = [len(process.steps) for process in self._processes[:2]]
        drawn = [tuple(dice.randint(1, max(1, end)) for end in ends) for _ in range(count)]
        for steps in dict.fromkeys(drawn):
            self._try(whole.stopped(*steps), found)
        return found

    def _whole(self, actors: Sequence[str], found: Explored) -> Schedule:
        """Play the schedule without a preemption; return it."""
        whole = Schedule(self._situation, tuple(Turn(actor) for actor in actors))
        self._try(whole, found)
        return whole

    def _try(self, schedule: Schedule, found: Explored) -> None:
        """Play a schedule, and check its final state unless it was checked before."""
        found.schedules += 1
        found.crashes += any(turn.crash for turn in schedule.turns)
        trace, broken = self._play(schedule)
        state = self._state()
        if state not in self._states:
            self._states.add(state)
            found.states += 1
            broken += self._check()
        if broken:
            found.violations.append(Violation(schedule, broken, trace))

    @deterministic()
    def replay(self, schedule: Schedule) -> Violation:
        """Play one schedule, and check its final state."""
        trace, broken = self._play(schedule)
        return Violation(schedule, [*broken, *self._check()], trace)

    def _play(self, schedule: Schedule) -> tuple[list[Step], list[str]]:
        """Restore the situation and play a schedule; return its steps, and the errors that have no name."""
        self._reset()
        self._processes = self._all[: len(schedule.turns)]
        for process, turn in zip(self._processes, schedule.turns, strict=True):
            process.begin(self._world, ACTORS[turn.actor])
            process.arrives_within(60)
        try:
            trace = Scheduler(self._processes, self._admin).play(schedule)
        except EndlessError as error:
            for process in self._processes:
                process.kill()
            return [], [str(error)]
        return trace, [f"{process.name}: {process.fault!r}" for process in self._processes if process.fault]

    def _reset(self) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(self._restore)
        self._scene.memory.restore(self._objects)
        runs, log, seen = deepcopy(self._kept)
        self._world.runs[:] = runs
        vars(self._world.log).update(log)
        vars(self._world.oracle).update(seen)

    def _seen(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self._world.oracle).items() if name.startswith("_seen")}

    def _state(self) -> str:
        """A digest of everything that a check can see."""
        with self._admin.connect() as connection:
            rows = connection.exec_driver_sql(self._dump).scalars().all()
        dump = sorted(_VOLATILE.sub("", _TIME.sub("T", row)) for row in rows)
        rest = (
            sorted(self._world.oracle.objects().items()),
            [(run.arn, run.status, run.redrives) for run in self._world.runs],
            sorted(vars(self._world.log).items()),
            accepted(self._processes),
            answered(self._processes),
        )
        return hashlib.sha256(f"{dump}{rest}".encode()).hexdigest()

    def _check(self) -> list[str]:
        """The broken invariants: at once, before anything can heal, and after everything has ended."""
        world, oracle = self._world, self._world.oracle
        at_once = [*oracle.at_any_time(), *broken_at_once(world, self._processes, self._attempts)]
        self._finish()
        at_the_end = [*oracle.at_any_time(), *oracle.at_rest()]
        world.reconcile()  # delivers the events of the last repairs
        at_the_end += oracle.accounted()
        with self._admin.connect() as connection:
            if held := connection.scalar(_LEFT_LOCKS):
                at_the_end.append(Broken("I12", f"{held} advisory locks are still held"))
        return [*(f"at once: {one}" for one in at_once), *(f"at the end: {one}" for one in at_the_end)]

    def _finish(self) -> None:
        """Let every run, event and sweep end."""
        world = self._world
        world.delete_roadmap(deleted=False)
        world.pipeline.execute(
            "UPDATE roadmap_tasks SET status = 'failed', celery_task_id = NULL"
            " WHERE celery_task_id IS NOT NULL"
        )
        for _ in range(ROUNDS):
            for run in world.runs:
                world.run_to_its_end(run)
                world.attempt(lambda run=run: world.reconcile(run))  # type: ignore[misc]
            world.let_a_minute_pass()
            world.attempt(world.reconcile)
            if not any(run.running for run in world.runs):
                break
