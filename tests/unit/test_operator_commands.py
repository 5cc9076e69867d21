"""Every command in the documents for operators exists: its operation, its options, and those required."""

import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore import xform_name
from typer._click.exceptions import MissingParameter
from typer.main import get_command

from local_stack.builds import REPOSITORY
from roadmap_command.main import app

DOCUMENTS = ("docs/runbook.md", "docs/deploy.md", "docs/adopting.md")
GLOBAL = {"query", "output", "region", "profile", "cli-read-timeout", "cli-binary-format", "no-cli-pager"}
CUSTOM = {
    ("cloudformation", "deploy"): {"template-file", "stack-name", "capabilities", "parameter-overrides"},
    ("s3", "sync"): {"delete"},
    ("s3", "rm"): {"recursive"},
}
SPLIT = re.compile(r"[|;<]|&&|\bdo\b|^\$|^\s*\$? ?time\b|\s#\s", re.MULTILINE)
INNERMOST = re.compile(r"\$?\(([^()]*)\)")
SESSION = botocore.session.get_session()
ROADMAP = get_command(app)


class Command(NamedTuple):
    """A command in a document. One that is mentioned in a sentence may lack what is required."""

    document: str
    words: str
    complete: bool


def commands(document: str, program: str) -> Iterator[Command]:
    """The commands of a program in a document's code, with quoted texts replaced by `Q`."""
    text = (REPOSITORY / document).read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    mentions = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for code, complete in [*((block, True) for block in blocks), *((each, False) for each in mentions)]:
        for line in re.sub(r"'[^']*'", "Q", code.replace("\\\n", " ")).split("\n"):
            for part in _parts(line):
                if re.match(rf"(?:\.venv/bin/)?{program} [a-z]", part):
                    yield Command(document, part.removeprefix(".venv/bin/"), complete)


def _parts(line: str) -> Iterator[str]:
    """The single commands of a line, those inside `$(…)` too."""
    while inner := INNERMOST.search(line):
        yield from _parts(inner[1])
        line = line.replace(inner[0], "Q")
    for part in SPLIT.split(re.sub(r'"[^"]*"', "Q", line)):
        yield re.sub(r"^[$\s]*(?:\w+=Q?)?\s*", "", part).strip()


def found(program: str) -> list[Command]:
    return [command for document in DOCUMENTS for command in commands(document, program)]


@pytest.mark.parametrize("command", found("aws"), ids=str)
def test_a_command_of_aws_has_its_operation_and_options(command: Command) -> None:
    _, service, operation, *_ = words = command.words.split()
    options = {word[2:] for word in words if word.startswith("--")} - GLOBAL
    if (service, operation) in CUSTOM:
        assert options <= CUSTOM[service, operation]
        return
    model: Any = SESSION.get_service_model(service.removesuffix("api"))
    if operation == "wait":
        waiters = SESSION.get_waiter_model(service).waiter_names
        assert words[3] in {xform_name(name, "-") for name in waiters}
        return
    shape = model.operation_model(
        {xform_name(name, "-"): name for name in model.operation_names}[operation]
    ).input_shape
    assert options <= {xform_name(name, "-") for name in shape.members}
    if command.complete and not re.search(r" \$data\b", command.words):  # a variable that holds options
        assert {xform_name(name, "-") for name in shape.required_members} <= options


@pytest.mark.parametrize("command", found("roadmap"), ids=str)
def test_a_command_of_ours_has_its_arguments_and_options(command: Command) -> None:
    _, name, *arguments = shlex.split(command.words)
    parsed: Any = ROADMAP
    if name == "load":
        return  # its argument is a file
    try:
        parsed.commands[name].make_context(name, arguments)
    except MissingParameter:
        assert not command.complete


def test_there_are_commands_to_check() -> None:
    assert len(found("aws")) > 25
    assert len(found("roadmap")) > 20
