"""The display of a task: progress bars during a run; a table and the reasons afterwards."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta

from rich.console import Console, ConsoleOptions, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Column, Table
from rich.text import Text

from roadmap_command.terminal import Terminal
from roadmap_content.contracts.api.capacity import GenerationStop, QueuePlace
from roadmap_content.contracts.api.tasks import FailedItem, TaskDetail, TaskStatus
from roadmap_content.contracts.api.turn import Turn
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.states import Who

_STYLES = {"completed": "green", "partial_failure": "yellow", "failed": "red", "cancelled": "dim"}
STATUSES = {"processing": "in progress", "completed": "complete", "partial_failure": "incomplete"}
"""The words for statuses and outcomes of tasks, as on the page; the others are their codes."""

SILENT = timedelta(minutes=1)
"""A run without a sign for longer may be over: the sweep asks Step Functions."""

_MOST_REASONS = 20
_UNLIMITED = 100_000
"""More characters than a line of any table has."""


def counted(count: float, noun: str) -> str:
    """A number with its noun: `1 task`, `2 tasks`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def time_text(moment: datetime | None) -> str:
    """A time of the API, to the second; nothing for none."""
    return "" if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def of_types(counts: Mapping[ContentType, int]) -> str:
    """Counts by content type: `2 tutorial, 1 quiz`."""
    return ", ".join(f"{count} {content_type}" for content_type, count in counts.items())


def outcome(status: TaskStatus) -> Group:
    """The outcome of a task: counts per content type, and the reasons of missing items."""
    table = Table(
        "content", *(Column(name, justify="right") for name in ("total", "saved", "missing", "generated"))
    )
    for content_type, progress in status.progress.items():
        style = "yellow" if progress.missing else ""
        counts = (progress.total, progress.saved, progress.missing, progress.generated)
        table.add_row(content_type, *map(str, counts), style=style)
    parts: list[Table | Text] = [headline(status), table]
    if status.queue is not None:
        parts.append(Text(in_words(status.queue)))
    if status.generation_stopped is not None:
        parts.append(Text(str(status.generation_stopped), style="yellow"))
    if status.turn.who is not Who.NOBODY:
        parts.append(next_step(status.turn))
    if status.error_message:
        parts.append(Text(status.error_message, style="red"))
    return Group(*parts, *reasons(status.failed_items))


