"""`make load`: a thousand roadmaps at once, and other loads, through the queue.

The admission is the real one, on PostgreSQL. Step Functions, the concurrency of Lambda and the model are
simulated in virtual time: an event takes place at its time, and no time passes in between. Each scenario also
runs without a queue (*before*).

Ten slots; a roadmap has 30 concepts unless a scenario says otherwise. An item takes the time of a model: a
tutorial 35 seconds, a quiz 15, resources 8. The batches are those that Plan makes, and an invocation
generates as many items at the same time as the product does. A refused invocation is repeated with the
back-off of the state machine's definition. The admission, the charges and their corrections are the product's
own statements on PostgreSQL. *Alone* is the same load without the other one, and *ideal* the time in which
the slots could do the work without a gap. Light users and people arrive at random: four times, with other
times, and p95 is that of all of their runs. *The model's quota as the bottleneck*: 1, 10 and 100 roadmaps
share 100,000, 200,000 and 400,000 tokens per minute. The pace, the calls and the shared bucket are the
product's own. A server implements Converse over HTTP, with answers after 15 seconds (varied by a third), and
counts as Bedrock documents it. It holds 20 seconds of the quota (emulated: Bedrock does not document this),
and is full at first. *Used* is what calls had taken when the last one started, of the quota until then;
*before* is the same without a configured quota.
"""

import argparse
import json
import logging
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from itertools import chain, count, pairwise, product
from statistics import quantiles
from typing import NamedTuple
from unittest.mock import patch

from sqlalchemy import Connection, Engine, TextClause, text

from documents.cost import seconds_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.manifest import generation_order, planned_batch_sizes
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.states import QueueClass, QueueState
from roadmap_content.platform.runtime.log import logger
from roadmap_content.state.queue import queue
from roadmap_content.state.queue.capacity import TOKENS_PER_ITEM, Work, work_of
from tests.support.factories import concept_ids

from . import quota
from .database import own_database
from .report import Limit, show_limits, show_machine, show_table

TYPES = (ContentType.TUTORIAL, ContentType.RESOURCES, ContentType.QUIZ)

SECONDS = (35.0, 8.0, 15.0)
"""Of an item of each type."""

PLAN, SAVE, FINALIZE = 2.0, 1.0, 2.0
DAY = 24 * 3_600.0
SLOTS = 10
CONCEPTS = 30
QUOTAS = {1: 100_000, 10: 200_000, 100: 400_000}
"""Roadmaps that are generated at the same time, and the model's quota in tokens per minute."""

ARRIVALS = 4
"""Times that a scenario with random arrivals is repeated, with other arrivals."""

_TEMPLATE = read_template(REPOSITORY / "template.yaml")
BATCH_SIZE: int = default_of(_TEMPLATE, "BatchSize")
MAX_CONCURRENCY: int = default_of(_TEMPLATE, "MaxConcurrency")
_MACHINE = json.loads((REPOSITORY / "statemachine/save_content.asl.json").read_text())
TIMEOUT: int = _MACHINE["TimeoutSeconds"]
_GENERATE = _MACHINE["States"]["FanOut"]["ItemProcessor"]["States"]["Generate"]
_THROTTLED = next(
    each for each in _GENERATE["Retry"] if "Lambda.TooManyRequestsException" in each["ErrorEquals"]
)


@cache
def batches_of(concepts: int) -> tuple[float, ...]:
    """The seconds of each batch of a roadmap, as Plan makes them."""
    size = planned_batch_sizes(concepts, 0, BATCH_SIZE).generate
    of_type = dict(zip(TYPES, SECONDS, strict=True))
    batches = (concept_ids(concepts)[start : start + size] for start in range(0, concepts, size))
    return tuple(
        seconds_of(generation_order([Item(*item) for item in product(ids, TYPES)]), of_type)
        for ids in batches
    )


@dataclass(eq=False)
class Run:
    """One attempt of a task."""

    number: int
    user: str
    arrives: float
    concepts: int = CONCEPTS
    queue_class: QueueClass = QueueClass.INTERACTIVE
    tenant: str | None = None
    started: float | None = None
    ended: float | None = None
    timed_out: bool = False
    throttled: int = 0
    remaining: list[float] = field(default_factory=list)
    at_work: int = 0

    def __post_init__(self) -> None:
        self.remaining = list(batches_of(self.concepts))
        self.seconds = sum(self.remaining)
        self.tokens = len(TYPES) * self.concepts * TOKENS_PER_ITEM

    @property
    def response(self) -> float:
        """The time from the request to the end."""
        return (self.ended or 0) - self.arrives

    @property
    def wait(self) -> float:
        """The time from the request to the start."""
        return (self.started or 0) - self.arrives


