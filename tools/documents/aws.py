"""The prices, names and limits of AWS in the table `aws.csv`. Change them there only.

A price is of US East (N. Virginia), in dollars, without the free tier. Of a name, a limit or an action of
the forge, `about` is a file that relies on it. `read` is the day on which the source was read; it is empty if
nobody could read it.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Fact(NamedTuple):
    """A row of the table."""

    kind: str
    name: str
    value: str
    about: str
    source: str
    read: str


with Path(__file__).with_name("aws.csv").open(newline="") as _table:
    FACTS = [Fact(**row) for row in csv.DictReader(_table)]

UNCONFIRMED = [fact.name for fact in FACTS if fact.kind == "price" and "aws.amazon.com" not in fact.source]
"""The prices that only others state."""

PRICES: Mapping[str, float] = {fact.name: float(fact.value) for fact in FACTS if fact.kind == "price"}
