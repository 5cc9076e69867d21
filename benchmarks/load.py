"""`make load`: a thousand roadmaps at once, and other loads, through the queue.

The admission is the real one, on PostgreSQL. Step Functions, the concurrency of Lambda and the model are
simulated in virtual time: an event takes place at its time, and no time passes in between.

Ten slots; a roadmap has 30 concepts unless a scenario says otherwise. An item takes the time of a model: a
tutorial 35 seconds, a quiz 15, resources 8. The batches are those that Plan makes, and an invocation
generates as many items at the same time as the product does. A refused invocation is repeated with the
back-off of the state machine's definition. The admission, the charges and their corrections are the product's
own statements on PostgreSQL. *Alone* is the same load without the other one, and *ideal* the time in which
the slots could do the work without a gap. Light users and people arrive at random: twice, with other
times, and p95 is that of all of their runs. *The model's quota as the bottleneck*: 1 and 40 roadmaps share
100,000 and 400,000 tokens per minute; and one person's three roadmaps, one after another, share 400,000 with
30 others. The pace, the calls and the shared bucket are the product's own. A server implements Converse over
HTTP, with answers after 15 seconds (varied by a third), and counts as Bedrock documents it. It holds 20
seconds of the quota (emulated: Bedrock does not document this), and is full at first. *Used* is what calls
had taken when the last one started, of the quota until then.
"""

import json
import logging
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from itertools import chain, count, pairwise, product
from statistics import quantiles
from typing import NamedTuple
from unittest.mock import patch

from sqlalchemy import Connection, Engine, text

from documents.cost import seconds_of
from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.manifest import generation_order, planned_batch_size
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.states import Cause, QueueClass, QueueState
from roadmap_content.platform.runtime.log import logger
from roadmap_content.state.queue import queue
from roadmap_content.state.queue.capacity import TOKENS_PER_ITEM, Work, lock_capacity, work_of
from roadmap_content.state.tasks.attempts import AttemptStart, NewAttempt
from tests.support.factories import concept_ids

from . import quota
from .database import own_database
from .report import Limit, arguments_of, show_limits, show_machine

TYPES = (ContentType.TUTORIAL, ContentType.RESOURCES, ContentType.QUIZ)

SECONDS = (35.0, 8.0, 15.0)
"""Of an item of each type."""

PLAN, SAVE, FINALIZE = 2.0, 1.0, 2.0
DAY = 24 * 3_600.0
SLOTS = 10
CONCEPTS = 30
QUOTAS = {1: 100_000, 40: 400_000}
"""Roadmaps that are generated at the same time, and the model's quota in tokens per minute."""

ARRIVALS = 2
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
    size = planned_batch_size(concepts, 0, BATCH_SIZE)
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

STATES = text("SELECT count(*) || ' ' || state FROM content_queue WHERE state <> 'ended' GROUP BY state")

AGE = text("""
UPDATE content_queue SET enqueued_at = enqueued_at - interval '1 day' WHERE task_id = ANY(:tasks)
""")


