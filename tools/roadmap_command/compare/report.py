"""The page of a comparison: one HTML file without scripts, which loads nothing."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

from roadmap_command.compare.comparison import Examined, Pair
from roadmap_command.compare.findings import Finding
from roadmap_command.compare.summary import rows_of, verdict_of
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head>
<body><h1 dir="auto">{title}</h1><p>{sample} (seed {seed})</p>
<div class="wide"><table><tr><th><th>present<th>candidate<th>difference (95 %)</tr>
{rows}</table></div>{remarks}
{pairs}
</body></html>
"""


class _Line(NamedTuple):
    """A line of a content. `place` is the one that findings name."""

    place: str
    text: str


def page_of(summary: dict[str, Any], pairs: Sequence[Pair]) -> str:
    """The page: the table, then all pairs, those with doubtful questions and findings first."""
    rows = "".join(f"<tr>{''.join(f'<td>{escape(cell)}' for cell in row)}</tr>\n" for row in rows_of(summary))
    left_out = [f"{each['item']}: {each['reason']}" for each in summary["not_compared"]]
    remarks = [f"Not compared: {each}" for each in left_out] + [
        f"In flight: {each}" for each in summary["in_flight"]
    ]
    return _PAGE.format(
        title=escape(f"{summary['model']}: {verdict_of(summary)}"),
        style=(files(__package__) / "report.css").read_text("utf-8"),
        sample=escape(summary["sample"]),
        seed=summary["seed"],
        rows=rows,
        remarks="".join(f'<p dir="auto">{escape(remark)}</p>' for remark in remarks),
        pairs="\n".join(map(_article, sorted(pairs, key=_rank))),
    )


def _rank(pair: Pair) -> tuple[bool, bool]:
    """Doubtful questions first, then findings."""
    sides = (pair.present, pair.candidate)
    return not any(side.doubtful for side in sides), not any(side.findings for side in sides)


def _article(pair: Pair) -> str:
    lines = [_lines(pair.item.content_type, side.content or {}) for side in (pair.present, pair.candidate)]
    texts = [[line.text for line in side] for side in lines]
    marked: tuple[list[str], list[str]] = ([], [])
    for kind, *ends in SequenceMatcher(None, texts[0], texts[1]).get_opcodes():
        form = "{}" if kind == "equal" else "<mark>{}</mark>"
        for side in (0, 1):
            differing = texts[side][ends[2 * side] : ends[2 * side + 1]]
            marked[side].extend(form.format(escape(text)) for text in differing)
    name = escape(f"{pair.item.name} · {pair.item.concept.name}")
    preference = f"<p>Preferred: {pair.preference}</p>" if pair.preference else ""
    columns = [
        _column(title, side, side_lines, side_marked, pair.item.language)
        for title, side, side_lines, side_marked in zip(
            ("present", "candidate"), (pair.present, pair.candidate), lines, marked, strict=True
        )
    ]
    return (
        f'<article><h2 dir="auto">{name}</h2>{preference}<div class="pair">{"".join(columns)}</div></article>'
    )


def _column(title: str, side: Examined, lines: Sequence[_Line], marked: Sequence[str], language: str) -> str:
    """One content, with each finding before the first line of its place."""
    places = {line.place for line in lines} - {""}
    notes: dict[str, list[str]] = {}
    for finding in side.findings:
        place = finding.place.partition(".")[0]
        notes.setdefault(place if place in places else "", []).append(_note(finding))
    rest = "".join(notes.pop("", []))
    body: list[str] = []
    for line, text in zip(lines, marked, strict=True):
        body += [*notes.pop(line.place, []), f'<p dir="auto">{text}</p>']
    return f'<section lang="{escape(language)}"><h3 lang="en">{title}</h3>{rest}{"".join(body)}</section>'


def _note(finding: Finding) -> str:
    return f'<p class="note">{escape(f"{finding.code}, {finding.place}: {finding.sentence}")}</p>'


def _lines(content_type: ContentType, content: Document) -> list[_Line]:
    """A content as lines of text; of a type that is not known here, its fields."""
    match content_type:
        case ContentType.TUTORIAL if content:
            lines = enumerate(content["markdown"].splitlines(), start=1)
            title = [_Line("", content["title"]), _Line("", content["summary"]), _Line("", "")]
            return title + [_Line(f"line {number}", line) for number, line in lines]
        case ContentType.RESOURCES if content:
            return [
                _Line(f"resources[{index}]", f"{each['title']} {each['url']} {each.get('description', '')}")
                for index, each in enumerate(content["resources"])
            ]
        case ContentType.QUIZ if content:
            return [
                line for index, each in enumerate(content["questions"]) for line in _question(index, each)
            ]
    return [_Line(name, f"{name}: {value}") for name, value in content.items()]


def _question(index: int, question: Document) -> Iterator[_Line]:
    yield _Line(f"questions[{index}]", f"{index + 1}. {question['question']}")
    for number, option in enumerate(question["options"]):
        yield _Line("", f"   {'✓' if number in question['correct_answer'] else '·'} {number + 1} {option}")
    yield _Line("", f"   {question.get('explanation', '')}")
