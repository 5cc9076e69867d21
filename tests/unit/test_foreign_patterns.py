"""Each regular expression of ours takes time in proportion to its text. The list is derived from the modules,
and the texts from each expression: a way to each of its repetitions, which is then repeated, and fails.

One of a URL took twice as long with each hyphen; a staged key of 500 letters took 2.7 ms in a reason.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import roadmap_command
import roadmap_content
from functions.check_links import app as check_links
from local_stack.builds import REPOSITORY
from roadmap_content.content.tutorial import heading_in
from roadmap_content.contracts.errors import OtherBucketError
from roadmap_content.platform.storage.keys import key_in_url
from roadmap_content.state.failures.groups import normalise_reason

PARSER: Any = importlib.import_module("re._parser")
CATEGORIES = {"CATEGORY_DIGIT": "7", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "a", "CATEGORY_NOT_WORD": "-"}
LONG = 2_000
FLOOR = 200e-6
"""Seconds, below which the clock decides."""

TIMES, MOST_GROWTH = 4, 9.0
"""For four times the text, a quadratic expression takes sixteen times as long."""

TRIES = 5
"""Of a duration. A machine with other work may disturb some of them."""


SCANNING = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
"""The functions that try each place of a text, not only its begin."""

MODULES = [
    importlib.import_module(each.name)
    for package in (roadmap_content, roadmap_command)
    for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if each.name != "roadmap_command.product_migration"  # the text is the user's own
] + [check_links]

IN_JAVASCRIPT = re.compile(
    r"(?:^|[=(,:;!&|?{}>]) ?/((?![*/ ])(?:[^/\\\[\n]|\\.|\[(?:[^]\\\n]|\\.)*\])+)/([dgimsuy]*)(?=[.,;)])",
    re.MULTILINE,
)


class Used(NamedTuple):
    """A regular expression, and whether it is tried at each place of a text."""

    pattern: re.Pattern[str]
    is_scanning: bool


def patterns() -> dict[str, Used]:
    """The expressions of all modules, also those in lists and those in calls; and those of the console."""
    sources = {module.__name__: ast.parse(Path(str(module.__file__)).read_text()) for module in MODULES}
    calls = [node for tree in sources.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    scanned = {name_of(call.func.value) for call in calls if is_scanning(call)}  # type: ignore[attr-defined]
    found = {}
    for module in MODULES:
        for name, value in vars(module).items():
            for number, each in enumerate(flat(value)):
                if isinstance(each, re.Pattern) and isinstance(each.pattern, str):
                    is_in_list = not isinstance(value, re.Pattern)
                    found[f"{module.__name__}.{name}.{number}"] = Used(each, is_in_list or name in scanned)
        for call in ast.walk(sources[module.__name__]):
            match call:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="re"), attr=function),
                    args=[ast.Constant(value=str() as written), *_],
                ) if function != "compile":
                    used = Used(re.compile(written), function in SCANNING)
                    found[f"{module.__name__}:{call.lineno}"] = used
    for file in sorted((REPOSITORY / "console").glob("*.js")):
        for written, flags in IN_JAVASCRIPT.findall(file.read_text()):
            with suppress(re.error):  # Python has no \p{…}
                used = Used(re.compile(written, re.MULTILINE if "m" in flags else 0), is_scanning=True)
                found[f"{file.name}/{written}/"] = used
    return found


def is_scanning(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in SCANNING


def name_of(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


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


def texts(used: Used, size: int) -> Iterator[str]:
    """Texts of a size: the way to a repetition, and it again and again; for a scan, both again and again."""
    for before, body in repetitions(PARSER.parse(used.pattern.pattern, used.pattern.flags)):
        alphabet = sorted(samples(body))[:6]
        units = {example(body), *map("".join, product(alphabet, repeat=2)), *alphabet} - {""}
        for unit in sorted(units):
            yield before + (unit * size)[:size] + "\x00"
        if used.is_scanning and before:
            yield (before * size)[:size] + "\x00"
            yield ((before + min(units)) * size)[:size] + "\x00"


def seconds(used: Used, text: str) -> float:
    """The shortest of several durations, in processor time, so that other processes do not count."""
    found = []
    for _ in range(3):
        started = time.thread_time()
        used.pattern.fullmatch(text)
        used.pattern.match(text)
        if used.is_scanning:
            used.pattern.sub("", text)
        found.append(time.thread_time() - started)
        if found[-1] < FLOOR / 4:
            break
    return min(found)


PATTERNS = patterns()


def test_the_list_has_those_that_see_urls_keys_and_reasons() -> None:
    """And one in a call, and those of the console."""
    modules = {part for name in PATTERNS for part in re.split("[.:/]", name)}
    assert modules >= {"keys", "groups", "documents", "framework_text", "entity_tags", "parts"}


@pytest.mark.parametrize("used", PATTERNS.values(), ids=PATTERNS)
def test_the_time_grows_with_the_text(used: Used) -> None:
    for size in range(4, 34, 2):  # an exponential one would not end with a long text
        for text in texts(used, size):
            assert seconds(used, text) < 100 * FLOOR, text
    for short, long in zip(texts(used, LONG), texts(used, TIMES * LONG), strict=True):
        growths = (seconds(used, long) / max(seconds(used, short), FLOOR) for _ in range(TRIES))
        assert any(growth < MOST_GROWTH for growth in growths), short[:40]


@pytest.mark.parametrize("call", [normalise_reason, heading_in, lambda url: _key(f"https://s3{url}/r/x")])
@pytest.mark.parametrize("unit", ["a", "7", "a/", " ", "'", "#", "-", ".", "s3.", ")=(", "http://"])
def test_what_searches_in_a_text_takes_time_in_proportion_to_it(call: Any, unit: str) -> None:
    def duration(size: int) -> float:
        started = time.thread_time()
        call((unit * size)[:size] + "!")
        return time.thread_time() - started

    assert min(duration(24) for _ in range(3)) < 100 * FLOOR
    short, long = (min(duration(size) for _ in range(TRIES)) for size in (LONG, TIMES * LONG))
    assert long < MOST_GROWTH * max(short, FLOOR)


def _key(url: str) -> None:
    with suppress(OtherBucketError):
        key_in_url(url, "content")
