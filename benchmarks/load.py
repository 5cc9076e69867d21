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
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from itertools import chain, count, pairwise, product
from statistics import quantiles
from typing import NamedTuple, Protocol
from unittest.mock import patch

from sqlalchemy import Connection, Engine, TextClause, text

from documents.cost import seconds_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.manifest import generation_order, planned_batch_sizes
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.log import logger
from roadmap_content.state.queue import queue
from roadmap_content.state.queue.capacity import granted_batches
from roadmap_content.state.queue.places import QueuePlace, read_place
from roadmap_content.state.tasks.work import (
    TOKENS_PER_ITEM,
    QueueClass,
    QueueState,
    Work,
    work_of,
)
from tests.support.factories import concept_ids

from . import quota
from .database import own_database
from .report import Limit, show_limits, show_machine, show_table

TYPES = (ContentType.TUTORIAL, ContentType.RESOURCES, ContentType.QUIZ)
"""The content types of the simulated roadmaps."""

SECONDS = (35.0, 8.0, 15.0)
"""Of an item of each type."""

PLAN, SAVE, FINALIZE = 2.0, 1.0, 2.0
SLOTS = 10
CONCEPTS = 30
QUOTAS = {1: 100_000, 10: 200_000, 100: 400_000}
"""Roadmaps that are generated at the same time, and the model's quota in tokens per minute."""

ARRIVALS = 4
"""Times that a scenario with random arrivals is repeated, with other arrivals."""

RELEASE_SECONDS = 60.0
"""The time until the schedule of each minute records an end whose release is lost, while others wait."""

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
def batches_of(concepts: int, seconds: tuple[float, ...] = SECONDS) -> tuple[float, ...]:
    """The seconds of each batch of a roadmap, as Plan makes them; `seconds` of an item by content type."""
    size = planned_batch_sizes(concepts, 0, BATCH_SIZE).generate
    of_type = dict(zip(TYPES, seconds, strict=True))
    batches = (concept_ids(concepts)[start : start + size] for start in range(0, concepts, size))
    return tuple(
        seconds_of(generation_order([Item(*item) for item in product(ids, TYPES)]), of_type)
        for ids in batches
    )


def roadmaps_per_hour(slots: int, seconds: float) -> float:
    """The roadmaps per hour of slots that are always at work; `seconds` of any item."""
    return slots * 3_600 / sum(batches_of(CONCEPTS, (seconds,) * len(TYPES)))


@dataclass(eq=False)
class Run:
    """One attempt of a task."""

    number: int
    user: str
    arrives: float
    concepts: int = CONCEPTS
    queue_class: QueueClass = QueueClass.INTERACTIVE
    tenant: str | None = None
    factor: float = 1.0
    """The real tokens and seconds, relative to the estimate."""

    crashes: bool = False
    release_is_lost: bool = False
    started: float | None = None
    first_saved: float | None = None
    """The end of the first batch: its concepts are complete."""

    ended: float | None = None
    timed_out: bool = False
    throttled: int = 0
    remaining: list[float] = field(default_factory=list)
    at_work: int = 0

    def __post_init__(self) -> None:
        self.remaining = [seconds * self.factor for seconds in batches_of(self.concepts)]
        self.seconds = sum(self.remaining)
        self.tokens = int(len(TYPES) * self.concepts * TOKENS_PER_ITEM * self.factor)

    @property
    def response(self) -> float:
        """The time from the request to the end."""
        return (self.ended or 0) - self.arrives

    @property
    def wait(self) -> float:
        """The time from the request to the start."""
        return (self.started or 0) - self.arrives


class Admission(Protocol):
    """Decides when a run starts."""

    def claim(self, run: Run) -> Sequence[Run]:
        """A run arrives; return those that start now."""
        ...

    def planned(self, run: Run) -> None:
        """A run has its batches."""
        ...

    def end(self, run: Run) -> Sequence[Run]:
        """A run has ended; return those that start now."""
        ...

    def sweep(self, now: float) -> Sequence[Run]:
        """The sweep of each minute; return the runs that start now."""
        ...


class Nothing:
    """No queue: every run starts at once."""

    def claim(self, run: Run) -> Sequence[Run]:
        return [run]

    def planned(self, run: Run) -> None: ...

    def end(self, _run: Run) -> Sequence[Run]:
        return []

    def sweep(self, _now: float) -> Sequence[Run]:
        return []