class Admission:
    """Decides when a run starts: this one, at once, as without a queue. Returns the runs that start now."""

    def claim(self, run: Run) -> Sequence[Run]:
        """A run arrives."""
        return [run]

    def planned(self, run: Run) -> None:
        """A run has its batches."""

    def end(self, _run: Run) -> Sequence[Run]:
        """A run has ended."""
        return []

    def sweep(self, _now: float) -> Sequence[Run]:
        """The sweep of each minute."""
        return []

    def states(self) -> Sequence[str]:
        """The states of the queue's entries, with their numbers."""
        return []


TASK = text(
    "INSERT INTO roadmap_tasks (task_id, user_id, status, attempt) VALUES (:id, :user, 'processing', 1)"
)
ATTEMPT = text("""
INSERT INTO content_attempts (task_id, attempt, actor, cause, execution_arn, step, tokens)
VALUES (:id, 1, 'user:u', 'retry', :id, 'claimed', 0)
""")
USED = text("UPDATE content_attempts SET tokens = :tokens WHERE task_id = :id")
RESET = text("TRUNCATE roadmap_tasks, content_attempts, content_queue, content_queue_keys")


# In virtual time, an attempt is recent until `AGE`.
ADMIT = text(queue.ADMIT.text.replace(f"interval '{queue.RECENT_MINUTES} minutes'", "interval '12 hours'"))
ADMIT_ANY = text(ADMIT.text.replace("2 * own.grants < c.slots", "true"))
"""The admission as it was: also a user's large runs may hold all slots."""

STATES = text("SELECT count(*) || ' ' || state FROM content_queue WHERE state <> 'ended' GROUP BY state")

AGE = text("""
UPDATE content_queue SET enqueued_at = enqueued_at - interval '1 day' WHERE task_id = ANY(:tasks)
""")


class Queue(Admission):
    """The product's admission."""

    def __init__(self, engine: Engine, admit: TextClause = ADMIT) -> None:
        self._engine = engine
        self._statement = admit
        self._runs: dict[str, Run] = {}
        self._recent: deque[Run] = deque()
        with engine.begin() as connection:
            connection.execute(RESET)
            connection.execute(text("UPDATE content_capacity SET slots = :slots"), {"slots": SLOTS})

    def claim(self, run: Run) -> Sequence[Run]:
        task_id = str(run.number)
        self._runs[task_id] = run
        items = len(TYPES) * run.concepts
        work = work_of(items, run.concepts, BATCH_SIZE, MAX_CONCURRENCY)
        with self._engine.begin() as connection:
            connection.execute(TASK, {"id": task_id, "user": run.user})
            connection.execute(ATTEMPT, {"id": task_id})
            self._age(connection, run.arrives)
            self._recent.append(run)
            entry = run.queue_class, QueueState.WAITING, work, run.tenant
            with patch.object(queue, "ADMIT", self._statement):
                return self._runs_of(queue.enqueue(connection, task_id, 1, *entry))

    def planned(self, run: Run) -> None:
        items = len(TYPES) * run.concepts
        work = Work(items * TOKENS_PER_ITEM, min(MAX_CONCURRENCY, len(run.remaining)))
        with self._engine.begin() as connection:
            queue.confirm(connection, str(run.number), 1, work)

    def end(self, run: Run) -> Sequence[Run]:
        with self._engine.begin() as connection:
            connection.execute(USED, {"id": str(run.number), "tokens": run.tokens})
            queue.release(connection, str(run.number), 1)
            queue.lock_capacity(connection)
            return self._admit(connection, run.ended or 0)

    def sweep(self, now: float) -> Sequence[Run]:
        with self._engine.begin() as connection:
            queue.lock_capacity(connection)
            return self._admit(connection, now)

    def states(self) -> Sequence[str]:
        with self._engine.connect() as connection:
            return connection.scalars(STATES).all()

    def _admit(self, connection: Connection, now: float) -> list[Run]:
        self._age(connection, now)
        with patch.object(queue, "ADMIT", self._statement):
            return self._runs_of(queue.admit(connection, 100))

    def _age(self, connection: Connection, now: float) -> None:
        aged = []
        while self._recent and self._recent[0].arrives <= now - 60 * queue.RECENT_MINUTES:
            aged.append(str(self._recent.popleft().number))
        if aged:
            connection.execute(AGE, {"tasks": aged})

    def _runs_of(self, admitted: Sequence[queue.Admitted]) -> list[Run]:
        return [self._runs[one.task_id] for one in admitted]