class Queue:
    """The product's admission. A method returns the runs that start now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._runs: dict[str, Run] = {}
        self._recent: deque[Run] = deque()
        self._changed = False
        """Whether a sweep could admit a run: every claim and every end has admitted those that it could."""
        with engine.begin() as connection:
            connection.execute(RESET)
            connection.execute(text("UPDATE content_capacity SET slots = :slots"), {"slots": SLOTS})

    def claim(self, run: Run) -> Sequence[Run]:
        """A run arrives."""
        task_id = str(run.number)
        self._runs[task_id] = run
        items = len(TYPES) * run.concepts
        work = work_of(items, run.concepts, BATCH_SIZE, MAX_CONCURRENCY)
        with self._engine.begin() as connection:
            connection.execute(TASK, {"id": task_id, "user": run.user})
            connection.execute(ATTEMPT, {"id": task_id})
            self._age(connection, run.arrives)
            self._recent.append(run)
            cause = Cause.RECOVERY if run.queue_class is QueueClass.BULK else Cause.RETRY
            new = NewAttempt(task_id, 1, f"arn:{task_id}", AttemptStart(f"user:{run.user}", cause))
            with patch.object(queue, "ADMIT", ADMIT):
                return self._runs_of(queue.enqueue(connection, new, QueueState.WAITING, work))

    def planned(self, run: Run) -> None:
        """A run has its batches."""
        items = len(TYPES) * run.concepts
        work = Work(items * TOKENS_PER_ITEM, min(MAX_CONCURRENCY, len(run.remaining)))
        with self._engine.begin() as connection:
            queue.record_running(connection, str(run.number), 1, f"arn:{run.number}", work)
        self._changed = True

    def end(self, run: Run) -> Sequence[Run]:
        """A run has ended."""
        with self._engine.begin() as connection:
            connection.execute(USED, {"id": str(run.number), "tokens": run.tokens})
            queue.release(connection, str(run.number), 1)
            lock_capacity(connection)
            return self._admit(connection, run.ended or 0)

    def sweep(self, now: float) -> Sequence[Run]:
        """The sweep of each minute."""
        with self._engine.begin() as connection:
            self._age(connection, now)
            if not self._changed:
                return []
            lock_capacity(connection)
            return self._admit(connection, now)

    def states(self) -> Sequence[str]:
        """The states of the queue's entries, with their numbers."""
        with self._engine.connect() as connection:
            return connection.scalars(STATES).all()

    def _admit(self, connection: Connection, now: float) -> list[Run]:
        self._age(connection, now)
        self._changed = False
        with patch.object(queue, "ADMIT", ADMIT):
            return self._runs_of(queue.admit(connection, 100))

    def _age(self, connection: Connection, now: float) -> None:
        aged = []
        while self._recent and self._recent[0].arrives <= now - 60 * queue.RECENT_MINUTES:
            aged.append(str(self._recent.popleft().number))
        if aged:
            connection.execute(AGE, {"tasks": aged})
            self._changed = True

    def _runs_of(self, admitted: Sequence[queue.Admitted]) -> list[Run]:
        return [self._runs[one.task_id] for one in admitted]


