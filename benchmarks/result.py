"""What a benchmark found: one JSON document a program, kept in `benchmarks/results/`.

Everything that is said about performance is said from these; raw values are kept, so that medians, ratios
and noise can be computed again by whoever doubts them.
"""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from .measuring import Estimate, estimate, paired_ratio

RESULTS = Path(__file__).parent / "results"

Values = dict[str, dict[int, list[float]]]
"""Contestant → size → what was measured in each round."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Series(_Part):
    """Contestants over sizes, measured in turn: a table and a plot."""

    name: str
    """Short, for file names."""
    title: str
    unit: str
    """`s` (shown as ms, s), `MB`, or whatever is counted."""
    size_name: str
    """What the sizes count: `concepts`."""
    base: str
    """The contestant that the others' ratios refer to."""
    values: Values

    @property
    def sizes(self) -> list[int]:
        """Every size that some contestant was measured at."""
        return sorted({size for by_size in self.values.values() for size in by_size})

    def over(self, older: "Series | None") -> "Series":
        """These values, with those of the sizes that only an older run has measured."""
        values = {name: dict(by_size) for name, by_size in self.values.items()}
        for name, by_size in ({} if older is None else older.values).items():
            for size in by_size.keys() - set(self.sizes):
                values.setdefault(name, {})[size] = by_size[size]
        return self.model_copy(update={"values": values})

    def estimate(self, contestant: str, size: int) -> Estimate:
        """What a contestant measures at a size."""
        return estimate(self.values[contestant][size])

    def ratio(self, contestant: str, size: int, base: str | None = None) -> Estimate:
        """A contestant's values as multiples of the base's, round by round."""
        return paired_ratio(self.values[contestant][size], self.values[base or self.base][size])


class Breakdown(_Part):
    """Where the whole of something goes: parts in order, which are drawn as one bar."""

    name: str
    title: str
    unit: str
    bars: dict[str, dict[str, float]]
    """Bar → part → amount."""


class Figure(_Part):
    """One measured number without a contestant."""

    label: str
    value: float
    unit: str = ""


class Matrix(_Part):
    """Findings in words: a row for each contestant."""

    name: str
    title: str
    about: str = ""
    columns: list[str]
    rows: dict[str, list[str]]


class Target(_Part):
    """What was promised, beside what came out. `at_least` tells a lower limit from an upper one."""

    label: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def holds_with(self, room: float) -> bool:
        """Whether it is kept, or missed by less than `room` (0.5: half as much again): for noisy machines."""
        if self.at_least:
            return self.value >= self.limit / (1 + room)
        return self.value <= self.limit * (1 + room)


class Result(_Part):
    """All that one program found, and where."""

    name: str
    title: str
    about: str
    """Markdown for the reader: what was measured and how. No figure stands in it."""
    machine: dict[str, str]
    versions: dict[str, str]
    measured_at: str
    series: list[Series] = []
    breakdowns: list[Breakdown] = []
    matrices: list[Matrix] = []
    figures: list[Figure] = []
    targets: list[Target] = []

    def write(self, folder: Path = RESULTS) -> Path:
        """Keep it."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(self.model_dump_json(indent=1) + "\n")
        return path

    def over(self, older: "Result") -> "Result":
        """This result, with what only an older one has: sizes that were measured in another run."""
        known = {series.name: series for series in older.series}
        series = [mine.over(known.pop(mine.name, None)) for mine in self.series]
        breakdowns = self.breakdowns or older.breakdowns
        return self.model_copy(update={"series": [*series, *known.values()], "breakdowns": breakdowns})

    def line(self) -> str:
        """The document on one line."""
        return json.dumps(self.model_dump(mode="json"))


def read_results(folder: Path = RESULTS) -> list[Result]:
    """Every result that is kept, by name."""
    paths = sorted(folder.glob("*.json"))
    return [result for path in paths if (result := read_result(path)) is not None]


def read_result(path: Path) -> Result | None:
    """A result that is kept; `None` if there is none."""
    return Result.model_validate_json(path.read_bytes()) if path.exists() else None


def this_machine() -> dict[str, str]:
    """What a reader needs to know of the machine: no name, no address."""
    model = "unknown"
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else platform.machine()
    return {
        "processor": model,
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python and of the packages that took part."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"Python": python} | {package: metadata.version(package) for package in packages}


def now() -> str:
    """The moment, for `Result.measured_at`."""
    return datetime.now(UTC).isoformat(timespec="minutes")
