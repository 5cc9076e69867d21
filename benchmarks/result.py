"""The result of a benchmark: one JSON document per program in `benchmarks/results/`.

All statements about performance are computed from these. They contain the raw values, so that anyone can
compute medians, ratios and noise again.
"""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from math import log
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field

from documents.layout import laid_out

from .measuring import Estimate, estimate, paired_ratio

RESULTS = Path(__file__).parent / "results"

Values = dict[str, dict[int, list[float]]]
"""Contestant → size → the value of each round."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Series(_Part):
    """Contestants by size, measured in alternation: a table."""

    name: str
    title: str
    unit: str
    """`s` (shown as ms, s), `MB`, or the name of the counted things."""
    size_name: str
    """The unit of the sizes: `concepts`."""
    base: str
    """The contestant to which the ratios refer."""
    values: Values

    @property
    def sizes(self) -> list[int]:
        """All sizes at which a contestant was measured."""
        return sorted({size for by_size in self.values.values() for size in by_size})

    def over(self, older: "Series | None") -> "Series":
        """These values, plus the sizes that were measured only in an older run."""
        values = {name: dict(by_size) for name, by_size in self.values.items()}
        for name, by_size in ({} if older is None else older.values).items():
            for size in by_size.keys() - set(self.sizes):
                values.setdefault(name, {})[size] = by_size[size]
        return self.model_copy(update={"values": values})

    def estimate(self, contestant: str, size: int) -> Estimate:
        """The estimate of a contestant at a size."""
        return estimate(self.values[contestant][size])

    def ratio(self, contestant: str, size: int, base: str | None = None) -> Estimate:
        """A contestant's values relative to the base's, per round."""
        return paired_ratio(self.values[contestant][size], self.values[base or self.base][size])

    def exponent(self, contestant: str, smaller: int, larger: int) -> float:
        """The exponent of the median's growth between two sizes: 1 means proportional."""
        times = self.estimate(contestant, larger).median / self.estimate(contestant, smaller).median
        return log(times) / log(larger / smaller)


class Figure(_Part):
    """One measured number without a contestant."""

    label: str
    value: float
    unit: str = ""


class Matrix(_Part):
    """Results in words, with a row for each contestant."""

    name: str
    title: str
    about: str = ""
    columns: list[str]
    rows: dict[str, list[str]]


class Target(_Part):
    """A target and its measured value. With `at_least`, the limit is a lower bound."""

    label: str
    value: float
    limit: float
    unit: str = "×"
    at_least: bool = False
    reason: str = ""
    """The reason if the target is missed."""

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def holds_with(self, room: float) -> bool:
        """Whether it is met, or exceeded by less than `room` (0.5: by half), for noisy machines."""
        if self.at_least:
            return self.value >= self.limit / (1 + room)
        return self.value <= self.limit * (1 + room)


class Result(_Part):
    """All values of one program, and the machine."""

    name: str
    title: str
    about: str
    """Markdown for the reader: the measured quantity and the method, without figures."""
    machine: dict[str, str] = Field(default_factory=lambda: this_machine())
    versions: dict[str, str]
    measured_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="minutes"))
    series: list[Series] = []
    matrices: list[Matrix] = []
    figures: list[Figure] = []
    targets: list[Target] = []

    def write(self, folder: Path = RESULTS) -> Path:
        """Store the result."""
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(laid_out(_rounded(self.model_dump(mode="json"))))
        return path

    def over(self, older: "Result") -> "Result":
        """This result, plus the sizes that only an older result has."""
        known = {series.name: series for series in older.series}
        series = [mine.over(known.pop(mine.name, None)) for mine in self.series]
        return self.model_copy(update={"series": [*series, *known.values()]})

    def line(self) -> str:
        """The document on one line."""
        return json.dumps(self.model_dump(mode="json"))


def _rounded(node: Any) -> Any:  # noqa: ANN401 - JSON
    """The document with at most six significant digits; a clock has no more."""
    match node:
        case float():
            return float(f"{node:.6g}")
        case dict():
            return {key: _rounded(value) for key, value in node.items()}
        case list():
            return [_rounded(each) for each in node]
    return node


def read_results(folder: Path = RESULTS) -> list[Result]:
    """All stored results, by name."""
    paths = sorted(folder.glob("*.json"))
    return [result for path in paths if (result := read_result(path)) is not None]


def read_result(path: Path) -> Result | None:
    """A stored result; `None` if there is none."""
    return Result.model_validate_json(path.read_bytes()) if path.exists() else None


def this_machine() -> dict[str, str]:
    """A description of the machine without its name or address."""
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
    """The versions of Python and of the measured packages."""
    python = ".".join(map(str, sys.version_info[:3]))
    return {"Python": python} | {package: metadata.version(package) for package in packages}
