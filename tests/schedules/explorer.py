"""Explores the schedules of actors in a situation, and checks each final state twice."""

import hashlib
import pickle
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from sqlalchemy import create_engine, text

from roadmap_content.content.generation import item_locks
from roadmap_content.contracts.erasure import ErasureAnswer
from roadmap_content.platform.postgres import driver, engine, transactions
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage import bucket
from roadmap_content.runs.steps import generate
from tests.faults.world import Scene, World
from tests.schedules.actors import ACTORS
from tests.schedules.answers import accepted, answered, attempts_of, broken_at_once, broken_in_order
from tests.schedules.process import LASTING, SETTINGS, Process, Serially, Step, sleep
from tests.schedules.schedule import MOST_ACTORS, EndlessError, Schedule, Scheduler, Turn
from tests.schedules.situations import SITUATIONS, bundle
from tests.schedules.template import Template
from tests.support.databases import restoring
from tests.support.erasing import erased_at_last, left_of
from tests.support.factories import USER
from tests.support.oracle import Broken, OracleOfOne

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?")
# Differ between runs of the same schedule.
_VOLATILE = re.compile(
    r'"(duration_seconds|seconds|event_id|position|archive_id|id)": ?("[^"]*"|[\d.e-]+)|[0-9a-f]{64}'
    r"|erasures/\S+ \S+"  # a copy in the register contains times
)

_TABLES = text("""
SELECT string_agg(
    format('SELECT %L || row_to_json(t) FROM %s t', relname, CAST(oid AS regclass)), ' UNION ALL ')
FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)
    AND relname LIKE ANY (ARRAY['content\\_%', 'roadmap\\_%', '%\\_metadata'])
    AND relname NOT IN ('content_sweeps', 'content_checks', 'content_changes')
""")

# The id of an event follows from the time; those of the others are random.
_IDS = text("""
SELECT id FROM (
    SELECT 0 AS of, 0 AS position, erasure_id AS id FROM content_erasures
    UNION ALL SELECT 1, position, event_id FROM content_events
    UNION ALL SELECT 2, archive_id, replaced_by FROM content_archive WHERE replaced_by IS NOT NULL
    UNION ALL SELECT 3, row_number() OVER (ORDER BY concept_id, content_version), tutorial_id
    FROM tutorial_metadata) AS made
ORDER BY of, position
""")

# A claim; a cancel, or the account of a part, of a task that was never claimed.
_CAME_BACK = """
SELECT attempt FROM content_attempts WHERE claimed_at > (SELECT max(ended_at) FROM content_erasures)
UNION ALL SELECT 0 FROM content_events
WHERE detail_type = 'Task Cancelled' AND detail -> 'data' ->> 'attempt' = '0'
UNION ALL SELECT 0 FROM content_failures WHERE attempt = 0
"""

_LEFT_LOCKS = text("""
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (
    SELECT oid FROM pg_database WHERE datname = current_database())
""")


_WIDTH = 140
"""The characters of a violation's lines."""

ROUNDS = 4
"""Sweeps after which nothing is at work any more."""

FRESH_SECONDS = 30
"""The age of a situation after which it is made again. A minute after a claim, a sweep would start its
execution again, and a schedule must not depend on the time that others took.
"""


