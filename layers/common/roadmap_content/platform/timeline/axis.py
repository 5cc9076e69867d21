"""An attempt on a time axis: its phases and batches, and the longest path through them. No I/O.

The audit trail and the outbox have the claim, the admission, the end, and when each batch was saved. The
execution's history has the phases of each batch; without it, a batch has only its end.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import zip_longest
from typing import Annotated, NamedTuple

from pydantic import Field

from ...contracts.items import ContentType
from ...contracts.payloads import Count, Payload
from .visits import History, Visit


class PhaseKind(StrEnum):
    """The kind of a phase."""

    QUEUED = "queued"
    STARTING = "starting"
    PLAN = "plan"
    WORKING = "working"
    BATCHES = "batches"
    GENERATE = "generate"
    SAVE = "save"
    THROTTLED = "throttled"
    STOPPED = "stopped"
    RETRY = "retry"
    WAITING = "waiting"
    FINALIZE = "finalize"


class BatchOutcome(StrEnum):
    """How a batch ended."""

    SAVED = "saved"
    FAILED = "failed"
    """Some of its items were not saved."""

    LOST = "lost"
    """Nothing of it was saved: the function that saves it failed, after all its retries."""

    ABORTED = "aborted"
    RUNNING = "running"
    ENDED = "ended"
    """The outbox does not have it any more."""


class Phase(Payload):
    """A part of the time of an attempt, or of a batch."""

    kind: Annotated[
        PhaseKind,
        Field(
            description="`starting`: until the execution plans. `working`: planning and batches, if the "
            "history is not known. `throttled`: waited after the function was refused for want of "
            "concurrency. `stopped`: waited while an operator had stopped generation. `retry`: waited after "
            "another error. `waiting`: for a batch before it, or for a redrive."
        ),
    ]
    started_at: datetime
    ended_at: datetime | None
    batch: Count | None = None
    tries: Annotated[Count, Field(description="The calls that a wait follows, or 1.")] = 1
    error: Annotated[str | None, Field(description="The error of the call, or that a wait follows.")] = None


class BatchSpan(Payload):
    """A batch on the axis. A batch that a redrive repeats is there twice."""

    batch: Count
    outcome: BatchOutcome
    started_at: Annotated[datetime | None, Field(description="`null` if the history is not known.")]
    ended_at: datetime | None
    saved: Mapping[ContentType, Count]
    failed: Mapping[ContentType, Count]
    phases: list[Phase]


class Axis(Payload):
    """The time of an attempt."""

    phases: Annotated[list[Phase], Field(description="The phases, one after another, without gaps.")]
    batches: list[BatchSpan]
    longest_path: Annotated[
        list[Phase],
        Field(
            description="The phases, with the batches in whose place they are: those that decided when the "
            "attempt ended. Without gaps."
        ),
    ]
    redriven_at: list[datetime]
    throttled: Annotated[Count, Field(description="Calls that were refused for want of concurrency.")]
    retried: Annotated[Count, Field(description="Calls that were repeated after another error.")]
    lost: Annotated[Count, Field(description="Lost batches.")]


class BatchSaved(NamedTuple):
    """The items of one content type in a batch, as the outbox has them."""

    batch: int
    at: datetime
    content_type: ContentType
    saved: int
    failed: int


class Audit(NamedTuple):
    """An attempt in the audit trail and in the outbox."""

    claimed_at: datetime
    admitted_at: datetime | None
    """When it left the queue; `None` if it still waits, or has never waited."""

    is_waiting: bool
    ended_at: datetime | None
    is_recorded: bool
    """The outbox has the attempt: an older one's events were deleted."""

    saved: Sequence[BatchSaved]


_STATES: Mapping[str, PhaseKind] = {
    "Plan": PhaseKind.PLAN,
    "FanOut": PhaseKind.BATCHES,
    "Finalize": PhaseKind.FINALIZE,
    "Generate": PhaseKind.GENERATE,
    "Save": PhaseKind.SAVE,
}
"""The states that take time. AwaitRedrive runs between two attempts."""