class FirstInFirstOut:
    """The limit of the queue, without its fairness."""

    def __init__(self) -> None:
        self._waiting: list[Run] = []
        self._grants: dict[Run, int] = {}

    def claim(self, run: Run) -> Sequence[Run]:
        self._waiting.append(run)
        return self.sweep(run.arrives)

    def planned(self, run: Run) -> None: ...

    def end(self, run: Run) -> Sequence[Run]:
        self._grants.pop(run, None)
        return self.sweep(run.ended or 0)

    def sweep(self, _now: float) -> Sequence[Run]:
        started = []
        while self._waiting and sum(self._grants.values()) < granted_batches(SLOTS):
            run = self._waiting.pop(0)
            self._grants[run] = min(MAX_CONCURRENCY, len(run.remaining))
            started.append(run)
        return started


TASK = text(
    "INSERT INTO roadmap_tasks (task_id, user_id, status, attempt) VALUES (:id, :user, 'processing', 1)"
)
ATTEMPT = text("""
INSERT INTO content_attempts (task_id, attempt, actor, cause, execution_arn, step, tokens)
VALUES (:id, 1, 'user:u', 'retry', :id, 'claimed', 0)
""")
USED = text("UPDATE content_attempts SET tokens = :tokens WHERE task_id = :id")
RESET = text("TRUNCATE roadmap_tasks, content_attempts, content_queue, content_queue_keys")


ENDED = text("""
UPDATE content_queue q SET ended_at = timezone('utc', now()) - make_interval(secs => e.ago)
FROM json_to_recordset(:ended) AS e (id text, ago double precision) WHERE q.task_id = e.id
""")


# In virtual time, an attempt is recent until `AGE`.
ADMIT = text(queue.ADMIT.text.replace(f"interval '{queue.RECENT_MINUTES} minutes'", "interval '12 hours'"))
ADMIT_ANY = text(ADMIT.text.replace("2 * own.grants < c.slots", "true"))
"""The admission as it was: also a user's large runs may hold all slots."""

AGE = text("""
UPDATE content_queue SET enqueued_at = enqueued_at - interval '1 day' WHERE task_id = ANY(:tasks)
""")


class Queue:
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
            queue.enqueue(connection, task_id, 1, run.queue_class, QueueState.WAITING, work, run.tenant)
            self._recent.append(run)
            return self._admit(connection, run.arrives)

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

    def places(self, runs: Sequence[Run], time: float) -> dict[Run, QueuePlace]:
        """The places of the waiting ones of these runs, as a reader sees them now."""
        ended = [
            {"id": str(run.number), "ago": time - run.ended}
            for run in self._runs.values()
            if run.ended is not None
        ]
        with self._engine.begin() as connection:
            connection.execute(ENDED, {"ended": json.dumps(ended)})
        with self._engine.connect() as connection:
            found = {run: read_place(connection, str(run.number), 1) for run in runs}
        return {run: place for run, place in found.items() if place is not None}

    def _admit(self, connection: Connection, now: float) -> list[Run]:
        aged = []
        while self._recent and self._recent[0].arrives <= now - 60 * queue.RECENT_MINUTES:
            aged.append(str(self._recent.popleft().number))
        if aged:
            connection.execute(AGE, {"tasks": aged})
        with patch.object(queue, "ADMIT", self._statement):
            return [self._runs[one.task_id] for one in queue.admit(connection, 100)]


class Simulation:
    """Runs in virtual time."""

    def __init__(
        self,
        admission: Admission,
        runs: Sequence[Run],
        until: float = float("inf"),
        retrier: Mapping[str, float] = _THROTTLED,
        each_minute: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._admission = admission
        self._each_minute = each_minute
        self._retrier = retrier
        self._random = random.Random(27)  # noqa: S311 - a simulation
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._busy = 0
        self._open = len(runs)
        self._until = until
        self.now = 0.0
        for run in runs:
            self._at(run.arrives, lambda run=run: self._start(self._admission.claim(run)))  # type: ignore[misc]
        self._at(60, self._sweep)
        while self._events:
            self.now, _, act = heappop(self._events)
            if self.now > until:
                break
            act()

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._order), act))

    def _sweep(self) -> None:
        self._start(self._admission.sweep(self.now))
        self._each_minute(self.now)
        if self._open:
            self._at(self.now + 60, self._sweep)

    def _start(self, runs: Sequence[Run]) -> None:
        for run in runs:
            run.started = self.now
            self._at(self.now + PLAN, lambda run=run: self._fan_out(run))  # type: ignore[misc]

    def _fan_out(self, run: Run) -> None:
        self._admission.planned(run)
        if run.crashes:  # Step Functions ends it in the middle of its first batches
            self._at(self.now + run.remaining[0] / 2, lambda: self._end(run))
            return
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
            most = self._retrier["IntervalSeconds"] * self._retrier["BackoffRate"] ** min(tries, 100)
            delay = self._random.uniform(0, min(most, self._retrier["MaxDelaySeconds"]))
            self._at(self.now + delay, lambda: self._invoke(run, seconds, tries + 1))

    def _generated(self, run: Run) -> None:
        self._busy -= 1
        self._at(self.now + SAVE, lambda: self._saved(run))

    def _saved(self, run: Run) -> None:
        run.at_work -= 1
        run.first_saved = run.first_saved or self.now
        if run.ended is not None:
            return
        if run.remaining:
            self._next_batch(run)
        elif not run.at_work:
            self._at(self.now + FINALIZE, lambda: self._end(run))

    def _end(self, run: Run) -> None:
        run.ended = self.now
        self._open -= 1
        if run.release_is_lost:
            self._at(self.now + RELEASE_SECONDS, lambda: self._start(self._admission.end(run)))
        else:
            self._start(self._admission.end(run))


