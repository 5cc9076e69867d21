"""A run with known times: the events of its history, as Step Functions would record them.

Emulated from documentation (HistoryEvent): a retry schedules the Task again, a caught error exits the state,
and a redrive schedules the failed Task again without entering its state.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

THROTTLE = "Lambda.TooManyRequestsException"
START = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


@dataclass
class Event:
    """An event of a history, before it has a number."""

    at: float
    type: str
    previous: "Event | None"
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class TimedRun:
    """Composes a history. Times are seconds since `START`."""

    events: list[Event] = field(default_factory=list)
    saved_at: dict[int, float] = field(default_factory=dict)
    """When the batches of the last Map were saved."""

    after: dict[int, int] = field(default_factory=dict)
    """The batch whose end let a batch of the last Map start."""

    last: Event | None = None
    """The last event on the top level."""

    def add(self, at: float, kind: str, previous: Event | None, **details: Any) -> Event:
        """An event at a time."""
        event = Event(at, kind, previous, details)
        self.events.append(event)
        return event

    def enter(self, at: float, state: str, previous: Event | None) -> Event:
        """Enter a Task."""
        return self.add(at, "TaskStateEntered", previous, stateEnteredEventDetails={"name": state})

    def call(self, at: float, seconds: float, previous: Event | None, error: str = "") -> tuple[float, Event]:
        """One call of a function; return its end."""
        scheduled = self.add(
            at, "TaskScheduled", previous,
            taskScheduledEventDetails={
                "resourceType": "lambda", "resource": "invoke", "region": "eu-central-1", "parameters": "{}"
            },
        )  # fmt: skip
        about = {"resourceType": "lambda", "resource": "invoke"}
        started = self.add(at, "TaskStarted", scheduled, taskStartedEventDetails=about)
        kind, name = ("TaskFailed", "taskFailed") if error else ("TaskSucceeded", "taskSucceeded")
        details = about | ({"error": error} if error else {})
        ended = self.add(at + seconds, kind, started, **{f"{name}EventDetails": details})
        return at + seconds, ended

    def leave(self, at: float, state: str, previous: Event | None) -> Event:
        """Exit a Task."""
        return self.add(at, "TaskStateExited", previous, stateExitedEventDetails={"name": state})

    def task(self, at: float, state: str, seconds: float) -> float:
        """A Task on the top level; return its end."""
        entered = self.enter(at, state, self.last)
        end, called = self.call(at, seconds, entered)
        self.last = self.leave(end, state, called)
        return end

    def fan_out(
        self,
        at: float,
        seconds: Mapping[int, float],
        slots: int,
        throttles: Mapping[int, int],
        lost: int | None = None,
    ) -> float:
        """A Map over batches, each of which generates for its seconds and saves in one; return its end."""
        self.saved_at, self.after = {}, {}
        entered = self.add(at, "MapStateEntered", self.last, stateEnteredEventDetails={"name": "FanOut"})
        begun = self.add(at, "MapStateStarted", entered, mapStateStartedEventDetails={"length": len(seconds)})
        free: list[tuple[float, int]] = [(at, -1)] * slots
        end, last = at, begun
        for batch, generating in seconds.items():
            start, before = heapq.heappop(free)
            self.after[batch] = before
            ended_at, ended = self._batch(start, batch, generating, throttles.get(batch, 0), begun, lost)
            heapq.heappush(free, (ended_at, batch))
            if ended_at > end:
                end, last = ended_at, ended
        succeeded = self.add(end, "MapStateSucceeded", last)
        self.last = self.add(end, "MapStateExited", succeeded, stateExitedEventDetails={"name": "FanOut"})
        return end

    def _batch(
        self, at: float, batch: int, generating: float, throttles: int, begun: Event, lost: int | None
    ) -> tuple[float, Event]:
        iteration = {"name": "FanOut", "index": batch}
        event = self.add(at, "MapIterationStarted", begun, mapIterationStartedEventDetails=iteration)
        event = self.enter(at, "Generate", event)
        for _ in range(throttles):
            at, event = self.call(at, 0.02, event, THROTTLE)
            at += 2
        at, event = self.call(at, generating, event)
        event = self.leave(at, "Generate", event)
        event = self.enter(at, "Save", event)
        if batch == lost:
            for wait in (2, 4, 0):
                at, event = self.call(at, 0.5, event, "Lambda.Unknown")
                at += wait
            event = self.leave(at, "Save", event)
            event = self.add(at, "PassStateEntered", event, stateEnteredEventDetails={"name": "BatchLost"})
            event = self.add(at, "PassStateExited", event, stateExitedEventDetails={"name": "BatchLost"})
        else:
            self.saved_at[batch] = at + 0.9  # in the transaction, before the function answers
            at, event = self.call(at, 1, event)
            event = self.leave(at, "Save", event)
        ended = self.add(at, "MapIterationSucceeded", event, mapIterationSucceededEventDetails=iteration)
        return at, ended

    def longest_chain(self) -> list[int]:
        """The batches of the last Map, each of which started when the one before it ended, up to the last
        one that ended.
        """
        batch = max(self.saved_at, key=lambda each: self.saved_at[each])
        chain = []
        while batch >= 0:
            chain.append(batch)
            batch = self.after[batch]
        return chain[::-1]

    def history(self) -> list[dict[str, Any]]:
        """The events of GetExecutionHistory."""
        order = sorted(range(len(self.events)), key=lambda position: (self.events[position].at, position))
        number = {id(self.events[position]): count for count, position in enumerate(order, start=1)}
        return [
            {
                "id": number[id(event)],
                "previousEventId": 0 if event.previous is None else number[id(event.previous)],
                "type": event.type,
                "timestamp": moment(event.at),
                **event.details,
            }
            for event in (self.events[position] for position in order)
        ]


def moment(seconds: float) -> datetime:
    """A time of the run, in milliseconds as Step Functions has them."""
    return START + timedelta(milliseconds=round(seconds * 1000))
