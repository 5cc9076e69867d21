"""The command line of a benchmark, and its tables and limits in Markdown on standard output. Nothing is kept.

docs/performance.md has the last table of each.
"""

import argparse
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from statistics import median
from typing import NamedTuple

from .measuring import median_ratio

Values = dict[str, dict[int, list[float]]]
"""Contestant → size → the value of each round."""


class Limit(NamedTuple):
    """A measured value and its limit. With `at_least`, the limit is a lower bound."""

    label: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False
    reason: str = ""
    """The reason if the limit is missed."""

    def holds(self, room: float = 0.0) -> bool:
        """Whether it is met, or missed by less than `room` (0.5: by half), for noisy machines."""
        if self.at_least:
            return self.value >= self.limit / (1 + room)
        return self.value <= self.limit * (1 + room)


SHORT_ROUNDS = 3


def arguments_of(
    description: str, *, sizes: Sequence[int] = (), short: Sequence[int] = (), rounds: int = 0
) -> argparse.Namespace:
    """Read the command line: `--short`, and `--sizes` and `--rounds` of a benchmark that has defaults.

    Args:
        short: the sizes of the short form.
    """
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="less; fail only if a limit is missed by far")
    if sizes:
        parser.add_argument("--sizes", type=int, nargs="+")
    if rounds:
        parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    if sizes and not arguments.sizes:
        arguments.sizes = short if arguments.short else sizes
    if rounds and not arguments.rounds:
        arguments.rounds = SHORT_ROUNDS if arguments.short else rounds
    return arguments


def show_table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    """Print a table with a row for each contestant."""
    lines = [f"### {title}", "", f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]
    sys.stdout.write("\n".join(lines) + "\n\n")


def show_values(title: str, size_name: str, values: Values, base: str) -> None:
    """Print the median seconds of each contestant by size, and the ratio to the base."""
    sizes = sorted({size for by_size in values.values() for size in by_size})
    rows = {
        name: [
            _cell(by_size[size], values[base][size], name == base) if size in by_size else "–"
            for size in sizes
        ]
        for name, by_size in values.items()
    }
    show_table(title, [f"{size:,} {size_name}" for size in sizes], rows)


def _cell(values: Sequence[float], base: Sequence[float], is_base: bool) -> str:
    ratio = "" if is_base else f" {amount(median_ratio(values, base), '×')}"
    return f"{amount(median(values), 's')}{ratio}"


def show_limits(limits: Sequence[Limit], *, room: float | None = None) -> None:
    """Print limits, and why some are missed. With `room`, exit if one is missed by more than that."""
    show_table(
        "Limits",
        ["measured", "limit", ""],
        {
            each.label: [
                amount(each.value, each.unit),
                f"{'≥' if each.at_least else '≤'} {amount(each.limit, each.unit)}",
                "met" if each.holds() else f"missed. {each.reason}".rstrip(),
            ]
            for each in limits
        },
    )
    if room is not None and (missed := [each.label for each in limits if not each.holds(room)]):
        sys.exit(f"missed by more than the room for noise: {', '.join(missed)}")


def show_machine(*packages: str) -> None:
    """Print the machine, without its name or address, and the versions of the measured packages."""
    versions = [f"{package} {metadata.version(package)}" for package in packages]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    sys.stdout.write(f"{machine}, Python {platform.python_version()}, {', '.join(versions)}\n")


def amount(value: float, unit: str) -> str:
    """Format a number: three significant digits, small seconds as ms."""
    if unit == "s" and abs(value) < 1:
        value, unit = value * 1000, "ms"
    digits = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
    return digits if not unit else digits + unit if unit == "×" else f"{digits} {unit}"