@contextmanager
def deterministic() -> Iterator[None]:
    """Replace the uses of threads and time. A pause gives the other process its turn; no database hangs."""
    with ExitStack() as stack:
        for module, replaced in (
            (generate, {"ThreadPoolExecutor": Serially}),
            (bucket, {"_threads": Serially}),
            (driver, {"PING_TIMEOUT": 600}),
            (engine, {"CONNECT_TIMEOUT": 600}),
            (transactions, {"time": SimpleNamespace(sleep=sleep, monotonic=lambda: 0.0)}),
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

    def __str__(self) -> str:
        """The schedule, the broken invariants, and the numbered steps of the actors side by side."""
        schedule = self.schedule
        side = _WIDTH // len(schedule.turns)

        def line(step: Step) -> str:
            return "  " + f"{'':{side}} | " * step.process + step.label[:side]

        actors = " | ".join(f"{turn.actor:{side}}" for turn in schedule.turns)
        return "\n".join(
            [
                f"make schedules SCHEDULE='{schedule}'",
                f"  {schedule.situation}: {SITUATIONS[schedule.situation].described}",
                *(f"  {one}" for one in self.broken or ["nothing is wrong"]),
                f"  {actors.rstrip()}",
                *map(line, self.trace),
                "",
            ]
        )


@lru_cache(1_000)  # most rows are as they were before the schedule
def _without_volatile(row: str) -> str:
    return _VOLATILE.sub("", _TIME.sub("T", row))


@dataclass
class Explored:
    """The result of a pair."""

    pair: str
    schedules: int = 0
    crashes: int = 0
    states: int = 0
    violations: list[Violation] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = f", {len(self.violations)} VIOLATIONS" if self.violations else ""
        return (
            f"{self.pair:40} {self.schedules:4} schedules, {self.crashes:3} with a crash, "
            f"{self.states:3} final states{wrong}"
        )


class Explorer:
    """One situation in a database of its own, restored before each schedule."""

    def __init__(self, database_url: str, situation: str) -> None:
        self._situation = situation
        self.database_url = database_url
        self.made_at = time.monotonic()
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
        self._kept = pickle.dumps((self._world.runs, vars(self._world.log), self._seen()))
        self._attempts = attempts_of(self._world)
        self._all = [Process(number, self._scene, database_url) for number in range(MOST_ACTORS)]
        self._processes: list[Process] = []
        self._erases = False
        """Those that play the present schedule."""
        self._states: dict[str, list[str]] = {}
        """The broken rules of each final state of the present pair."""
        self._ends: dict[str, list[str]] = {}
        """The broken rules after everything has ended, by the state before: pairs have many in common."""

    def close(self) -> None:
        for process in self._all:
            process.services.engine.dispose()
        self._world.close()
        self._scene.close()
        self._admin.dispose()

    @deterministic()
    def explore(self, first: str, second: str, most: int | None = None) -> Explored:
        """All schedules with at most one preemption, and with a crash after each lasting effect.

        `most`: the number of violations after which it ends.
        """
        found = Explored(f"{self._situation}: {first}, {second}")
        self._states.clear()
        for one, other in dict.fromkeys([(first, second), (second, first)]):
            whole = self._whole([one, other], found)
            labels = list(self._processes[0].steps)
            for number, label in enumerate(labels[:-1], start=1):
                if most is not None and len(found.violations) >= most:
                    return found
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
        """Play a schedule, and check its final state, once."""
        found.schedules += 1
        found.crashes += any(turn.crash for turn in schedule.turns)
        trace, broken = self._play(schedule)
        world, state = self._digests()
        if state not in self._states:
            self._states[state] = self._check(world)
            found.states += 1
        broken += self._states[state]
        if broken:
            found.violations.append(Violation(schedule, broken, trace))

    @deterministic()
    def replay(self, schedule: Schedule) -> Violation:
        """Play one schedule, and check its final state."""
        trace, broken = self._play(schedule)
        world, _ = self._digests()
        return Violation(schedule, [*broken, *self._check(world)], trace)

    def _play(self, schedule: Schedule) -> tuple[list[Step], list[str]]:
        """Restore the situation and play a schedule; return its steps, and the errors that have no name."""
        self._reset()
        self._processes = self._all[: len(schedule.turns)]
        self._erases = any(turn.actor == "erase" for turn in schedule.turns)
        trace: list[Step] = []
        for process, turn in zip(self._processes, schedule.turns, strict=True):
            process.begin(self._world, ACTORS[turn.actor], trace)
            process.arrives_within(60)
        try:
            Scheduler(self._processes, self._admin).play(schedule, trace)
        except EndlessError as error:
            for process in self._processes:
                process.kill()
            return trace, [str(error)]
        trace += [Step(process.number, f"-> {process.ending()}") for process in self._processes]
        faults = [
            *(f"{process.name}: {process.fault!r}" for process in self._processes if process.fault),
            *(f"{process.name}: locks in another order" for process in self._processes if process.deadlocks),
        ]
        return trace, faults + [f"at once: {one}" for one in broken_in_order(self._processes)]

    def _reset(self) -> None:
        with self._admin.connect() as connection:
            connection.exec_driver_sql(self._restore)
        self._scene.memory.restore(self._objects)
        runs, log, seen = pickle.loads(self._kept)  # noqa: S301 - our own; faster than a deep copy
        self._world.runs[:] = runs
        vars(self._world.log).update(log)
        vars(self._world.oracle).update(seen)

    def _seen(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self._world.oracle).items() if name.startswith("_seen")}

    def _digests(self) -> tuple[str, str]:
        """Of everything that a check can see: without the answers of the processes, and with them."""
        with self._admin.connect() as connection:
            rows = connection.exec_driver_sql(self._dump).scalars().all()
            ids = connection.scalars(_IDS).all()
        lines = [
            *map(_without_volatile, rows),
            *map(_without_volatile, map(str, self._world.oracle.objects().items())),
            str([(run.arn, run.status, run.redrives) for run in self._world.runs]),
            *map(str, vars(self._world.log).items()),
            *([str((self._has_erased, self._world.pipeline.rows(_CAME_BACK)))] if self._erases else []),
        ]
        seen = "\n".join(lines)
        for number, made in enumerate(ids):
            seen = seen.replace(made, f"id {number}")
        world = hashlib.sha256("\n".join(sorted(seen.split("\n"))).encode()).hexdigest()
        return world, f"{world} {accepted(self._processes)} {answered(self._processes)}"

    @property
    def _has_erased(self) -> bool:
        """Whether an erasure has answered that it is complete."""
        return any(isinstance(p.answer, ErasureAnswer) and p.answer.complete for p in self._processes)

    def _check(self, world: str) -> list[str]:
        """The broken invariants: at once, before anything can heal, and after everything has ended."""
        at_once: list[Broken] = []
        if not self._erases:
            every = broken_at_once(self._world, self._processes, self._attempts)
            at_once = [*self._world.oracle.at_any_time(), *every]
        if world not in self._ends:
            self._ends[world] = self._left() if self._erases else self._at_the_end()
        return [*(f"at once: {one}" for one in at_once), *self._ends[world]]

    def _left(self) -> list[str]:
        """The rest of an erased user: at once, if the erasure was complete; after the late steps and the
        sweeps, if it was not, and was repeated when the last step was over.
        """
        complete = self._has_erased
        found = self._found("at once", noted=False) if complete else []
        self._finish()
        if not complete:
            erased_at_last(self._world.pipeline.engine, self._world.services, USER, product_rows=False)
        self._world.reconcile()
        return found + self._found("at the end", noted=True)

    def _found(self, when: str, *, noted: bool) -> list[str]:
        """The rows that name the user, unless the user came back after the erasure. Without `noted`, not the
        changes of the product's rows that the next sweep sees.
        """
        world = self._world
        names = USER, world.task_id, world.pipeline.roadmap_id
        left = left_of(world.pipeline.engine, world.services, *names, product_rows=False)
        if not noted:
            left.pop("content_changes", None)
        return [f"{when}: I14: {left}"] if left and not world.pipeline.rows(_CAME_BACK) else []

    def _at_the_end(self) -> list[str]:
        self._finish()
        oracle = self._world.oracle
        broken = [*oracle.at_any_time(), *oracle.at_rest()]
        self._world.reconcile()  # delivers the events of the last repairs
        broken += oracle.accounted()
        with self._admin.connect() as connection:
            if held := connection.scalar(_LEFT_LOCKS):
                broken.append(Broken("I12", f"{held} advisory locks are still held"))
        return [f"at the end: {one}" for one in broken]

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


class Explorers:
    """The explorers of situations, each made when it is needed first."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._made: dict[str, Explorer] = {}

    def __call__(self, situation: str) -> Explorer:
        made = self._made.get(situation)
        if made is not None and time.monotonic() > made.made_at + FRESH_SECONDS:
            made.close()
            self._template.drop(made.database_url)
            made = None
        if made is None:
            made = self._made[situation] = Explorer(self._template.copied(), situation)
        return made

    def close(self) -> None:
        for explorer in self._made.values():
            explorer.close()