class Simulation:
    """Runs in virtual time."""

    def __init__(
        self,
        admission: Queue,
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
    """Runs of light users alone, and with others beside them: a list for each repetition."""

    alone: list[list[Run]]
    together: list[list[Run]]

    def outcome(self, label: str) -> Limit:
        """The p95 of the light users, relative to their p95 alone."""
        alone, together = (
            p95([run for run in chain(*repetitions) if _is_light(run)]) for repetitions in self
        )
        reason = "No batch is interrupted for another one; and the wait for an admission."
        return Limit(label, together / alone, 1.5, reason=reason)


def _is_light(run: Run) -> bool:
    """Whether a run is one of `Load.stream`."""
    return run.user.startswith("s")


class Load:
    """Builds the runs of the scenarios, and simulates them."""

    def __init__(self, engine: Engine, share: float) -> None:
        self._engine = engine
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

    def outcomes(self) -> Iterator[Limit]:
        """The outcomes of all scenarios."""
        yield from self.at_once()
        yield self.beside(self.of(50), 0.3, self.flood).outcome(FLOOD)
        yield self.beside(self.of(50), 0.3, self.sizes).outcome(SIZES)
        yield from self.recovery()
        yield from self.quota()

    def quota(self) -> list[Limit]:
        """The model's quota as the bottleneck."""
        return [
            outcome
            for roadmaps, tokens_per_minute in QUOTAS.items()
            for outcome in self._quota(max(1, int(roadmaps * self._share)), tokens_per_minute)
        ] + [quota.person_beside_others(self._engine)]

    def _quota(self, roadmaps: int, tokens_per_minute: int) -> list[Limit]:
        run = quota.measure(self._engine, roadmaps, tokens_per_minute)
        assert not run.lost, run.lost  # noqa: S101 - a lost item is a defect, not a measurement
        about = f"the model's quota as the bottleneck, {roadmaps} at once: "
        return [
            Limit(f"{about}the quota used", run.used, 0.97, "", at_least=True),
            Limit(f"{about}calls throttled, of all", run.throttled, 0.01, ""),
            Limit(f"{about}tokens wasted", run.wasted, 0, ""),
        ]

    def at_once(self) -> list[Limit]:
        """1,000 roadmaps of 1,000 users at once."""
        number = self.of(1_000)
        runs = [self.run(f"u{index}", index * 60 / number) for index in range(number)]
        Simulation(Queue(self._engine), runs)
        about = "1,000 roadmaps at once: "
        longest = max((run.ended or 0) - (run.started or 0) for run in runs) / TIMEOUT
        return [
            Limit(f"{about}the time of all, of the ideal", makespan(runs), 1.04, reason=BACK_OFF),
            Limit(f"{about}throttled calls a run", sum(run.throttled for run in runs) / number, 100, ""),
            Limit(f"{about}runs that time out", sum(run.timed_out for run in runs), 0, ""),
            Limit(f"{about}the longest run, of its timeout", longest, 0.5),
        ]

    def beside(self, number: int, load: float, others: Callable[[], list[Run]]) -> "Beside":
        """Light users beside other runs, with several arrivals at random."""
        found = Beside([], [])
        for seed in range(ARRIVALS):
            alone = self.stream(number, load, seed)
            together = [*others(), *self.stream(number, load, seed)]
            for runs, repetitions in zip((alone, together), found, strict=True):
                Simulation(Queue(self._engine), runs)
                repetitions.append(runs)
        return found

    def flood(self) -> list[Run]:
        """500 roadmaps of one user."""
        return [self.run("f", 0) for _ in range(self.of(500))]

    def sizes(self) -> list[Run]:
        """One user's roadmaps of 600 concepts and of one, in turn, a minute apart, after ten minutes."""
        return [
            self.run("f", 600 + 60 * turn, concepts=1 if turn % 2 else 600) for turn in range(self.of(40))
        ]

    def recovery(self) -> list[Limit]:
        """A recovery of 1,000 tasks beside interactive runs at 60 % load."""

        def bulk() -> list[Run]:
            return [self.run(f"b{index}", 0, queue_class=QueueClass.BULK) for index in range(self.of(1_000))]

        found = self.beside(self.of(300), 0.6, bulk)
        alone_run = sum(batches_of(CONCEPTS))
        pause = max(map(longest_pause, found.together))
        about = "a recovery of 1,000 tasks beside people: "
        return [
            found.outcome(f"{about}the p95 of the people, of alone"),
            Limit(f"{about}its longest pause, of a run on one slot", pause / alone_run, 5),
        ]


FLOOD = "500 roadmaps of one user beside light users: their p95, of alone"
SIZES = "600 concepts and 1 of one user in turn, beside light users: their p95, of alone"


def main() -> None:
    """Simulate and print."""
    is_short = arguments_of(__doc__ or "").short
    logging.getLogger(logger.name or "").disabled = True
    with own_database() as database:
        # The time of a COMMIT is not measured.
        database.administer(["ALTER SYSTEM SET synchronous_commit = off", "SELECT pg_reload_conf()"])
        outcomes = []
        load = Load(database.engine, 0.1 if is_short else 1)
        for each in load.outcomes():
            print(f"{each.label}: {each.value:.3f} (limit {each.limit})", file=sys.stderr)  # noqa: T201
            outcomes.append(each)
    show_machine("SQLAlchemy")
    show_limits(outcomes, room=1.0 if is_short else None)


if __name__ == "__main__":
    main()
