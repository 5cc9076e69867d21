"""The page of a comparison: one HTML file without scripts, which loads nothing."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from roadmap_command.compare.comparison import Examined, Pair
from roadmap_command.compare.figures import HEADER, Figure

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head>
<body><h1 dir="auto">{title}</h1>
{remarks}
<div class="wide"><table>
{rows}</table></div>
{pairs}
</body></html>
"""


def page_of(title: str, remarks: Sequence[str], figures: Sequence[Figure], pairs: Sequence[Pair]) -> str:
    """The page: the table, then all pairs, those with doubtful questions and findings first."""
    return _PAGE.format(
        title=escape(title),
        style=(files(__package__) / "report.css").read_text("utf-8"),
        remarks="\n".join(f'<p dir="auto">{escape(remark)}</p>' for remark in remarks),
        rows="\n".join(map(_row, [HEADER, *(figure.cells for figure in figures)])),
        pairs="\n".join(map(_article, sorted(pairs, key=_rank))),
    )


def _row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<td>{escape(cell)}' for cell in cells)}</tr>"


def _rank(pair: Pair) -> tuple[bool, bool]:
    """Doubtful questions first, then findings."""
    sides = (pair.present, pair.candidate)
    return not any(side.doubtful for side in sides), not any(side.findings for side in sides)


def _article(pair: Pair) -> str:
    name = escape(f"{pair.item.name} · {pair.item.concept.name}")
    preference = f"<p>Preferred: {pair.preference}</p>" if pair.preference else ""
    present = _section("present", pair.present, pair.candidate)
    candidate = _section("candidate", pair.candidate, pair.present)
    return (
        f'<article><h2 dir="auto">{name}</h2>{preference}'
        f'<div class="pair" lang="{escape(pair.item.language)}">{present}{candidate}</div></article>'
    )


def _section(title: str, side: Examined, other: Examined) -> str:
    """One content, with the lines marked that the other lacks, and each finding before its line."""
    lines = list(_lines(side.content or {}))
    shared = {text for _, text in lines} & {text for _, text in _lines(other.content or {})}
    notes: dict[int, list[str]] = defaultdict(list)
    for finding in side.findings:
        here = (number for number, (place, _) in enumerate(lines) if place.startswith(finding.place))
        note = escape(f"{finding.code}, {finding.place}: {finding.sentence}")
        notes[next(here, -1)].append(f'<p class="note">{note}</p>')
    body = notes[-1]  # of the whole content
    for number, (place, text) in enumerate(lines):
        shown = escape(text) if text in shared else f"<mark>{escape(text)}</mark>"
        body += [*notes[number], f'<p dir="auto" title="{escape(place)}">{shown}</p>']
    return f'<section><h3 lang="en">{title}</h3>{"".join(body)}</section>'


def _lines(value: Any, place: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - any JSON value
    """A content as lines of text, each with its place as findings name it."""
    match value:
        case dict():
            for name, field in value.items():
                yield from _lines(field, f"{place}.{name}".removeprefix("."))
        case list():
            for index, entry in enumerate(value):
                yield from _lines(entry, f"{place}[{index}]")
        case str() if place == "markdown":
            for number, line in enumerate(value.splitlines(), start=1):
                yield f"line {number}", line
        case _:
            yield place, str(value)