class Simulation:
    """Runs in virtual time."""

    def __init__(
        self,
        admission: Admission,
        runs: Sequence[Run],
    ) -> None:
        self._admission = admission
        self._random = random.Random(27)  # noqa: S311 - a simulation
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._busy = 0
        self._runs = runs
        self._open = len(runs)
        self._progressed_at = 0.0
        self.now = 0.0
        for run in runs:
            self._at(run.arrives, lambda run=run: self._start(self._admission.claim(run)))  # type: ignore[misc]
        self._at(60, self._sweep)
        while self._events:
            self.now, _, act = heappop(self._events)
            act()

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._order), act))

    def _sweep(self) -> None:
        self._start(self._admission.sweep(self.now))
        if self._open and self.now - self._progressed_at > DAY:
            sys.exit(self._reason())
        if self._open:
            self._at(self.now + 60, self._sweep)

    def _reason(self) -> str:
        arrived = [run for run in self._runs if run.arrives <= self.now and run.ended is None]
        started = sum(run.started is not None for run in arrived)
        return (
            f"No run has started, saved a batch or ended for a day: {len(arrived) - started} wait for their "
            f"start, {started} are at work, {self._busy} of {SLOTS} slots are taken; "
            f"the queue: {', '.join(self._admission.states()) or 'empty'}"
        )

    def _start(self, runs: Sequence[Run]) -> None:
        if runs:
            self._progressed_at = self.now
        for run in runs:
            run.started = self.now
            self._at(self.now + PLAN, lambda run=run: self._fan_out(run))  # type: ignore[misc]

    def _fan_out(self, run: Run) -> None:
        self._admission.planned(run)
        for _ in range(min(MAX_CONCURRENCY, len(run.remaining))):
            self._next_batch(run)

    def _next_batch(self, run: Run) -> None:
        run.at_work += 1
        self._invoke(run, run.remaining.pop(0), 0)

    def _invoke(self, run: Run, seconds: float, tries: int) -> None:
        if run.ended is not None:
            return
        if self.now - (run.started or 0) > TIMEOUT:
            run.timed_out = True
            self._end(run)
        elif self._busy < SLOTS:
            self._busy += 1
            self._at(self.now + seconds, lambda: self._generated(run))
        else:
            run.throttled += 1
            most = _THROTTLED["IntervalSeconds"] * _THROTTLED["BackoffRate"] ** min(tries, 100)
            delay = self._random.uniform(0, min(most, _THROTTLED["MaxDelaySeconds"]))
            self._at(self.now + delay, lambda: self._invoke(run, seconds, tries + 1))

    def _generated(self, run: Run) -> None:
        self._busy -= 1
        self._at(self.now + SAVE, lambda: self._saved(run))

    def _saved(self, run: Run) -> None:
        self._progressed_at = self.now
        run.at_work -= 1
        if run.ended is not None:
            return
        if run.remaining:
            self._next_batch(run)
        elif not run.at_work:
            self._at(self.now + FINALIZE, lambda: self._end(run))

    def _end(self, run: Run) -> None:
        self._progressed_at = self.now
        run.ended = self.now
        self._open -= 1
        self._start(self._admission.end(run))


BACK_OFF = "A refused batch waits longer each time, while a slot may be free."

UNKNOWN = "The cause was not measured."
"""The reason for a missed limit, unless a measurement shows another one."""


class Outcome(NamedTuple):
    """The measurement of a scenario, its limit, and the same without a queue."""

    label: str
    value: float
    limit: float
    before: float | None = None
    unit: str = "×"
    at_least: bool = False
    reason: str = UNKNOWN

    @property
    def as_limit(self) -> Limit:
        """The same for the table of limits."""
        return Limit(self.label, self.value, self.limit, self.unit, self.at_least, self.reason)


def p95(runs: Sequence[Run]) -> float:
    """The response time of which 5 % of runs take longer. A run that timed out counts with its time."""
    return quantiles([run.response for run in runs], n=20)[-1]


def makespan(runs: Sequence[Run]) -> float:
    """The time until the last run has ended, relative to the ideal. Without an end for all, infinite."""
    if any(run.timed_out for run in runs):
        return float("inf")
    first = min(run.arrives for run in runs)
    return (max(run.ended or 0 for run in runs) - first) * SLOTS / sum(run.seconds for run in runs)