_LOST = "BatchLost"
_WAITS: Mapping[str, PhaseKind] = {
    "Lambda.TooManyRequestsException": PhaseKind.THROTTLED,
    "GenerationStoppedError": PhaseKind.STOPPED,
}
"""The waits after errors that are none of the batch; others are retries."""

_SHORT = timedelta(seconds=1)
"""A failed call of less than this belongs to the wait that follows it."""


def axis_of(audit: Audit, history: History | None, now: datetime) -> Axis:
    """Put an attempt on the axis: of its execution, the time from the claim to the end, or to `now`."""
    end = audit.ended_at or now
    visits = [
        visit
        for visit in (history.visits if history else ())
        if (visit.state in _STATES or visit.state == _LOST)
        and visit.started_at < end
        and (visit.ended_at is None or visit.ended_at > audit.claimed_at)
    ]
    spans = _spans(visits, audit)
    phases = list(_top_level(visits, audit, is_known=history is not None))
    calls = [call for visit in visits for call in visit.tries]
    repeated = [call.error for visit in visits for call in visit.tries[:-1]]
    return Axis(
        phases=list(_filled(phases, audit)),
        batches=spans,
        longest_path=list(_filled(_longest_path(phases, spans, end), audit)),
        redriven_at=[
            moment for moment in (history.redriven_at if history else ()) if audit.claimed_at < moment < end
        ],
        throttled=sum(_WAITS.get(call.error) is PhaseKind.THROTTLED for call in calls),
        retried=sum(error not in _WAITS for error in repeated),
        lost=sum(span.outcome is BatchOutcome.LOST for span in spans),
    )


def _top_level(visits: Sequence[Visit], audit: Audit, *, is_known: bool) -> Iterator[Phase]:
    """The known phases of an attempt, in order."""
    if audit.is_waiting or audit.admitted_at is not None:
        yield Phase(kind=PhaseKind.QUEUED, started_at=audit.claimed_at, ended_at=audit.admitted_at)
    if not is_known and not audit.is_waiting:
        start = audit.admitted_at or audit.claimed_at
        yield Phase(kind=PhaseKind.WORKING, started_at=start, ended_at=audit.ended_at)
    for visit in visits:
        if visit.iteration is None:
            yield from _phases_of(visit)


def _phases_of(visit: Visit) -> list[Phase]:
    """The calls of a state's function, and the waits between them. Waits after equal errors are one."""
    work = _STATES.get(visit.state)
    if work is None:
        return []
    batch = None if visit.iteration is None else visit.batch
    phases: list[Phase] = []

    def add(kind: PhaseKind, start: datetime, end: datetime | None, error: str) -> None:
        tries = 1
        if kind is not work and phases and (phases[-1].kind, phases[-1].error) == (kind, error):
            last = phases.pop()
            start, tries = last.started_at, last.tries + 1
        phases.append(
            Phase(kind=kind, started_at=start, ended_at=end, batch=batch, tries=tries, error=error or None)
        )

    start, is_open = visit.started_at, visit.ended_at is None or visit.aborted
    for call, following in zip_longest(visit.tries, visit.tries[1:]):
        if following is None and not (call.error and is_open):
            break
        end = visit.ended_at if following is None else following.started_at
        if call.ended_at is not None and call.ended_at - call.started_at >= _SHORT:
            add(work, start, call.ended_at, call.error)
            start = call.ended_at
        add(_WAITS.get(call.error, PhaseKind.RETRY), start, end, call.error)
        if end is None or following is None:
            return phases
        start = end
    add(work, start, visit.ended_at, visit.tries[-1].error if visit.tries else "")
    return phases


