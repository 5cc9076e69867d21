"""The plots of the document, as reproducible SVG."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .result import Breakdown, Series

_STYLE = {
    "svg.hashsalt": "roadmap-content",  # otherwise ids in the file are random
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plot_series(series: Series, path: Path) -> None:
    """Medians by size on logarithmic axes; with one size, bars with quartiles."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        if len(series.sizes) == 1:
            _bars(axes, series, series.sizes[0])
        else:
            for name, by_size in series.values.items():
                sizes = sorted(by_size)
                axes.plot(
                    sizes, [series.estimate(name, size).median for size in sizes], marker="o", label=name
                )
            axes.set(xscale="log", yscale="log", xlabel=series.size_name, ylabel=series.unit)
            axes.grid(alpha=0.3)
            axes.legend(frameon=False)
        axes.set_title(series.title, loc="left")
        _save(figure, path)


def plot_breakdown(breakdown: Breakdown, path: Path) -> None:
    """Stacked horizontal bars of parts."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 1.6 + 0.5 * len(breakdown.bars)), layout="constrained")
        axes = figure.subplots()
        names = list(breakdown.bars)
        left = dict.fromkeys(names, 0.0)
        for part in dict.fromkeys(part for bar in breakdown.bars.values() for part in bar):
            amounts = [breakdown.bars[name].get(part, 0.0) for name in names]
            axes.barh(names, amounts, left=list(left.values()), label=part)
            left = {name: left[name] + amount for name, amount in zip(names, amounts, strict=True)}
        axes.invert_yaxis()
        axes.set_xlabel(breakdown.unit)
        axes.set_title(breakdown.title, loc="left")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        _save(figure, path)


def _bars(axes: "mpl.axes.Axes", series: Series, size: int) -> None:
    names = list(series.values)
    estimates = [series.estimate(name, size) for name in names]
    spread = [
        [estimate.median - estimate.low for estimate in estimates],
        [estimate.high - estimate.median for estimate in estimates],
    ]
    axes.barh(names, [estimate.median for estimate in estimates], xerr=spread)
    axes.invert_yaxis()
    axes.set_xlabel(f"{series.unit}, {size:,} {series.size_name}")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})
    # The library writes trailing spaces.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
