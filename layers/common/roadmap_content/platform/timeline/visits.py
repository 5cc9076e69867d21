"""The visits of an execution's states, from the events of its history. No I/O.

`previous` of an event is the one before it in the same iteration of the Map, or on the top level. Its chain
ends at the start of the iteration, which has the number of the batch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

ENDED = frozenset({"ExecutionAborted", "ExecutionFailed", "ExecutionSucceeded", "ExecutionTimedOut"})
"""The events with which an execution, or its part before a redrive, ends."""

_FAILED = frozenset({"TaskFailed", "TaskStartFailed", "TaskSubmitFailed", "TaskTimedOut"})


class HistoryEvent(NamedTuple):
    """An event of an execution's history, without its data."""

    id: int
    previous: int
    type: str
    time: datetime
    name: str = ""
    """The state that is entered."""

    batch: int = 0
    """The number of the batch whose iteration starts."""

    error: str = ""


@dataclass
class Try:
    """One call of a state's function."""

    started_at: datetime
    ended_at: datetime | None = None
    error: str = ""


@dataclass
class Visit:
    """One visit of a state."""

    state: str
    started_at: datetime
    ended_at: datetime | None = None
    iteration: int | None = None
    """The event that started the iteration of the Map; `None` on the top level."""

    batch: int = 0
    """The number of the iteration's batch."""

    tries: list[Try] = field(default_factory=list)
    aborted: bool = False
    """The execution ended during the visit."""


class History(NamedTuple):
    """An execution's history, by states."""

    visits: list[Visit]
    """In the order in which they began."""

    redriven_at: list[datetime]
    is_whole: bool = True
    """False if the history has further events, which were not read."""


class _Place(NamedTuple):
    """The place of an event: the iteration and the visit to which it belongs."""

    iteration: int | None = None
    batch: int = 0
    visit: Visit | None = None


def history_of(events: Iterable[HistoryEvent], *, is_whole: bool = True) -> History:
    """Find the visits of states in the events of an execution, oldest first."""
    reader = _Reader()
    for event in events:
        reader.read(event)
    return History(reader.visits, reader.redriven_at, is_whole)


class _Reader:
    def __init__(self) -> None:
        self.visits: list[Visit] = []
        self.redriven_at: list[datetime] = []
        self._places: dict[int, _Place] = {}
        self._map = _Place()
        """The last visit of the Map."""

        self._unfinished: _Place = _Place()
        """The top-level visit during which the execution ended: a redrive repeats it."""

    def read(self, event: HistoryEvent) -> None:
        """Take the next event."""
        place = self._places.get(event.previous, _Place())
        kind, time = event.type, event.time
        if kind == "MapIterationStarted":
            if self._map.visit is None or self._map.visit.ended_at is not None:
                # Redriven, without being entered again.
                self._map = _Place(visit=self._enter(_Place(), "FanOut", time))
            place = _Place(event.id, event.batch)
        elif kind == "MapStateEntered":
            place = self._map = _Place(visit=self._enter(_Place(), event.name, time))
        elif kind.startswith("MapState"):
            # After the last iteration. What follows is on the top level.
            place = self._map
            if kind == "MapStateExited":
                _close(place.visit, time)
        elif kind.endswith("StateEntered"):
            place = place._replace(visit=self._enter(place, event.name, time))
        elif kind.endswith("StateExited"):
            _close(place.visit, time)
        elif kind == "TaskScheduled":
            place = self._scheduled(place, time)
        elif kind == "TaskSucceeded" or kind in _FAILED:
            if place.visit is not None and place.visit.tries:
                last = place.visit.tries[-1]
                last.ended_at, last.error = time, event.error
        elif kind in ENDED:
            self._end(time)
        elif kind == "ExecutionRedriven":
            self.redriven_at.append(time)
            place = self._unfinished
        self._places[event.id] = place

    def _enter(self, place: _Place, state: str, time: datetime) -> Visit:
        visit = Visit(state, time, iteration=place.iteration, batch=place.batch)
        self.visits.append(visit)
        return visit

    def _scheduled(self, place: _Place, time: datetime) -> _Place:
        visit = place.visit
        if visit is None:
            return place
        if visit.ended_at is not None:  # redriven, without being entered again
            visit = self._enter(place, visit.state, time)
        visit.tries.append(Try(time))
        return place._replace(visit=visit)

    def _end(self, time: datetime) -> None:
        for visit in self.visits:
            if visit.ended_at is not None:
                continue
            visit.ended_at, visit.aborted = time, True
            if visit.tries and visit.tries[-1].ended_at is None:
                visit.tries[-1].ended_at = time
            if visit.iteration is None:
                self._unfinished = _Place(visit=visit)


def _close(visit: Visit | None, time: datetime) -> None:
    if visit is not None:
        visit.ended_at = time
