"""Faults that a careful reader sees in a tutorial without knowing its subject."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from roadmap_content.content.tutorial import heading_in
from roadmap_content.contracts.documents import Document

from . import Finding, wrong_language

# Also within a quote or an item of a list.
_FENCE = re.compile(r"^[\s>]*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}(?=[^`]*$)|~{3,})\s*(\S*)")

# Behind front matter and comments, Mermaid expects one of these keywords.
_DIAGRAM = re.compile(
    r"(?:\s*---\n.*?\n---)?(?:\s*%%[^\n]*\n)*\s*(?:graph|flowchart|sequenceDiagram|classDiagram|stateDiagram"
    r"|erDiagram|journey|gantt|pie|quadrantChart|requirement|gitGraph|C4\w+|mindmap|timeline|zenuml|sankey"
    r"|xychart|block|packet|kanban|architecture|radar|treemap|info|venn|ishikawa)",
    re.DOTALL,
)
_PLACEHOLDER = re.compile(
    r"^[\s>*-]*TODO\b|\bTODO:|\bTBD\b|\bFIXME\b|lorem ipsum|\[(?:insert|add|your)\b[^\]]{0,200}\](?!\()"
    r"|(?:content|text|example) goes here|\bas an AI (?:language )?model\b"
    r"|\{\{\s*\w+(?:\.\w+)*\s*\}\}"
    r"|待补充|此处(?:填写|插入|省略)|作为(?:一个|一名)?(?:AI|人工智能)(?:语言)?(?:模型|助手)",
    re.IGNORECASE,
)
_CODE_SPAN = re.compile(r"`[^`]*`")

# Headings, tables, quotes, items, links, images and HTML need no full stop; nor does code.
_NOT_PROSE = re.compile(r"(?: {4}|\t)|\s*(?:[#|<>]|[-*+]\s|\d+[.)]\s|\[[^\]]*\]:|!?\[.*\)\s*$)")
_UNFINISHED = re.compile(r"[,;:(\[{，、；：（—–]$")
_UNFINISHED_PROSE = re.compile(rf"\w$|-$|{_UNFINISHED.pattern}")
_BREAK = re.compile(r"\s*(?:[-*_]\s*){3,}$")
_IDEOGRAPH_AT_THE_END = re.compile("[\u3040-\u30ff\u3400-\u9fff]$")
_WORD = re.compile(r"\w+")

MIN_REPEATED, MIN_PARAGRAPH = 8, 60
"""A paragraph of as many bytes is a finding if it occurs as often. One with code may be a step, and notes of
a reference are repeated some times.
"""

MIN_SENTENCE, COMMON_WORDS, MAX_COMMON = 8, 30, 4
"""People end some paragraphs without a full stop. One of as many words is cut off if its last one is short
and among the most frequent of the text, as *of*, *the* or *que* are, or is the beginning of another one.
Without spaces, a word has about two characters.
"""

LEAST_REST = 2
"""Letters that the other word has more: one may be a plural."""


class _Block(NamedTuple):
    """A block of code. `line` is that of its opening fence."""

    line: int
    kind: str
    code: list[str]


def find(tutorial: Document, language: str) -> Iterator[Finding]:
    """Findings of a tutorial, each with a line of its text."""
    lines, blocks, is_open = _read(str(tutorial.get("markdown", "")))
    if is_open:
        yield Finding("open-code-fence", f"line {blocks[-1].line}", "The block of code is never closed")
    for block in blocks:
        if block.kind == "mermaid" and not _DIAGRAM.match("\n".join(block.code) + "\n"):
            yield Finding("unknown-diagram", f"line {block.line}", "Mermaid knows no diagram that begins so")
    for number, line in enumerate(lines, start=1):
        if found := _PLACEHOLDER.search(_CODE_SPAN.sub("", line)):
            yield Finding("placeholder", f"line {number}", f"A placeholder was left: {found[0].strip()}")
    yield from _in_sections(lines)
    yield from _repeated_paragraphs(lines)
    yield from _within(lines)
    if not is_open:
        yield from _at_the_end(lines)
    yield from wrong_language("\n".join(lines), language)


def _read(markdown: str) -> tuple[list[str], list[_Block], bool]:
    """The lines of a text, blank in place of code; its blocks of code; and whether the last one is open."""
    lines: list[str] = []
    blocks: list[_Block] = []
    fence = ""
    for number, line in enumerate(markdown.splitlines(), start=1):
        match = _FENCE.match(line)
        closes = fence and match and match[1].startswith(fence) and not match[2]
        if match and not fence:
            fence = match[1]
            blocks.append(_Block(number, match[2].casefold(), []))
        elif closes:
            fence = ""
        elif fence:
            blocks[-1].code.append(line)
            line = ""
        lines.append(line)
    return lines, blocks, bool(fence)


def _in_sections(lines: Sequence[str]) -> Iterator[Finding]:
    """Headings with nothing below, and headings that occur twice in one section."""
    headings = [
        (number, heading) for number, line in enumerate(lines, start=1) if (heading := heading_in(line))
    ]
    levels = {number: len(lines[number - 1].split()[0]) for number, _ in headings}
    path: dict[int, str] = {}
    seen: set[tuple[str, ...]] = set()
    for (number, heading), (next_number, _) in pairwise([*headings, (len(lines) + 1, "")]):
        if levels.get(next_number, 0) <= levels[number] and not any(
            map(str.strip, lines[number : next_number - 1])
        ):
            yield Finding("empty-section", f"line {number}", f"Nothing is written below “{heading}”")
        path = {level: name for level, name in path.items() if level < levels[number]}
        path[levels[number]] = heading.casefold()
        if tuple(path.values()) in seen:
            yield Finding("repeated-heading", f"line {number}", f"The section “{heading}” occurs twice")
        seen.add(tuple(path.values()))


def _repeated_paragraphs(lines: Sequence[str]) -> Iterator[Finding]:
    numbers: dict[str, list[int]] = {}
    for number, line in enumerate(lines, start=1):
        is_prose = _WORD.search(line) and "`" not in line and not _NOT_PROSE.match(line)
        if is_prose and len(line.encode()) >= MIN_PARAGRAPH:
            numbers.setdefault(line.strip(), []).append(number)
    for paragraph, found in numbers.items():
        if len(found) >= MIN_REPEATED:
            sentence = f"The paragraph “{paragraph[:40]}…” occurs {len(found)} times"
            yield Finding("repeated-paragraph", f"line {found[1]}", sentence)


def _within(lines: Sequence[str]) -> Iterator[Finding]:
    """Last lines of sections, but the last one, that end within a sentence."""
    words = Counter(_WORD.findall(" ".join(lines).casefold()))
    never_last = {word for word, _ in words.most_common(COMMON_WORDS) if len(word) <= MAX_COMMON}
    never_last |= _beginnings(words)
    last = 0  # the line before, without blank ones
    for number, line in enumerate(lines, start=1):
        if heading_in(line) and last and _is_cut_off(lines[last - 1], never_last):
            yield Finding("cut-off", f"line {last}", f"The section ends with “{lines[last - 1][-40:]}”")
        if line.strip() and not _BREAK.match(line):
            last = number


def _beginnings(words: Counter[str]) -> set[str]:
    """The words that occur once, and are the beginning of a longer word of the text."""
    return {
        word
        for word, next_word in pairwise(sorted(words))
        if words[word] == 1 and next_word.startswith(word) and len(next_word) >= len(word) + LEAST_REST
    }


def _is_cut_off(line: str, never_last: Collection[str]) -> bool:
    prose = line.rstrip(" *_")
    if heading_in(line) or _NOT_PROSE.match(line) or not _UNFINISHED_PROSE.search(prose):
        return False
    if prose[-1] in ",;([{，、；（":
        return True
    if _IDEOGRAPH_AT_THE_END.search(prose):
        return len(prose) >= 2 * MIN_SENTENCE
    sentence = _WORD.findall(prose.casefold())
    return prose[-1].isalpha() and len(sentence) >= MIN_SENTENCE and sentence[-1] in never_last


def _at_the_end(lines: Sequence[str]) -> Iterator[Finding]:
    """A last line that ends within a sentence or a pair of marks."""
    written = [
        number for number, line in enumerate(lines, start=1) if line.strip() and not _BREAK.match(line)
    ]
    number = max(written, default=0)
    line = lines[number - 1] if number else ""
    unfinished = _UNFINISHED if _NOT_PROSE.match(line) else _UNFINISHED_PROSE
    if unfinished.search(line.rstrip(" *_")) or line.count("**") % 2:
        yield Finding("cut-off", f"line {number}", f"The text ends with “{line[-40:]}”")
