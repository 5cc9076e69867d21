"""An attempt on a time axis, as lines of text. No I/O."""

from collections.abc import Iterator
from datetime import datetime
from statistics import median

from roadmap_content.api.attempt_timeline import AttemptTimeline, HistoryState
from roadmap_content.platform.timeline.axis import BatchOutcome, BatchSpan, Phase

WIDTH = 40
"""Characters of the axis."""

MOST_BATCHES, MOST_PARTS = 12, 24
"""Lines for batches, and for the longest path. The rest is counted."""

_WITHOUT = {
    HistoryState.PARTIAL: "only the first part of the execution's history was read",
    HistoryState.NOT_STARTED: "no execution was started",
    HistoryState.GONE: "Step Functions does not have the execution: the times of calls are not known",
    HistoryState.UNAVAILABLE: "Step Functions did not answer: the times of calls are not known",
}


def timeline_lines(timeline: AttemptTimeline, now: datetime) -> Iterator[str]:
    """The lines for a terminal of 80 columns or more."""
    axis = _Axis(timeline, now)
    state = timeline.outcome or "not ended"
    yield f"attempt {timeline.attempt} of {timeline.task_id}: {state}, {seconds_text(axis.seconds)}"
    yield f"  from {_moment(axis.start)} to {_moment(axis.end)}"
    if timeline.history in _WITHOUT:
        yield f"  {_WITHOUT[timeline.history]}"
    for phase in timeline.phases:
        yield axis.line(str(phase.kind), phase.started_at, phase.ended_at)
    for moment in timeline.redriven_at:
        yield axis.line("redriven", moment, moment)
    yield from _path_lines(axis, timeline.longest_path)
    if timeline.batches:
        yield from _batch_lines(axis, timeline)


def _path_lines(axis: "_Axis", path: list[Phase]) -> Iterator[str]:
    yield "longest path:"
    longest = sorted(path, key=lambda part: -axis.length(part.started_at, part.ended_at))[:MOST_PARTS]
    for part in sorted(longest, key=lambda part: part.started_at):
        name = str(part.kind) if part.batch is None else f"batch {part.batch} {part.kind}"
        calls = f" {part.tries}×" if part.tries > 1 else ""
        error = f"  {part.error}{calls}" if part.error else ""
        yield axis.line(name, part.started_at, part.ended_at) + error
    if len(path) > MOST_PARTS:
        yield f"  and {len(path) - MOST_PARTS} shorter parts"
    spent: dict[str, float] = {}
    for part in path:
        spent[part.kind] = spent.get(part.kind, 0) + axis.length(part.started_at, part.ended_at)
    shares = sorted(spent.items(), key=lambda each: -each[1])
    yield "  " + ", ".join(f"{kind} {seconds_text(each)}" for kind, each in shares)


def _batch_lines(axis: "_Axis", timeline: AttemptTimeline) -> Iterator[str]:
    batches = timeline.batches
    outcomes = [f"{sum(each.outcome is one for each in batches)} {one}" for one in BatchOutcome]
    yield f"batches: {len(batches)} ({', '.join(each for each in outcomes if not each.startswith('0 '))})"
    yield f"  calls throttled: {timeline.throttled}, retried: {timeline.retried}"
    timed = [batch for batch in batches if batch.started_at is not None]
    if not timed:
        return
    lengths = [axis.length(batch.started_at or axis.start, batch.ended_at) for batch in timed]
    yield f"  median {seconds_text(median(lengths))}, longest {seconds_text(max(lengths))}"
    shown = sorted(timed, key=lambda batch: _rank(batch, axis))[:MOST_BATCHES]
    for batch in sorted(shown, key=lambda batch: batch.started_at or axis.start):
        waits = [f"{each.kind} {each.tries}×" for each in batch.phases if each.kind in _WAITS]
        notes = [*([] if batch.outcome is BatchOutcome.SAVED else [str(batch.outcome)]), *waits]
        name = f"batch {batch.batch}"
        yield (
            axis.line(name, batch.started_at or axis.start, batch.ended_at) + "  " + ", ".join(notes)
        ).rstrip()
    if len(timed) > len(shown):
        yield f"  and {len(timed) - len(shown)} more batches: roadmap explain --json has all"


_WAITS = frozenset({"throttled", "stopped", "retry"})


def _rank(batch: BatchSpan, axis: "_Axis") -> tuple[bool, float]:
    """Lost and failed batches first, then the longest."""
    fine = batch.outcome in (BatchOutcome.SAVED, BatchOutcome.ENDED)
    return fine, -axis.length(batch.started_at or axis.start, batch.ended_at)


class _Axis:
    """The time from the claim to the end, on `WIDTH` characters."""

    def __init__(self, timeline: AttemptTimeline, now: datetime) -> None:
        self.start = timeline.claimed_at
        self.end = timeline.ended_at or max(now, self.start)
        self.seconds = (self.end - self.start).total_seconds()

    def length(self, start: datetime, end: datetime | None) -> float:
        """Seconds."""
        return max(0.0, ((end or self.end) - start).total_seconds())

    def line(self, name: str, start: datetime, end: datetime | None) -> str:
        """A name, its bar, and its beginning and length in seconds."""
        offset, length = self.length(self.start, start), self.length(start, end)
        scale = WIDTH / self.seconds if self.seconds else 0
        first = min(WIDTH - 1, int(offset * scale))
        cells = max(1, min(WIDTH - first, round(length * scale)))
        bar = "·" * first + "█" * cells + "·" * (WIDTH - first - cells)
        still = "" if end else " so far"
        return f"  {name:<24} {bar} {seconds_text(length)}{still} at +{seconds_text(offset)}"


def seconds_text(seconds: float) -> str:
    """A length of time: tenths below ten seconds, then seconds."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours} h" if hours else "", f"{minutes} min" if minutes else "", f"{rest} s" if rest else ""]
    return " ".join(filter(None, parts))


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
