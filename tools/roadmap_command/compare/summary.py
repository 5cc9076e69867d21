"""The summary of a comparison: one document for `--json`, the table and the page."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from roadmap_command.compare.comparison import Examined, Pair
from roadmap_command.compare.verdict import Pairs, Verdict, decide

ROWS = {
    "faulty": "faulty items, per 100",
    "solved": "questions solved blind",
    "preferred": "preferred, both orders",
    "tokens": "tokens",
    "seconds": "seconds per item",
}


def summary_of(pairs: Sequence[Pair], margin: float) -> tuple[Verdict, dict[str, Any]]:
    """Decide, and count both sides. `margin` is in items per 100."""
    faulty = [(bool(pair.present.findings), bool(pair.candidate.findings)) for pair in pairs]
    counts = Pairs(len(pairs), faulty.count((True, False)), faulty.count((False, True)))
    decision = decide(counts, margin / 100)
    sides = {
        "present": _side([pair.present for pair in pairs], [_past_tokens(pair) for pair in pairs]),
        "candidate": _side([pair.candidate for pair in pairs], [pair.usage for pair in pairs]),
    }
    preferences: list[str] = [pair.preference for pair in pairs if pair.preference]
    for name, side in sides.items():
        side["preferred"] = preferences.count(name) if preferences else None
    sides["candidate"]["seconds"] = round(sum(pair.seconds for pair in pairs) / max(1, len(pairs)), 1)
    return decision.verdict, {
        "verdict": decision.verdict.words,
        "margin": margin,
        "items": len(pairs),
        "difference": [round(100 * share, 1) for share in (decision.difference, decision.low, decision.high)],
        "items_to_decide": decision.items_to_decide,
        "ties": preferences.count("tie"),
        **sides,
        "faults": [
            {
                "item": pair.item.name,
                "present": [finding._asdict() for finding in pair.present.findings],
                "candidate": [finding._asdict() for finding in pair.candidate.findings],
            }
            for pair in pairs
            if pair.present.findings or pair.candidate.findings
        ],
    }


def _past_tokens(pair: Pair) -> tuple[int, int] | None:
    match pair.item.origin:
        case {"tokens_in": int(tokens_in), "tokens_out": int(tokens_out)}:
            return tokens_in, tokens_out
    return None


def _side(examined: Sequence[Examined], tokens: Sequence[tuple[int, int] | None]) -> dict[str, Any]:
    """The figures of one side; `None` for those that are not known of all items."""
    questions = sum(each.questions for each in examined)
    doubtful = sum(each.doubtful for each in examined)
    known = [each for each in tokens if each is not None]
    share = sum(bool(each.findings) for each in examined) / max(1, len(examined))
    return {
        "faulty": round(100 * share, 1),
        "solved": f"{questions - doubtful}/{questions}" if questions else None,
        "tokens": sum(map(sum, known)) if known and len(known) == len(tokens) else None,
        "seconds": None,
    }


def rows_of(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """The rows of the table: a name, both sides, and their difference."""
    difference, low, high = (f"{number:+.1f}" for number in summary["difference"])
    said = {"faulty": f"{difference} ({low} … {high})  {verdict_of(summary)}"}
    if summary["present"]["preferred"] is not None:
        said["preferred"] = f"{summary['ties']} ties"
    sides = [(name, summary["present"][name], summary["candidate"][name]) for name in ROWS]
    return [
        (ROWS[name], "" if present is None else _shown(present), _shown(candidate), said.get(name, ""))
        for name, present, candidate in sides
        if candidate is not None
    ]


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def verdict_of(summary: dict[str, Any]) -> str:
    """The verdict with its margin."""
    margin = f" than {summary['margin']:g} points" if summary["verdict"] == "no worse" else ""
    return f"{summary['verdict']}{margin}"


def table_of(summary: dict[str, Any]) -> Table:
    """The table for the terminal."""
    table = Table("", "present", "candidate", "difference (95 %)", box=None)
    for row in rows_of(summary):
        table.add_row(*row)
    return table
