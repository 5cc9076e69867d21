"""A schedule of two processes, and the scheduler that plays it."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

from sqlalchemy import Engine, text

from tests.schedules.actors import ACTORS
from tests.schedules.process import Process
from tests.schedules.situations import SITUATIONS

BLOCKED_BY = text("SELECT pg_blocking_pids(:pid)")

NOT_ARRIVED_SECONDS = 0.004
"""A process that has not arrived after this time may wait for a lock. Longer than `deadlock_timeout`."""

MOST_STEPS = 400


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
    """Two actors in a situation: `failed/redrive.16/retry` means that redrive does 16 steps, then retry goes
    on to its end, then redrive. An actor that must wait for the other one gives it its turn. With `!`, the
    first actor's process ends there.
    """

    situation: str
    first: Turn
    second: Turn

    def __str__(self) -> str:
        """The text from which `parse` makes it."""
        return f"{self.situation}/{self.first}/{self.second}"

    @classmethod
    def parse(cls, schedule: str) -> Self:
        """Read a schedule's text.

        Raises:
            InvalidScheduleError: it has another form.
        """
        try:
            situation, first, second = schedule.split("/")
            parsed = cls(situation, _turn(first), _turn(second))
        except ValueError as error:
            raise InvalidScheduleError(f"{schedule!r} is not like failed/redrive.16/retry") from error
        if situation not in SITUATIONS or not {parsed.first.actor, parsed.second.actor} <= ACTORS.keys():
            raise InvalidScheduleError(f"{schedule!r} names no situation, or no actor")
        return parsed

    def stopped(self, steps: int, *, crash: bool = False) -> "Schedule":
        """The same, with the first actor stopped after some steps."""
        return replace(self, first=replace(self.first, steps=steps, crash=crash))


def _turn(given: str) -> Turn:
    actor, _, steps = given.removesuffix("!").partition(".")
    return Turn(actor, int(steps) if steps else None, given.endswith("!"))


class Step(NamedTuple):
    """One step that was done: by the first (0) or the second process (1)."""

    process: int
    label: str


class Scheduler:
    """Lets one of two processes go on at a time."""

    def __init__(self, processes: tuple[Process, Process], aside: Engine) -> None:
        self._processes = processes
        self._aside = aside

    def play(self, schedule: Schedule) -> list[Step]:
        """Let both processes, which have begun, end in the schedule's order; return their steps in order.

        Raises:
            EndlessError: they do not end.
        """
        trace: list[Step] = []
        limits = [schedule.first.steps, schedule.second.steps]
        current = 0
        while not all(process.ended for process in self._processes):
            process, other = self._processes[current], self._processes[1 - current]
            if process.ended or process.moving:
                current = 1 - current
                continue
            if len(process.steps) == limits[current]:
                limits[current] = None
                if current == 0 and schedule.first.crash:
                    process.kill()
                    trace.append(Step(current, "the process ends"))
                    self._wait()
                if not other.ended:
                    current = 1 - current
                continue
            trace.append(Step(current, process.next))
            process.let_go()
            self._wait()
            if process.moving:
                trace.append(Step(current, "… waits for the other one"))
            if process.sleeps and not other.ended:
                current = 1 - current
            if len(trace) > MOST_STEPS:
                raise EndlessError("the processes do not end")
        return trace

    def _wait(self) -> None:
        """Wait until each process has stopped or ended, or is blocked by the other one, which has stopped."""
        first, second = self._processes
        while True:
            moving = [
                process for process in self._processes if not process.arrives_within(NOT_ARRIVED_SECONDS)
            ]
            if not moving:
                return
            if len(moving) == 1:
                other = second if moving[0] is first else first
                if not other.ended and other.pid in self._blocking(moving[0].pid):
                    return

    def _blocking(self, pid: int) -> list[int]:
        with self._aside.connect() as connection:
            return list(connection.scalar(BLOCKED_BY, {"pid": pid}) or ())
