"""The verdict: are more of the candidate's items faulty than of the present ones?

Each item is a pair: the present content and the candidate's are faulty or not. The difference of the two
shares has a 95 % interval, by Wald's method with the adjustment of Bonett and Price (Journal of Educational
and Behavioral Statistics 37, 2012): one pair is added to each kind of pairs that differ. Fagerland, Lydersen
and Laake (Statistics in Medicine 33, 2014) compare it with others. Items count as independent of each other.

The margin is the difference that is accepted, as in a non-inferiority trial. It decides first:

- the whole interval is below the margin: *no worse*;
- otherwise, the whole interval is above 0: *worse*;
- otherwise, *not decided*: more items would make the interval narrower.
"""

from enum import IntEnum
from math import ceil, sqrt
from statistics import NormalDist
from typing import NamedTuple

Z = NormalDist().inv_cdf(0.975)


class Verdict(IntEnum):
    """The verdicts, as exit codes."""

    NO_WORSE = 0
    WORSE = 1
    NOT_DECIDED = 2

    @property
    def words(self) -> str:
        """The verdict for people."""
        return self.name.lower().replace("_", " ")


class Pairs(NamedTuple):
    """The number of pairs, and of those in which only one content is faulty."""

    total: int
    only_present: int
    only_candidate: int


class Decision(NamedTuple):
    """The verdict, with shares between -1 and 1."""

    verdict: Verdict
    difference: float
    """The share of faulty items of the candidate, less that of the present ones."""

    low: float
    high: float
    items_to_decide: int | None
    """The number of items with which these shares would decide; `None` if they do."""


def decide(pairs: Pairs, margin: float) -> Decision:
    """Decide by the pairs. `margin` is a share: 0.05 accepts 5 more faulty items of 100."""
    adjusted = pairs.total + 2
    present, candidate = (pairs.only_present + 1) / adjusted, (pairs.only_candidate + 1) / adjusted
    centre = candidate - present
    variance = present + candidate - centre**2
    half = Z * sqrt(variance / adjusted)
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    if high < margin:
        verdict = Verdict.NO_WORSE
    elif low > 0:
        verdict = Verdict.WORSE
    else:
        verdict = Verdict.NOT_DECIDED
    # The interval is narrow enough when its half is smaller than one of these distances.
    distance = max(margin - centre, centre)
    needed = ceil(variance * (Z / distance) ** 2) if verdict is Verdict.NOT_DECIDED else None
    difference = (pairs.only_candidate - pairs.only_present) / max(1, pairs.total)
    return Decision(verdict, difference, low, high, needed)
