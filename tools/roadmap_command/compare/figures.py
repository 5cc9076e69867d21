"""The figures of a comparison, for `--json`, the terminal and the page."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from roadmap_command.compare.comparison import Examined, Pair
from roadmap_command.compare.verdict import Decision, Pairs, decide

HEADER = "", "present", "candidate", "difference (95 %)"


class Figure(NamedTuple):
    """A row of the table: a figure of both sides. `None`: it is not known."""

    name: str
    present: float | str | None
    candidate: float | str | None
    difference: str = ""

    @property
    def cells(self) -> list[str]:
        """The row for people."""
        return [_cell(value) for value in self]


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,}"


def decision_of(pairs: Sequence[Pair], margin: float) -> Decision:
    """Decide by the faulty items; `margin` is in items per 100."""
    faulty = [(bool(pair.present.findings), bool(pair.candidate.findings)) for pair in pairs]
    counts = Pairs(len(pairs), faulty.count((True, False)), faulty.count((False, True)))
    return decide(counts, margin / 100)


def figures_of(pairs: Sequence[Pair], decision: Decision, price: tuple[float, float] | None) -> list[Figure]:
    """The figures. `price`: dollars per million tokens of the candidate's input and output."""
    present, candidate = [pair.present for pair in pairs], [pair.candidate for pair in pairs]
    difference, low, high = (f"{number:+.1f}" for number in decision.per_hundred)
    interval = f"{difference} ({low} … {high})  {decision.verdict.words}"
    figures = [Figure("faulty items, per 100", _faulty(present), _faulty(candidate), interval)]
    if any(examined.questions for examined in present):
        figures.append(Figure("questions solved blind", _solved(present), _solved(candidate)))
    preferred = Counter(pair.preference for pair in pairs if pair.preference is not None)
    if preferred:
        sides = preferred["present"], preferred["candidate"]
        figures.append(Figure("preferred, both orders", *sides, f"{preferred['tie']} ties"))
    tokens_in, tokens_out = (sum(pair.usage[side] for pair in pairs) for side in (0, 1))
    figures.append(Figure("tokens", _past_tokens(pairs), tokens_in + tokens_out))
    if price is not None:
        dollars = (tokens_in * price[0] + tokens_out * price[1]) / 1e6
        figures.append(Figure("price in dollars", None, round(dollars, 2)))
    figures.append(Figure("seconds per item", None, round(_mean([pair.seconds for pair in pairs]), 1)))
    return figures


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _faulty(side: Sequence[Examined]) -> float:
    return round(100 * _mean([bool(examined.findings) for examined in side]), 1)


def _solved(side: Sequence[Examined]) -> str:
    questions = sum(examined.questions for examined in side)
    return f"{questions - sum(examined.doubtful for examined in side)}/{questions}"


def _past_tokens(pairs: Sequence[Pair]) -> int | None:
    """The tokens of the present items, if they are known of all."""
    total = 0
    for pair in pairs:
        match pair.item.origin:
            case {"tokens_in": int(tokens_in), "tokens_out": int(tokens_out)}:
                total += tokens_in + tokens_out
            case _:
                return None
    return total
