"""The plots of the document, as reproducible SVG."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from .result import Series

_STYLE = {
    "svg.hashsalt": "roadmap-content",  # otherwise ids in the file are random
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def plot_series(series: Series, path: Path) -> None:
    """Medians by size on logarithmic axes."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        for name, by_size in series.values.items():
            sizes = sorted(by_size)
            axes.plot(sizes, [series.estimate(name, size).median for size in sizes], marker="o", label=name)
        axes.set(xscale="log", yscale="log", xlabel=series.size_name, ylabel=series.unit)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        axes.set_title(series.title, loc="left")
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})
    # The library writes trailing spaces.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