def _spans(visits: Sequence[Visit], audit: Audit) -> list[BatchSpan]:
    """The batches, in the order in which they began; without a history, in that of their numbers."""
    saved: dict[int, list[BatchSaved]] = defaultdict(list)
    for each in audit.saved:
        saved[each.batch].append(each)
    inner = [visit for visit in visits if visit.iteration is not None]
    if not inner:
        return [
            _span(number, None, max(each.at for each in of_batch), of_batch, (), audit)
            for number, of_batch in sorted(saved.items())
        ]
    iterations: dict[int | None, list[Visit]] = defaultdict(list)
    for visit in inner:
        iterations[visit.iteration].append(visit)
    spans = [  # what was saved belongs to the last run of a batch
        _span(of[0].batch, of[0].started_at, _end_of(of), saved.pop(of[0].batch, ()), of, audit)
        for of in reversed(iterations.values())
    ]
    return spans[::-1]


def _end_of(visits: Sequence[Visit]) -> datetime | None:
    """The end of a batch's visits; `None` before the last of them has begun."""
    last = visits[-1]
    return last.ended_at if last.state != "Generate" or last.aborted else None


def _span(
    number: int,
    start: datetime | None,
    end: datetime | None,
    saved: Sequence[BatchSaved],
    visits: Sequence[Visit],
    audit: Audit,
) -> BatchSpan:
    if any(visit.state == _LOST for visit in visits):
        outcome = BatchOutcome.LOST
    elif end is None:
        outcome = BatchOutcome.RUNNING
    elif any(visit.aborted for visit in visits):
        outcome = BatchOutcome.ABORTED
    elif not saved:  # the function answers with its error if it could record nothing
        outcome = BatchOutcome.LOST if audit.is_recorded else BatchOutcome.ENDED
    else:
        outcome = BatchOutcome.FAILED if any(each.failed for each in saved) else BatchOutcome.SAVED
    return BatchSpan(
        batch=number,
        outcome=outcome,
        started_at=start,
        ended_at=end,
        saved={each.content_type: each.saved for each in saved},
        failed={each.content_type: each.failed for each in saved if each.failed},
        phases=[phase for visit in visits for phase in _phases_of(visit)],
    )


def _longest_path(phases: Sequence[Phase], spans: Sequence[BatchSpan], end: datetime) -> Iterator[Phase]:
    """The phases, with the chain of batches that ended last in the place of all batches."""
    for phase in phases:
        if phase.kind is not PhaseKind.BATCHES:
            yield phase
            continue
        until = phase.ended_at or end
        within = [span for span in spans if span.started_at and phase.started_at <= span.started_at <= until]
        for span in _chain(within, end):
            yield from span.phases


def _chain(spans: Sequence[BatchSpan], end: datetime) -> list[BatchSpan]:
    """The batch that ended last, before it the batch whose end let it start, and so on; in order.

    A batch starts when another one ends if as many run as may run at the same time.
    """
    by_end = sorted(spans, key=lambda span: span.ended_at or end)
    ends = [span.ended_at or end for span in by_end]
    chain: list[BatchSpan] = []
    position = len(by_end) - 1
    while position >= 0:
        span = by_end[position]
        chain.append(span)
        start = span.started_at or end
        position = min(position, bisect_right(ends, start)) - 1
    return chain[::-1]


def _filled(phases: Iterable[Phase], audit: Audit) -> Iterator[Phase]:
    """The phases from the claim to the end, cut where they overlap, with waits in the gaps."""
    end, at = audit.ended_at, audit.claimed_at
    planned = False
    for phase in phases:
        if (phase.ended_at is not None and phase.ended_at <= at) or (
            end is not None and phase.started_at >= end
        ):
            continue
        if phase.started_at > at:
            yield Phase(
                kind=PhaseKind.WAITING if planned else PhaseKind.STARTING,
                started_at=at,
                ended_at=phase.started_at,
            )
        planned = planned or phase.kind is not PhaseKind.QUEUED
        stop = phase.ended_at if end is None or (phase.ended_at and phase.ended_at <= end) else end
        yield phase.model_copy(update={"started_at": max(phase.started_at, at), "ended_at": stop})
        if stop is None:
            return
        at = stop
    if end is None or at < end:
        yield Phase(kind=PhaseKind.WAITING if planned else PhaseKind.STARTING, started_at=at, ended_at=end)
