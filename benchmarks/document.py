"""`python -m benchmarks.document`: write docs/performance.md and its chapters from the stored results.

No figure is written by hand: everything is computed from `benchmarks/results/`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from .report import amount, series_rows, target_row
from .result import Result, Target, read_results

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = DOCS / "performance.md"
CHAPTERS = DOCS / "performance"

_INTRODUCTION = """# Performance

Written by `make bench`, `make bench-peers`, `make bench-cold`, `make bench-console` and `make load` from the
measurements in `benchmarks/results/`; do not edit. Limits are ratios to something that was measured in the
same run, or counts. They do not depend on the speed of the machine. A cell without ± was measured once, and
varies on a machine with other work.

## The most important figures
"""

_REST = """## Every limit

The chapters contain the tables and the method of measurement.
"""

_CHAPTER_INTRODUCTION = """Contestants are measured in turn, and ratios are computed for each round. A cell
contains the median, its ratio to the row without a ratio, and half the interquartile range.
[All figures](../performance.md)
"""

FIRST = (
    ("saving", "through the handler against COPY"),
    ("saving", "the database part in the planner's batches"),
    ("saving", "transitions of a run"),
    ("load", "the model's quota as the bottleneck"),
    ("projections", "plan against"),
    ("projections", "finalize against"),
    ("many-tasks", "read model"),
    ("sweeping", "the sweep"),
    ("waiting", "functions at work"),
)
"""The result, and the start of the target's label, of each figure that is listed first. Of several matches,
the worst is used.
"""


def main() -> None:
    """Write the document and its chapters."""
    results = read_results()
    CHAPTERS.mkdir(parents=True, exist_ok=True)
    for result in results:
        (CHAPTERS / f"{result.name}.md").write_text("\n".join(_chapter(result)))
    DOCUMENT.write_text(document(results))


def document(results: Sequence[Result]) -> str:
    """The text of the document: the most important figures, then every limit by chapter."""
    by_name = {result.name: result for result in results}
    first = [
        worst
        for name, label in FIRST
        if (result := by_name.get(name)) is not None
        and (worst := _worst([target for target in result.targets if target.label.startswith(label)]))
    ]
    lines = [_INTRODUCTION, *_targets(first), _REST]
    for result in results:
        lines.append(f"### [{result.title}](performance/{result.name}.md)\n")
        if result.targets:
            lines += _targets(result.targets)
        else:
            lines.append("No limit.\n")
    return "\n".join(lines)


def _worst(targets: Sequence[Target]) -> Target | None:
    """The target that is closest to its limit, or exceeds it most."""

    def share(target: Target) -> float:
        if target.at_least:
            return target.limit / target.value
        return target.value / target.limit if target.limit else target.value

    return max(targets, key=share, default=None)


def _targets(targets: Sequence[Target]) -> Iterator[str]:
    yield from _table(["target", "measured", "limit", ""], [target_row(target) for target in targets])
    for target in targets:
        if not target.met and target.reason:
            yield f"Missed: {target.label}. {target.reason}\n"


def _chapter(result: Result) -> Iterator[str]:
    yield f"# {result.title}\n"
    yield _CHAPTER_INTRODUCTION
    yield f"{result.about}\n"
    if result.targets:
        yield from _targets(result.targets)
    for series in result.series:
        yield f"## {series.title}\n"
        yield from _table([series.size_name, *(f"{size:,}" for size in series.sizes)], series_rows(series))
    for matrix in result.matrices:
        yield f"## {matrix.title}\n"
        if matrix.about:
            yield f"{matrix.about}\n"
        yield from _table(["", *matrix.columns], [[name, *cells] for name, cells in matrix.rows.items()])
    if result.figures:
        yield from _table(
            ["", ""], [[figure.label, amount(figure.value, figure.unit)] for figure in result.figures]
        )
    where = ", ".join([*result.machine.values(), *(f"{name} {it}" for name, it in result.versions.items())])
    yield f"Measured {result.measured_at[:10]} on: {where}.\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|---{'|---:' * (len(head) - 1)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


if __name__ == "__main__":
    main()