def longest_pause(runs: Sequence[Run]) -> float:
    """The longest time without an end of a bulk run."""
    ends = sorted(run.ended or 0 for run in runs if run.queue_class is QueueClass.BULK)
    return max(later - sooner for sooner, later in pairwise(ends))


class Beside(NamedTuple):
    """Runs of light users, and of others beside them: a list for each repetition."""

    alone: list[list[Run]]
    after: list[list[Run]]
    before: list[list[Run]]

    def outcome(self, label: str) -> Outcome:
        """The p95 of the light users, relative to their p95 alone."""
        alone, after, before = (
            p95([run for run in chain(*repetitions) if _is_light(run)]) for repetitions in self
        )
        reason = "No batch is interrupted for another one; and the wait for an admission."
        return Outcome(label, after / alone, 1.5, before / alone, reason=reason)


def _is_light(run: Run) -> bool:
    """Whether a run is one of `Load.stream`."""
    return run.user.startswith("s")


class Load:
    """Builds the runs of the scenarios, and simulates them."""

    def __init__(self, engine: Engine, share: float) -> None:
        self._engine = engine
        self.admit = ADMIT
        self._share = share
        self._numbers = count()

    def of(self, most: int) -> int:
        """A number of runs; a part of it in the short form."""
        return max(10, int(most * self._share))

    def run(self, user: str, arrives: float, **given: object) -> Run:
        """A run."""
        return Run(next(self._numbers), user, arrives, **given)  # type: ignore[arg-type]

    def stream(self, number: int, load: float, seed: int) -> list[Run]:
        """Single runs of different users, which arrive at random and use a share of the slots."""
        chance = random.Random(seed)  # noqa: S311 - a simulation
        time, runs = 0.0, []
        for index in range(number):
            time += chance.expovariate(load * SLOTS / sum(batches_of(CONCEPTS)))
            runs.append(self.run(f"s{seed}-{index}", time))
        return runs

    def both(self, build: Callable[[], list[Run]]) -> tuple[list[Run], list[Run]]:
        """The runs of a scenario after it, with the queue and without one."""
        after, before = build(), build()
        Simulation(Queue(self._engine, self.admit), after)
        Simulation(Admission(), before)
        return after, before

    def outcomes(self, *names: str) -> Iterator[Outcome]:
        """The outcomes of scenarios, of all by default."""
        scenarios: Mapping[str, Callable[[], Sequence[Outcome]]] = {
            "at_once": self.at_once,
            "flooder": lambda: [self.flooder("500 roadmaps of one user", None)],
            "tenant": lambda: [self.flooder("500 roadmaps of 100 ids of one tenant", "t")],
            "sizes": lambda: [self.beside(self.of(50), 0.3, self.sizes).outcome(SIZES)],
            "recovery": self.recovery,
            "quota": self.quota,
        }
        for name, measure in scenarios.items():
            if not names or name in names:
                yield from measure()

    def quota(self) -> list[Outcome]:
        """The model's quota as the bottleneck."""
        return [
            outcome
            for roadmaps, tokens_per_minute in QUOTAS.items()
            for outcome in self._quota(max(1, int(roadmaps * self._share)), tokens_per_minute)
        ]

    def _quota(self, roadmaps: int, tokens_per_minute: int) -> list[Outcome]:
        run = quota.measure(self._engine, roadmaps, tokens_per_minute)
        before = (
            quota.measure(self._engine, roadmaps, tokens_per_minute, is_configured=False)
            if roadmaps < max(QUOTAS)  # it takes some minutes
            else None
        )
        assert not run.lost, run.lost  # noqa: S101 - a lost item is a defect, not a measurement
        about = f"the model's quota as the bottleneck, {roadmaps} at once: "
        return [
            Outcome(f"{about}the quota used", run.used, 0.97, before and before.used, "", at_least=True),
            Outcome(f"{about}calls throttled, of all", run.throttled, 0.01, before and before.throttled, ""),
            Outcome(f"{about}tokens wasted", run.wasted, 0, before and before.wasted, ""),
        ]

    def at_once(self) -> list[Outcome]:
        """1,000 roadmaps of 1,000 users at once."""
        number = self.of(1_000)

        def build() -> list[Run]:
            return [self.run(f"u{index}", index * 60 / number) for index in range(number)]

        after, before = self.both(build)
        about = "1,000 roadmaps at once: "
        longest, longest_before = (
            max((run.ended or 0) - (run.started or 0) for run in runs) / TIMEOUT for runs in (after, before)
        )
        throttled, throttled_before = (
            sum(run.throttled for run in runs) / number for runs in (after, before)
        )
        timed_out, timed_out_before = (sum(run.timed_out for run in runs) for runs in (after, before))
        return [
            Outcome(
                f"{about}the time of all, of the ideal",
                makespan(after),
                1.04,
                makespan(before),
                reason=BACK_OFF,
            ),
            Outcome(f"{about}throttled calls a run", throttled, 100, throttled_before, ""),
            Outcome(f"{about}runs that time out", timed_out, 0, timed_out_before, ""),
            Outcome(f"{about}the longest run, of its timeout", longest, 0.5, longest_before),
        ]

    def beside(self, number: int, load: float, others: Callable[[], list[Run]]) -> "Beside":
        """Light users beside other runs, with several arrivals at random."""
        found = Beside([], [], [])
        for seed in range(ARRIVALS):

            def light(seed: int = seed) -> list[Run]:
                return self.stream(number, load, seed)

            alone = light()
            Simulation(Queue(self._engine, self.admit), alone)
            after, before = self.both(lambda light=light: [*others(), *light()])  # type: ignore[misc]
            for runs, more in zip(found, (alone, after, before), strict=True):
                runs.append(more)
        return found

    def flooder(self, about: str, tenant: str | None) -> Outcome:
        """500 roadmaps of one user, or of one tenant, beside 50 light users."""
        ids = 1 if tenant is None else 100

        def flood() -> list[Run]:
            return [self.run(f"f{index % ids}", 0, tenant=tenant) for index in range(self.of(500))]

        found = self.beside(self.of(50), 0.3, flood)
        return found.outcome(f"{about} beside light users: their p95, of alone")

    def sizes(self) -> list[Run]:
        """One user's roadmaps of 600 concepts and of one, in turn, a minute apart, after ten minutes."""
        return [
            self.run("f", 600 + 60 * turn, concepts=1 if turn % 2 else 600) for turn in range(self.of(40))
        ]

    def recovery(self) -> list[Outcome]:
        """A recovery of 1,000 tasks beside interactive runs at 60 % load."""

        def bulk() -> list[Run]:
            return [self.run(f"b{index}", 0, queue_class=QueueClass.BULK) for index in range(self.of(1_000))]

        found = self.beside(self.of(300), 0.6, bulk)
        alone_run = sum(batches_of(CONCEPTS))
        pause, pause_before = (max(map(longest_pause, runs)) for runs in (found.after, found.before))
        about = "a recovery of 1,000 tasks beside people: "
        return [
            found.outcome(f"{about}the p95 of the people, of alone"),
            Outcome(
                f"{about}its longest pause, of a run on one slot",
                pause / alone_run,
                5,
                pause_before / alone_run,
            ),
        ]


