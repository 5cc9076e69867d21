"""Both READMEs have the same content: headings, tables, commands and code."""

import re
from pathlib import Path

from local_stack.builds import REPOSITORY
from roadmap_command.interface import ExitCode

ENGLISH, CHINESE = REPOSITORY / "README.md", REPOSITORY / "README.zh.md"
HEADING = re.compile(r"^#+ ", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\]\(([^)]+)\)")


def table_shapes(document: Path) -> list[int]:
    """The number of cells of each line of each table."""
    return [line.count("|") for line in document.read_text().splitlines() if line.startswith("|")]


def test_headings_match() -> None:
    levels = [HEADING.findall(document.read_text()) for document in (ENGLISH, CHINESE)]
    assert levels[0] == levels[1]


def test_tables_match() -> None:
    assert table_shapes(ENGLISH) == table_shapes(CHINESE)


def code_of(language: str, block: str) -> str:
    """A block without its texts in a human language: the comments of commands, the labels of a diagram."""
    match language:
        case "console":
            return re.sub(r"\s+# .*$", "", block, flags=re.MULTILINE)
        case "mermaid":
            block = re.sub(r"(?<=-[-.]) \S.*? (?=(?:--|\.-)>)", " ", block)
            return re.sub(r'"(?:(\w+)(?:<br/>|: |：))?[^"]*"', r'"\1"', block)
        case _:
            return block


def test_blocks_of_code_and_commands_match() -> None:
    english, chinese = (
        [(language, code_of(language, block)) for language, block in BLOCK.findall(document.read_text())]
        for document in (ENGLISH, CHINESE)
    )
    assert english == chinese
    assert [language for language, _ in english] == ["console", "json", "mermaid", "console"]


def test_names_in_code_and_links_match() -> None:
    for pattern in (CODE, LINK):
        english, chinese = (sorted(pattern.findall(BLOCK.sub("", d.read_text()))) for d in (ENGLISH, CHINESE))
        swapped = {"README.md": "README.zh.md"}
        assert [swapped.get(name, name) for name in chinese] == english


def test_the_exit_codes_are_those_of_the_command() -> None:
    documented = re.findall(r"^\| (\d+) \|", ENGLISH.read_text(), re.MULTILINE)
    assert [int(code) for code in documented] == [code.value for code in ExitCode]


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for document in (ENGLISH, REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "docs/releasing.md"):
        assert set(re.findall(r"`make ([a-z-]+)", document.read_text())) <= targets
