"""Every `roadmap` command in the documents for operators is valid, and every variable in a command is set."""

import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from typer._click.exceptions import MissingParameter, UsageError
from typer.main import get_command

from local_stack.builds import REPOSITORY
from roadmap_command.main import app

DOCUMENTS = ("docs/runbook.md", "docs/deploy.md", "docs/adopting.md", "docs/erasure.md")
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
ROADMAP = get_command(app)


class Command(NamedTuple):
    """A command in a document. A command within a sentence may lack required arguments."""

    document: str
    words: str
    complete: bool


def found() -> Iterator[Command]:
    for document in DOCUMENTS:
        text = (REPOSITORY / document).read_text()
        for block in BLOCK.findall(text):
            lines = block.replace("\\\n", " ")
            for words in re.findall(r"(?:^\$ |\bdo )(?:\.venv/bin/)?roadmap ([^|;\n]+)", lines, re.MULTILINE):
                yield Command(document, words, complete=True)
        for words in re.findall(r"`(?:\.venv/bin/)?roadmap ([^`]+)`", BLOCK.sub("", text)):
            yield Command(document, words, complete=False)


def fault_of(command: Command) -> str | None:
    """The defect of a command; `None` if it has none."""
    name, *arguments = shlex.split(command.words, comments=True)
    parsed: Any = ROADMAP
    if name == "load":
        return None  # its argument is a file
    try:
        parsed.commands[name].make_context(name, arguments)
    except MissingParameter as error:
        return str(error) if command.complete else None
    except (UsageError, KeyError) as error:
        return repr(error)
    return None


def test_the_roadmap_commands_of_the_documents_are_valid() -> None:
    commands = list(found())
    assert len(commands) > 20
    faults = {f"{each.document}: {each.words}": fault_of(each) for each in commands}
    assert {command: fault for command, fault in faults.items() if fault is not None} == {}


ASSIGNED = re.compile(r"(?:^|[\s$(])(\w+)=|\bfor (\w+) in\b|\bread -r ([\w ]+)")


@pytest.mark.parametrize("document", ["docs/runbook.md", "docs/deploy.md"])
def test_every_variable_in_a_command_is_set_or_explained(document: str) -> None:
    text = (REPOSITORY / document).read_text()
    blocks = "\n".join(BLOCK.findall(text))
    set_here = {name for found in ASSIGNED.findall(blocks) for name in " ".join(found).split()}
    explained = set(re.findall(r"`\$(\w+)`", text))
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", blocks)) - {"PWD", "PATH"}
    assert used <= set_here | explained