class BestOrder:
    """A lower bound: runs of which the first ones come first, without a queue of attempts and without refused
    invocations. A free slot goes at once to the next batch, and no batch is interrupted.
    """

    def __init__(self, runs: Sequence[Run], is_first: Callable[[Run], bool]) -> None:
        self._is_first = is_first
        self._order = count()
        self._waiting: list[tuple[bool, float, int, Run, float]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._free = SLOTS
        self._now = 0.0
        for run in runs:
            self._at(run.arrives + PLAN, lambda run=run: self._fan_out(run))  # type: ignore[misc]
        while self._events:
            self._now, _, act = heappop(self._events)
            act()
            while self._free and self._waiting:
                *_, run, seconds = heappop(self._waiting)
                self._free -= 1
                self._at(self._now + seconds, lambda run=run: self._generated(run))  # type: ignore[misc]

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heappush(self._events, (time, next(self._order), act))

    def _fan_out(self, run: Run) -> None:
        for _ in range(min(MAX_CONCURRENCY, len(run.remaining))):
            self._next_batch(run)

    def _next_batch(self, run: Run) -> None:
        run.at_work += 1
        place = not self._is_first(run), run.arrives, next(self._order)
        heappush(self._waiting, (*place, run, run.remaining.pop(0)))

    def _generated(self, run: Run) -> None:
        self._free += 1
        self._at(self._now + SAVE, lambda: self._saved(run))

    def _saved(self, run: Run) -> None:
        run.at_work -= 1
        if run.remaining:
            self._next_batch(run)
        elif not run.at_work:
            run.ended = self._now + FINALIZE


BACK_OFF = "A refused batch waits longer each time, while a slot may be free: see the table of back-offs."

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
    best: list[list[Run]]

    def outcome(self, label: str) -> Outcome:
        """The p95 of the light users, relative to their p95 alone."""
        alone, after, before, best = (
            p95([run for run in chain(*repetitions) if _is_light(run)]) for repetitions in self
        )
        reason = (
            f"If each free slot went to a light user's next batch first, it would be {best / alone:.2f}×: no "
            "batch is interrupted for another one. The rest is the wait for an admission, and for the next "
            "try of a refused batch."
        )
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

    def both(
        self, build: Callable[[], list[Run]], until: float = float("inf")
    ) -> tuple[list[Run], list[Run]]:
        """The runs of a scenario after it, with the queue and without one."""
        after, before = build(), build()
        Simulation(Queue(self._engine, self.admit), after, until)
        Simulation(Nothing(), before, until)
        return after, before

    def outcomes(self, *names: str) -> Iterator[Outcome]:
        """The outcomes of scenarios, of all by default."""
        scenarios: Mapping[str, Callable[[], Sequence[Outcome]]] = {
            "at_once": self.at_once,
            "flooder": lambda: [self.flooder("500 roadmaps of one user", None)],
            "tenant": lambda: [self.flooder("500 roadmaps of 100 ids of one tenant", "t")],
            "sizes": lambda: [self.beside(self.of(50), 0.3, self.sizes).outcome(SIZES)],
            "large": self.one_large,
            "recovery": self.recovery,
            "steady": lambda: [self.steady(0.8), self.steady(0.95)],
            "heavy": lambda: [self.heavy()],
            "faults": self.faults,
            "promised": self.promised,
            "quota": self.quota,
            "first": lambda: [self.first_concept()],
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
        found = Beside([], [], [], [])
        for seed in range(ARRIVALS):

            def light(seed: int = seed) -> list[Run]:
                return self.stream(number, load, seed)

            alone, best = light(), [*others(), *light()]
            Simulation(Queue(self._engine, self.admit), alone)
            BestOrder(best, _is_light)
            after, before = self.both(lambda light=light: [*others(), *light()])  # type: ignore[misc]
            for runs, more in zip(found, (alone, after, before, best), strict=True):
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

    def one_large(self) -> list[Outcome]:
        """A roadmap of 3,000 concepts beside 100 small ones."""

        def small() -> list[Run]:
            return self.stream(self.of(100), 0.5, 2)

        def large() -> Run:
            return self.run("large", 0, concepts=3_000)

        alone, by_itself = small(), large()
        Simulation(Queue(self._engine), alone)
        Simulation(Queue(self._engine), [by_itself])
        after, before = self.both(lambda: [large(), *small()])
        ratio, ratio_before = (p95(runs[1:]) / p95(alone) for runs in (after, before))
        least = by_itself.response * SLOTS / sum(run.seconds for run in after)
        about = "3,000 concepts beside 100 small roadmaps: "
        return [
            Outcome(f"{about}the p95 of the small, of alone", ratio, 3, ratio_before),
            Outcome(
                f"{about}the time of all, of the ideal",
                makespan(after),
                1.03,
                makespan(before),
                reason=f"On an empty system, the large roadmap by itself takes {least:.2f}×, because it has "
                f"{MAX_CONCURRENCY} batches at the same time at most.",
            ),
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

    def first_concept(self) -> Outcome:
        """A roadmap and a concept, each on an empty system."""

        def ratio(admission: Callable[[], Admission]) -> float:
            roadmap, concept = self.run("u", 0), self.run("u", 0, concepts=1)
            for run in (roadmap, concept):
                Simulation(admission(), [run])
            return (roadmap.first_saved or 0) / (concept.first_saved or 1)

        about = "an empty system: the first complete concept of a roadmap, of a concept alone"
        return Outcome(about, ratio(lambda: Queue(self._engine)), 1.3, ratio(Nothing))

    def promised(self) -> list[Outcome]:
        """The promised starts of waiting attempts, compared with the real ones: 300 users within ten minutes,
        beside one with 100 roadmaps. Each minute, every tenth waiting attempt is asked for its place.
        """
        runs = [
            *(self.run("flooder", 0) for _ in range(self.of(100))),
            *self.stream(self.of(300), 5, 8),
        ]
        admission = Queue(self._engine)
        promises: list[tuple[Run, float, float, bool]] = []

        def ask(time: float) -> None:
            waiting = [run for run in runs if run.arrives <= time and run.started is None]
            for run, place in admission.places(waiting[::10], time).items():
                if place.starts_in_seconds is not None:
                    promises.append((run, time, place.starts_in_seconds, place.at_least))

        Simulation(admission, runs, each_minute=ask)
        long_ago = 10 * sum(batches_of(CONCEPTS)) / SLOTS
        errors = {False: [0.0, 0.0], True: [0.0, 0.0]}
        for run, time, promise, at_least in promises:
            real = (run.started or 0) - time
            if real >= long_ago:
                errors[at_least].append((promise - real) / real)
        about = "a promised start, more than ten admissions before it: "
        off = quantiles([abs(error) for error in errors[False]], n=20)[-1]
        late = quantiles(errors[True], n=20)[-1]
        return [
            Outcome(f"{about}95 % are off by at most", off, 0.1),
            Outcome(f"{about}95 % of `at_least` are later than the start by at most", late, 0.1),
        ]

    def steady(self, load: float) -> Outcome:
        """Steady load with bursts of ten, compared with first in, first out."""

        def build() -> list[Run]:
            runs = self.stream(self.of(400), load, 4)
            for start in range(0, len(runs), 40):
                for run in runs[start : start + 10]:
                    run.arrives = runs[start].arrives
            return runs

        after, before, fifo = build(), build(), build()
        Simulation(Queue(self._engine), after)
        Simulation(Nothing(), before)
        Simulation(FirstInFirstOut(), fifo)
        ratio, ratio_before = (p95(runs) / p95(fifo) for runs in (after, before))
        return Outcome(
            f"{load:.0%} load with bursts: the p95, of first in, first out", ratio, 1.15, ratio_before
        )

    def heavy(self) -> Outcome:
        """105 % load of new users beside one heavy user."""

        def build() -> list[Run]:
            runs = self.stream(self.of(400), 1.05, 5)
            return [*(self.run("heavy", run.arrives) for run in runs[:: len(runs) // 10][:10]), *runs]

        def ratio(runs: list[Run]) -> float:
            waits: dict[bool, float] = defaultdict(float)
            for run in runs:
                waits[run.user == "heavy"] = max(waits[run.user == "heavy"], run.wait)
            return waits[True] / waits[False] if waits[False] else 0

        after, before = self.both(build)
        about = "105 % load of new users beside a heavy one: "
        return Outcome(f"{about}its longest wait, of the others'", ratio(after), 3, ratio(before))

    def faults(self) -> list[Outcome]:
        """Wrong estimates, crashed runs and lost releases."""

        def build() -> list[Run]:
            chance = random.Random(6)  # noqa: S311 - a simulation
            users = {f"u{index}": chance.uniform(0.3, 3) for index in range(10)}
            # Each user has more work than a share of the hour.
            return [
                self.run(user, 0, factor=factor, release_is_lost=chance.random() < 0.05)
                for user, factor in users.items()
                for _ in range(self.of(int(60 / factor)))
            ]

        def jain(runs: list[Run]) -> float:
            used: dict[str, float] = {run.user: 0 for run in runs}
            for run in runs:
                used[run.user] += run.tokens if run.ended is not None else 0
            return sum(used.values()) ** 2 / (len(used) * sum(each**2 for each in used.values()))

        after, before = self.both(build, until=3_600)

        def faulty() -> list[Run]:
            chance = random.Random(7)  # noqa: S311 - a simulation
            return [
                self.run(
                    f"u{index}", 0, crashes=chance.random() < 0.1, release_is_lost=chance.random() < 0.05
                )
                for index in range(self.of(300))
            ]

        crashed, crashed_before = self.both(faulty)
        for run in chain(crashed, crashed_before):
            run.seconds = 0 if run.crashes else run.seconds
        return [
            Outcome(
                "estimates wrong by 0.3 to 3: Jain's index over an hour",
                jain(after),
                0.99,
                jain(before),
                "",
                at_least=True,
            ),
            Outcome(
                "10 % crash, 5 % of releases lost: the time of all, of the ideal",
                makespan(crashed),
                1.10,
                makespan(crashed_before),
                reason=f"A lost release holds its slots for {RELEASE_SECONDS:.0f} seconds.",
            ),
        ]


SIZES = "600 concepts and 1 of one user in turn, beside light users: their p95, of alone"


def show_rules(load: Load) -> None:
    """Scenarios without and with the limit of a user's grants to half of the slots."""
    rows: dict[str, list[str]] = {}
    for name in ("sizes", "flooder", "recovery"):
        with patch.object(load, "admit", ADMIT_ANY):
            before = list(load.outcomes(name))
        pairs = zip(before, load.outcomes(name), strict=True)
        rows |= {new.label: [f"{old.value:.2f}", f"{new.value:.2f}"] for old, new in pairs}
    show_table("A user's grants below half of the slots", ["before", "now"], rows)


def show_backoffs(engine: Engine) -> None:
    """The first scenario, smaller, with other back-offs: while a batch waits, its slot may be free."""
    rows = {}
    for rate, most in ((2.0, 600), (1.1, 600), (2.0, 5)):
        runs = [Run(index, f"u{index}", index * 0.3) for index in range(200)]
        retrier = {"IntervalSeconds": 2, "BackoffRate": rate, "MaxDelaySeconds": most}
        Simulation(Queue(engine), runs, retrier=retrier)
        throttled = sum(run.throttled for run in runs) / len(runs)
        rows[f"× {rate}, {most} s at most"] = [f"{makespan(runs):.2f}", f"{throttled:.0f}"]
    columns = ["the time of all, of the ideal", "throttled calls a run"]
    show_table("The back-off of refused invocations, 200 roadmaps at once", columns, rows)


def show_throughput() -> None:
    """The roadmaps per hour for slots that are always at work. Computed; nothing else limits them."""
    slots = (5, 10, 20, 50)
    rows = {
        f"{seconds} s": [f"{roadmaps_per_hour(each, seconds):.0f}" for each in slots]
        for seconds in (5, 10, 20, 40)
    }
    show_table("Roadmaps an hour, by slots and the seconds of an item", [f"{n} slots" for n in slots], rows)


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
            show_backoffs(database.engine)
            show_throughput()
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
    show_limits([each.as_limit for each in outcomes])


if __name__ == "__main__":
    main()
