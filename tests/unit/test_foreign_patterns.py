"""Each regular expression of ours takes time in proportion to its text. The list is derived from the modules,
and the texts from each expression: a way to each of its repetitions, which is then repeated, and fails.

One of a URL took twice as long with each hyphen; a staged key of 500 letters took 2.7 ms in a reason.
"""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import pytest

import roadmap_content
from functions.check_links import app as check_links
from roadmap_content.content.tutorial import heading_in
from roadmap_content.contracts.errors import OtherBucketError
from roadmap_content.platform.storage.keys import key_in_url
from roadmap_content.state.failures.groups import normalise_reason

PARSER: Any = importlib.import_module("re._parser")
CATEGORIES = {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a", "CATEGORY_NOT_WORD": "-"}
LONG = 4_000
FLOOR = 200e-6
"""Seconds, below which the clock decides."""

MOST_GROWTH = 3.0
"""For twice the text: a quadratic expression takes four times as long."""


def patterns() -> dict[str, re.Pattern[str]]:
    """The compiled expressions of all modules, also those in lists."""
    names = [each.name for each in pkgutil.walk_packages(roadmap_content.__path__, "roadmap_content.")]
    found = {}
    for module in [*map(importlib.import_module, names), check_links]:
        for name, value in vars(module).items():
            for number, each in enumerate(flat(value)):
                if isinstance(each, re.Pattern) and isinstance(each.pattern, str):
                    found[f"{module.__name__}.{name}.{number}"] = each
    return found


def flat(value: object) -> Iterator[object]:
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from flat(each)
    else:
        yield value


def samples(tree: Any) -> set[str]:
    """A character of each literal, range and category in a parsed expression."""
    found: set[str] = set()
    for operation, argument in tree:
        match str(operation):
            case "LITERAL" | "NOT_LITERAL":
                found.add(chr(argument) if str(operation) == "LITERAL" else "~")
            case "RANGE":
                found.add(chr(argument[0]))
            case "CATEGORY":
                found.add(CATEGORIES.get(str(argument), "~"))
            case "ANY":
                found.add("x")
            case "IN":
                found |= samples(argument)
            case _:
                for part in parts(argument):
                    found |= samples(part)
    return found


def parts(argument: Any) -> list[Any]:
    """The expressions inside an operation."""
    if isinstance(argument, PARSER.SubPattern):
        return [argument]
    if isinstance(argument, (list, tuple)):
        return [part for each in argument for part in parts(each)]
    return []


def example(tree: Any) -> str:
    """A short text that the expression matches, but for assertions."""
    found = ""
    for operation, argument in tree:
        match str(operation):
            case "BRANCH":
                found += example(argument[1][0])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                found += example(argument[2]) * max(argument[0], 0)
            case "SUBPATTERN":
                found += example(argument[-1])
            case "ASSERT" | "ASSERT_NOT" | "AT":
                pass
            case _:
                found += min(samples([(operation, argument)]), default="")
    return found


def repetitions(tree: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Each repetition without a small limit, with a text that leads to it."""
    for operation, argument in tree:
        if str(operation).endswith("_REPEAT") and argument[1] > 8:
            yield before, argument[2]
        for part in parts(argument):
            yield from repetitions(part, before)
        before += example([(operation, argument)])


def texts(pattern: re.Pattern[str], size: int) -> Iterator[str]:
    for before, body in repetitions(PARSER.parse(pattern.pattern, pattern.flags)):
        alphabet = sorted(samples(body))[:6]
        units = {example(body), *map("".join, product(alphabet, repeat=2)), *alphabet} - {""}
        for unit in sorted(units):
            yield before + (unit * size)[:size] + "\x00"


def seconds(pattern: re.Pattern[str], text: str) -> float:
    """The shortest of several durations, in processor time, so that other processes do not count."""
    found = []
    for _ in range(3):
        started = time.thread_time()
        pattern.fullmatch(text)
        pattern.match(text)
        found.append(time.thread_time() - started)
        if found[-1] < FLOOR / 4:
            break
    return min(found)


PATTERNS = patterns()


def test_the_list_has_those_that_see_urls_keys_and_reasons() -> None:
    modules = {name.split(".")[-3] for name in PATTERNS}
    assert modules >= {"keys", "groups", "documents", "framework_text"}


@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_the_time_grows_with_the_text(pattern: re.Pattern[str]) -> None:
    for size in range(4, 34, 2):  # an exponential one would not end with a long text
        for text in texts(pattern, size):
            assert seconds(pattern, text) < 100 * FLOOR, text
    for short, long in zip(texts(pattern, LONG), texts(pattern, 2 * LONG), strict=True):
        assert seconds(pattern, long) < MOST_GROWTH * max(seconds(pattern, short), FLOOR), short[:40]


@pytest.mark.parametrize("call", [normalise_reason, heading_in, lambda url: _key(f"https://s3{url}/r/x")])
@pytest.mark.parametrize("unit", ["a", "7", "a/", " ", "'", "#", "-", ".", "s3.", ")=(", "http://"])
def test_what_searches_in_a_text_takes_time_in_proportion_to_it(call: Any, unit: str) -> None:
    def duration(size: int) -> float:
        started = time.thread_time()
        call((unit * size)[:size] + "!")
        return time.thread_time() - started

    assert min(duration(24) for _ in range(3)) < 100 * FLOOR
    short, long = (min(duration(size) for _ in range(5)) for size in (LONG, 2 * LONG))
    assert long < MOST_GROWTH * max(short, FLOOR)


def _key(url: str) -> None:
    with suppress(OtherBucketError):
        key_in_url(url, "content")
