"""A schedule of two or three processes, and the scheduler that plays it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Engine, text

from tests.schedules.actors import ACTORS
from tests.schedules.process import Process, Step
from tests.schedules.situations import SITUATIONS

IS_OPEN = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
BLOCKED_BY = text("SELECT pg_blocking_pids(:pid)")

NOT_ARRIVED_SECONDS = 0.004
"""A process that has not arrived after this time may wait for a lock."""

MOST_STEPS = 400

MOST_ACTORS = 3


class EndlessError(Exception):
    """The processes did not end."""


class InvalidScheduleError(ValueError):
    """The text is not a schedule."""


@dataclass(frozen=True)
class Turn:
    """An actor, which is stopped after some steps; `None` lets it end."""

    actor: str
    steps: int | None = None
    crash: bool = False

    def __str__(self) -> str:
        """As in a schedule's text."""
        return self.actor + ("" if self.steps is None else f".{self.steps}") + "!" * self.crash


@dataclass(frozen=True)
class Schedule:
    """Actors in a situation: `failed/redrive.16/retry` means that redrive does 16 steps, then retry goes on
    to its end, then redrive. After the last actor, it is the first one's turn again. An actor that must wait
    for another one gives the next one its turn. With `!`, an actor's process ends there.
    """

    situation: str
    turns: tuple[Turn, ...]

    def __str__(self) -> str:
        """The text from which `parse` makes it."""
        return "/".join([self.situation, *map(str, self.turns)])

    @classmethod
    def parse(cls, schedule: str) -> Self:
        """Read a schedule's text.

        Raises:
            InvalidScheduleError: it has another form.
        """
        try:
            situation, *given = schedule.split("/")
            turns = tuple(_turn(turn) for turn in given)
        except ValueError as error:
            raise InvalidScheduleError(f"{schedule!r} is not like failed/redrive.16/retry") from error
        if not 2 <= len(turns) <= MOST_ACTORS:
            raise InvalidScheduleError(f"{schedule!r} has not 2 to {MOST_ACTORS} actors")
        if situation not in SITUATIONS or not {turn.actor for turn in turns} <= ACTORS.keys():
            raise InvalidScheduleError(f"{schedule!r} names no situation, or no actor")
        return cls(situation, turns)

    def stopped(self, *steps: int, crash: bool = False) -> "Schedule":
        """The same, with the first actors stopped after some steps."""
        stopped = [Turn(turn.actor, after, crash) for turn, after in zip(self.turns, steps, strict=False)]
        return Schedule(self.situation, (*stopped, *self.turns[len(steps) :]))


def _turn(given: str) -> Turn:
    actor, _, steps = given.removesuffix("!").partition(".")
    return Turn(actor, int(steps) if steps else None, given.endswith("!"))


class Scheduler:
    """Lets one of several processes go on at a time."""

    def __init__(self, processes: Sequence[Process], aside: Engine) -> None:
        self._processes = processes
        self._aside = aside

    def play(self, schedule: Schedule, trace: list[Step]) -> None:
        """Let the processes, which have begun, end in the schedule's order, and complete their trace.

        Raises:
            EndlessError: they do not end.
        """
        limits = [turn.steps for turn in schedule.turns]
        current = 0
        while not all(process.ended for process in self._processes):
            process, following = self._processes[current], (current + 1) % len(limits)
            if process.ended or process.moving:
                current = following
                continue
            limit = limits[current]
            if len(process.steps) == limit:
                limits[current] = None
                if schedule.turns[current].crash:
                    process.kill()
                    self._await_end_of_session(process.pid)
                    trace.append(Step(current, "the process ends"))
                    self._wait(process)
                current = following
                continue
            # Beside a process that waits for a lock, one step: it may release the lock.
            several = MOST_STEPS if limit is None else limit - len(process.steps)
            process.let_go(1 if any(other.moving for other in self._processes) else several)
            self._wait(process)
            if process.moving:
                process.must_stop()
                trace.append(Step(current, "… waits for another one"))
            if process.sleeps:
                current = following
            if len(trace) > MOST_STEPS:
                raise EndlessError("the processes do not end")

    def _wait(self, let_go: Process) -> None:
        """Wait until each process has stopped or ended, or is blocked, in the end by one that has stopped."""
        seconds = dict.fromkeys(self._processes, 0.0) | {let_go: NOT_ARRIVED_SECONDS}
        while True:
            done = len(let_go.steps)
            moving = [process for process in self._processes if not process.arrives_within(seconds[process])]
            if not moving:
                return
            if len(let_go.steps) > done:
                continue
            blocked = {process.pid: self._blocking(process.pid) for process in moving}
            holders = {process.pid for process in self._processes if not process.moving and not process.ended}
            while more := {pid for pid, by in blocked.items() if by & holders} - holders:
                holders |= more
            if all(by & holders for by in blocked.values()):
                return
            seconds = {process: 2 * seconds[process] or NOT_ARRIVED_SECONDS for process in self._processes}

    def _await_end_of_session(self, pid: int) -> None:
        """Wait for PostgreSQL's own end of a session: until then, it holds locks."""
        is_open = True
        while is_open:
            with self._aside.connect() as connection:
                is_open = bool(connection.scalar(IS_OPEN, {"pid": pid}))

    def _blocking(self, pid: int) -> set[int]:
        with self._aside.connect() as connection:
            return set(connection.scalar(BLOCKED_BY, {"pid": pid}) or ())
