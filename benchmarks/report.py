"""The arguments of a benchmark, and its result: tables, then the JSON document on the last line."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .result import Figure, Matrix, Result, Series, Target

_WIDTH = 120


def arguments_of(
    description: str | None, *, sizes: Sequence[int] = (), rounds: int = 0, number: int | str = "+"
) -> argparse.Namespace:
    """Read the command line: `--short`, and `--sizes` and `--rounds` of a benchmark that has defaults for
    them.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--short", action="store_true", help="keep nothing; fail if a limit is missed by far")
    if sizes:
        parser.add_argument("--sizes", type=int, nargs=number, default=sizes)
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds)
    return parser.parse_args()


def show(result: Result) -> None:
    """Print a result. Only the last line is machine-readable."""
    console = Console(width=_WIDTH, highlight=False)
    console.print(f"[bold]{result.title}[/bold]")
    for series in result.series:
        console.print(_series(series))
    for matrix in result.matrices:
        console.print(_matrix(matrix))
    if result.figures:
        console.print(_figures(result.figures))
    if result.targets:
        console.print(_targets(result.targets))
    sys.stdout.write(result.line() + "\n")


def finish(result: Result, *, short: bool, room: float = 0.5) -> None:
    """Store and print the result. For a short run, store nothing, and fail if a limit is exceeded by more
    than `room`.
    """
    if not short:
        result.write()
    show(result)
    if short and (missed := [target.label for target in result.targets if not target.holds_with(room)]):
        sys.exit(f"missed by more than the room for noise: {', '.join(missed)}")


def amount(value: float, unit: str) -> str:
    """Format a number: three significant digits, small seconds as ms."""
    if unit == "s" and abs(value) < 1:
        value, unit = value * 1000, "ms"
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return digits if not unit else digits + unit if unit == "×" else f"{digits} {unit}"


def _series(series: Series) -> Table:
    table = Table(title=series.title, title_justify="left")
    table.add_column(series.size_name)
    for size in series.sizes:
        table.add_column(f"{size:,}", justify="right")
    for row in series_rows(series):
        table.add_row(*row)
    return table


def series_rows(series: Series) -> list[list[str]]:
    """A row per contestant: its name, then per size its median, the ratio to the base, and the noise."""
    rows = []
    for name, by_size in series.values.items():
        cells = []
        for size in series.sizes:
            if size not in by_size:
                cells.append("–")
                continue
            measured = series.estimate(name, size)
            ratio = "" if name == series.base else f" {amount(series.ratio(name, size).median, '×')}"
            noise = f" ±{measured.noise / 2:.0%}" if len(by_size[size]) > 1 else ""
            cells.append(f"{amount(measured.median, series.unit)}{ratio}{noise}")
        rows.append([name, *cells])
    return rows


def _matrix(matrix: Matrix) -> Table:
    table = Table("", *matrix.columns, title=matrix.title, title_justify="left")
    for name, cells in matrix.rows.items():
        table.add_row(name, *cells)
    return table


def _figures(figures: list[Figure]) -> Table:
    table = Table("figure", "value")
    for figure in figures:
        table.add_row(figure.label, amount(figure.value, figure.unit))
    return table


def _targets(targets: list[Target]) -> Table:
    table = Table("target", "measured", "limit", "")
    for target in targets:
        table.add_row(*target_row(target))
    return table


def target_row(target: Target) -> list[str]:
    """A target, its value, its limit, and whether it is met."""
    sign = "≥" if target.at_least else "≤"
    return [
        target.label,
        amount(target.value, target.unit),
        f"{sign} {amount(target.limit, target.unit)}",
        "met" if target.met else "missed",
    ]
