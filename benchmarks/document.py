"""`python -m benchmarks.document`: write docs/performance.md and its plots from the stored results.

No figure is written by hand: everything is computed from `benchmarks/results/`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from .report import amount, breakdown_rows, series_rows, target_row
from .result import Result, read_results

DOCS = Path(__file__).parent.parent / "docs"
DOCUMENT = DOCS / "performance.md"
PLOTS = DOCS / "performance"

_INTRODUCTION = """# Performance

Written by `make bench` from the measurements in `benchmarks/results/`; do not edit. Contestants are
measured in turn, on a machine that is not a quiet one: trust the ratios, which are taken round by round,
before the times. A cell holds the median, its ratio to the row without one, and half the distance of the
quartiles.
"""


def main() -> None:
    """Write the document and the plots."""
    # Imported here, because only `make bench` installs the plotting library.
    from .plots import plot_breakdown, plot_series

    results = read_results()
    PLOTS.mkdir(parents=True, exist_ok=True)
    for result in results:
        for series in result.series:
            plot_series(series, PLOTS / f"{result.name}-{series.name}.svg")
        for breakdown in result.breakdowns:
            plot_breakdown(breakdown, PLOTS / f"{result.name}-{breakdown.name}.svg")
    DOCUMENT.write_text(document(results))


def document(results: Sequence[Result]) -> str:
    """The text of the document. It refers to the plots by name."""
    return "\n".join([_INTRODUCTION, *(line for result in results for line in _chapter(result))])


def _chapter(result: Result) -> Iterator[str]:
    yield f"## {result.title}\n"
    yield f"{result.about}\n"
    if result.targets:
        yield from _table(
            ["target", "measured", "limit", ""], [target_row(target) for target in result.targets]
        )
    for series in result.series:
        yield f"### {series.title}\n"
        yield from _table([series.size_name, *(f"{size:,}" for size in series.sizes)], series_rows(series))
        yield f"![{series.title}](performance/{result.name}-{series.name}.svg)\n"
    for breakdown in result.breakdowns:
        yield f"### {breakdown.title}\n"
        yield from _table(["", *breakdown.bars], breakdown_rows(breakdown))
        yield f"![{breakdown.title}](performance/{result.name}-{breakdown.name}.svg)\n"
    for matrix in result.matrices:
        yield f"### {matrix.title}\n"
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
