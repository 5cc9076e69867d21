"""The regular expressions that see foreign text take time in proportion to it.

A staged key of 500 letters took 2.7 ms in a failure's reason, so that Finalize of 15,000 failures timed out.
"""

import time
from collections.abc import Callable
from itertools import product

import pytest

from roadmap_content.content.generation.generator import _LANGUAGE_TAG
from roadmap_content.content.resources import _PUBLIC_HOST
from roadmap_content.content.tutorial import heading_in
from roadmap_content.contracts.payloads import _ERROR_MESSAGE
from roadmap_content.platform.postgres.driver import _ZONE
from roadmap_content.platform.postgres.sqlstate import _IDENTIFIER
from roadmap_content.state.failures.groups import normalise_reason

SHORT, LONG = 500, 4_000
MOST_GROWTH = 8 * 5
"""8 times the text. A quadratic expression takes 64 times as long; the rest is for a busy machine."""

EVERYWHERE: dict[str, Callable[[str], object]] = {
    "a failure's reason": normalise_reason,
    "a heading": heading_in,
    "an error message": _ERROR_MESSAGE.match,
    "a host": _PUBLIC_HOST.fullmatch,
    "a language": _LANGUAGE_TAG.fullmatch,
    "a time": _ZONE.search,
    "an identifier": _IDENTIFIER.fullmatch,
}
HOSTILE = ("a", "7", "a/", "a ", "'", "'a", " ", "#", "a.", "a-", "1.", "1,", ")=(", "http://", '\\"')


def seconds(call: Callable[[str], object], text: str) -> float:
    """The shortest of several durations, in processor time, so that other processes do not count."""
    found = []
    for _ in range(5):
        started = time.thread_time()
        call(text)
        found.append(time.thread_time() - started)
    return min(found)


@pytest.mark.parametrize("call", EVERYWHERE.values(), ids=EVERYWHERE.keys())
def test_the_time_grows_with_the_text(call: Callable[[str], object]) -> None:
    for beginning, unit in product(("", "# a", "'", '{"errorMessage": "'), HOSTILE):
        short, long = (beginning + (unit * size)[:size] + "!" for size in (SHORT, LONG))
        at_least = 20e-6  # below it, the clock decides
        most = MOST_GROWTH * max(seconds(call, short), at_least)
        assert seconds(call, long) < most, (beginning, unit)