SIZES = "600 concepts and 1 of one user in turn, beside light users: their p95, of alone"


def show_rules(load: Load) -> None:
    """Scenarios without and with the limit of a user's grants to half of the slots."""
    rows: dict[str, list[str]] = {}
    for name in ("sizes", "flooder"):
        with patch.object(load, "admit", ADMIT_ANY):
            before = list(load.outcomes(name))
        pairs = zip(before, load.outcomes(name), strict=True)
        rows |= {new.label: [f"{old.value:.2f}", f"{new.value:.2f}"] for old, new in pairs}
    show_table("A user's grants below half of the slots", ["before", "now"], rows)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description="A thousand roadmaps at once, and other loads.")
    parser.add_argument("--short", action="store_true", help="a tenth of the runs")
    parser.add_argument("--only", nargs="+", default=[], help="names of scenarios")
    arguments = parser.parse_args()
    logging.getLogger(logger.name or "").disabled = True
    with own_database() as database:
        # The time of a COMMIT is not measured.
        database.administer(["ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"])
        outcomes = []
        load = Load(database.engine, 0.1 if arguments.short else 1)
        for each in load.outcomes(*arguments.only):
            print(f"{each.label}: {each.value:.3f} (limit {each.limit})", file=sys.stderr)  # noqa: T201
            outcomes.append(each)
        if not arguments.only:
            show_rules(load)
    show_machine("SQLAlchemy")
    show_table(
        "The same without a queue",
        ["with the queue", "before"],
        {
            each.label: [f"{each.value:.2f}", f"{each.before:.2f}"]
            for each in outcomes
            if each.before is not None
        },
    )
    show_limits([each.as_limit for each in outcomes], room=1.0 if arguments.short else None)


if __name__ == "__main__":
    main()