def next_step(turn: Turn) -> Text:
    """Who acts next, when, and why: `next: automatic, at 2026-12-02T09:17:00Z: …`."""
    is_running = turn.who is Who.RUNNING
    when = "" if turn.at is None else f", {'last sign at' if is_running else 'at'} {time_text(turn.at)}"
    said, style = f"next: {turn.who}{when}: {turn.why}", "yellow" if turn.who is Who.PERSON else "dim"
    if is_running and turn.at and (silent := datetime.now(UTC) - turn.at) > SILENT:
        minutes = counted(silent // timedelta(minutes=1), "minute")
        said += f" No sign of the run for {minutes}: roadmap reconcile asks Step Functions."
        style = "yellow"
    if turn.recovery_id is not None:
        said += f" roadmap recoveries {turn.recovery_id} shows it."
    return Text(said, style=style)


def in_words(place: QueuePlace) -> str:
    """The place of a waiting attempt in the queue, as a sentence."""
    if place.stopped:
        when = "it waits until generation is resumed"
    elif place.starts_in_seconds is None:
        when = "its start is not known yet"
    else:
        about = "at the earliest" if place.at_least else "about"
        when = f"starts {about} {timedelta(seconds=place.starts_in_seconds)} from now"
    return f"waiting in the queue, position {place.position}: {when}"


def word_of(status: str) -> str:
    """A status or an outcome of a task, as people read it."""
    return STATUSES.get(status, status)


def word_of_recovery(state: str) -> str:
    """The state of a recovery, as people read it."""
    return "ended" if state == "completed" else state


def headline(status: TaskStatus) -> Text:
    """The task, its attempt and its status."""
    erased = isinstance(status, TaskDetail) and status.erased is not None
    return Text.assemble(
        f"task {status.task_id}, attempt {status.attempt}: ",
        ("erased" if erased else word_of(status.status), _STYLES.get(status.status, "bold")),
    )


def reasons(items: Iterable[FailedItem]) -> Iterator[Text]:
    """The reasons of missing items: one line per content type and reason."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for item in items:
        key = (item.content_type, item.stage, item.error_code, item.reason)
        groups.setdefault(key, []).append(item.concept_id)
    for (content_type, stage, error_code, reason), concepts in list(groups.items())[:_MOST_REASONS]:
        others = f" and {len(concepts) - 1} more" if len(concepts) > 1 else ""
        yield Text.assemble(
            (f"  {content_type}", "bold"),
            f" of {concepts[0]}{others}\n    ",
            (error_code, "red"),
            f" ({stage}): {reason}",
        )
    if len(groups) > _MOST_REASONS:
        yield Text(f"  and {len(groups) - _MOST_REASONS} more reasons: roadmap status --json names all")


class TabSeparated:
    """The rows of a table for another program: a line each, cells separated by tabs, no cell padded."""

    def __init__(self, table: Table) -> None:
        header = [str(column.header) for column in table.columns]
        self._rows = [header, *zip(*(map(str, column.cells) for column in table.columns), strict=True)]

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> Iterator[Segment]:
        """Segments, because `Text` replaces tabs."""
        for cells in self._rows:
            yield Segment("\t".join(" ".join(cell.split()) for cell in cells))
            yield Segment.line()


def fitted(table: Table, console: Console) -> Table | TabSeparated | Group:
    """The table or, if the console is too narrow for it, one block of lines for each row.

    A table that is too wide would be printed with parts of ids replaced by an ellipsis. The first column
    identifies the row. Empty cells are left out of a block. Piped output is separated by tabs, because a
    table would pad each row to the longest title.
    """
    if not console.is_terminal:
        return TabSeparated(table)
    unlimited = console.options.update(width=_UNLIMITED)
    if console.measure(table, options=unlimited).maximum <= console.width:
        return table
    names = [str(column.header) for column in table.columns]
    lines: list[Text] = []
    for cells in zip(*(column.cells for column in table.columns), strict=True):
        identity, *values = zip(names, map(str, cells), strict=True)
        lines.append(Text(" ".join(identity), style="bold"))
        lines += [Text(f"  {name}: {value}") for name, value in values if value]
    return Group(*lines or [Text("none")])


class Bars:
    """One progress bar per content type, for its saved items; as a text, their sum."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars = {
            content_type: progress.add_task(content_type, total=None) for content_type in ContentType
        }
        self._stop: GenerationStop | None = None
        self._saved = "waiting for the first answer"

    def __str__(self) -> str:
        return self._saved

    def show(self, status: TaskStatus) -> None:
        """Update the bars from a task's status. A stop of generation is printed once."""
        if status.generation_stopped not in (None, self._stop):
            stop = Text(str(status.generation_stopped), style="yellow")
            self._progress.console.print(stop)
        self._stop = status.generation_stopped
        saved, total = (
            sum(getattr(progress, name) for progress in status.progress.values())
            for name in ("saved", "total")
        )
        self._saved = f"{saved} of {counted(total, 'item')} are saved"
        for content_type, progress in status.progress.items():
            self._progress.update(self._bars[content_type], total=progress.total, completed=progress.saved)


@contextmanager
def bars(console: Terminal) -> Iterator[Bars]:
    """Show progress bars for the duration of the block; in a pipe, a line each ten seconds."""
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        shown = Bars(progress)
        with nullcontext() if console.is_terminal else console.working(shown):
            yield shown


def failing_model(failures: str) -> str:
    """The sentence about an offline model that fails on request."""
    return f"The offline model fails as --fail asked: {failures}. `roadmap up` without --fail ends it."
