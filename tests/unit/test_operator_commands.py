"""Every command in the documents for operators is valid: its operation, its options, the required ones, and
their values; and every `--query` matches the operation's response.
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator
from jmespath.parser import Parser
from typer._click.exceptions import MissingParameter
from typer.main import get_command

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from roadmap_command.main import app

DOCUMENTS = ("docs/runbook.md", "docs/deploy.md", "docs/adopting.md")
GLOBAL = {"query", "output", "region", "profile", "cli-read-timeout", "cli-binary-format", "no-cli-pager"}
CUSTOM = {
    ("cloudformation", "deploy"): {"template-file", "stack-name", "capabilities", "parameter-overrides"},
    ("s3", "sync"): {"delete"},
    ("s3", "rm"): {"recursive"},
}
RENAMED = {("sns", "subscribe"): {"notification-endpoint": "endpoint"}}
"""Options that the AWS CLI calls otherwise than the service."""

SPLIT = re.compile(r"[|;<{]|&&|\bdo\b|^\$|(?<![\w-])time(?![\w-])|\s#\s", re.MULTILINE)
INNERMOST = re.compile(r"\$?\(([^()]*)\)")
SESSION = botocore.session.get_session()
ROADMAP = get_command(app)


class Command(NamedTuple):
    """A command in a document. A command within a sentence may lack required options."""

    document: str
    words: str
    complete: bool
    quoted: "Quoted"

    def __str__(self) -> str:
        """The name of its test."""
        return f"{self.document}: {self.words}"

    def values(self, option: str) -> list[str]:
        """The values of an option, as written in the document."""
        words = self.words.split()
        after = words[words.index(f"--{option}") + 1 :]
        end = next((place for place, word in enumerate(after) if word.startswith("--")), len(after))
        if words[1:3] == ["lambda", "invoke"] and end == len(after):
            end -= 1  # the file that it writes
        return [self.quoted.text_of(word) for word in after[:end]]

    def texts(self) -> list[str]:
        """The words of the command, as written in the document."""
        return [self.quoted.text_of(word) for word in self.words.split()]


class Quoted:
    """The quoted texts of a piece of code, each replaced by `Q` and its number."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def replace_in(self, code: str, mark: str) -> str:
        """The code, with the texts between marks replaced."""

        def keep(match: re.Match[str]) -> str:
            self._texts.append(match[0])
            return f"Q{len(self._texts) - 1}"

        return re.sub(rf"{mark}[^{mark}]*{mark}", keep, code)

    def text_of(self, word: str) -> str:
        """The text between the marks, or the word itself."""
        if not re.fullmatch(r"Q\d+", word):
            return word
        text = self._texts[int(word[1:])][1:-1]
        return re.sub(r"\bQ(\d+)\b", lambda inner: self._texts[int(inner[1])], text)


def commands(document: str, program: str) -> Iterator[Command]:
    """The commands of a program in a document's code, with quoted texts replaced by `Q` and a number."""
    text = (REPOSITORY / document).read_text()
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    mentions = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    mentions = [re.sub(r"\s+", " ", mention) for mention in mentions]
    for code, complete in [*((block, True) for block in blocks), *((each, False) for each in mentions)]:
        quoted = Quoted()
        for line in quoted.replace_in(code.replace("\\\n", " "), "'").split("\n"):
            for part in _parts(line, quoted):
                if re.match(rf"(?:\.venv/bin/)?{program} [a-z]", part):
                    yield Command(document, part.removeprefix(".venv/bin/"), complete, quoted)


def _parts(line: str, quoted: Quoted) -> Iterator[str]:
    """The single commands of a line, those inside `$(…)` too."""
    while inner := INNERMOST.search(line):
        yield from _parts(inner[1], quoted)
        line = line.replace(inner[0], "Q")
    for part in SPLIT.split(quoted.replace_in(line, '"')):
        yield re.sub(r"^[$\s]*(?:\w+=(?:Q\d*)?)?\s*", "", part).strip()


def found(program: str) -> list[Command]:
    return [command for document in DOCUMENTS for command in commands(document, program)]


@pytest.mark.parametrize("command", found("aws"), ids=str)
def test_an_aws_command_has_a_valid_operation_and_options(command: Command) -> None:
    _, service, operation, *_ = words = command.words.split()
    options = {word[2:] for word in words if word.startswith("--")} - GLOBAL
    if (service, operation) in CUSTOM:
        assert options <= CUSTOM[service, operation]
        if operation == "deploy":
            (file,) = command.values("template-file")
            given = {value.partition("=")[0] for value in command.values("parameter-overrides")}
            assert given <= read_template(REPOSITORY / file)["Parameters"].keys()
        return
    model: Any = SESSION.get_service_model(service.removesuffix("api"))
    if operation == "wait":
        waiters = SESSION.get_waiter_model(service).waiter_names
        assert words[3] in {xform_name(name, "-") for name in waiters}
        return
    named = {xform_name(name, "-"): name for name in model.operation_names}
    called = model.operation_model(named[operation])
    shape = called.input_shape
    renamed = RENAMED.get((service, operation), {})
    options = {renamed.get(option, option) for option in options}
    assert options <= {xform_name(name, "-") for name in shape.members}
    for name, member in shape.members.items():
        if xform_name(name, "-") in options:
            option = {new: old for old, new in renamed.items()}.get(
                xform_name(name, "-"), xform_name(name, "-")
            )
            require_acceptable(member, command.values(option))
    if "query" in words_of(command):
        (query,) = command.values("query")
        assert select(Parser().parse(query).parsed, (called.output_shape,))
    a_variable_holds_options = "${data[@]}" in command.texts()
    if command.complete and not a_variable_holds_options:
        assert {xform_name(name, "-") for name in shape.required_members} <= options


def words_of(command: Command) -> set[str]:
    """The names of a command's options."""
    return {word[2:] for word in command.words.split() if word.startswith("--")}


PLACEHOLDER = re.compile(r"[$Q…]|\b[A-Z][A-Z-]+\b")


def require_acceptable(shape: Any, values: list[str]) -> None:
    """Raise if an option does not accept these values. Placeholders are accepted as any value."""
    if shape.type_name == "boolean":
        assert values == [], f"{shape.name} is a flag"
        return
    assert values, f"{shape.name} needs a value"
    if values[0].startswith(("[", "{")) and shape.type_name not in ("string", "blob"):
        errors = ParamValidator().validate(json.loads(values[0]), shape)
        assert not errors.has_errors(), errors.generate_report()
        return
    assert len(values) == 1 or shape.type_name == "list", f"{shape.name} takes one value: {values}"
    member = shape.member if shape.type_name == "list" else shape
    for value in values:
        if member.type_name == "structure":
            keys = set(re.findall(r"(?:^|,)(\w+)=", value))
            assert keys
            assert keys <= member.members.keys()
        elif allowed := getattr(member, "enum", None):
            assert value in allowed, f"{shape.name} takes {allowed}"
        elif not PLACEHOLDER.search(value) and member.type_name in ("integer", "long"):
            assert value.isdecimal()


class ListOf(NamedTuple):
    """A list of elements, each with one of the shapes."""

    shapes: tuple[Any, ...]


def select(node: dict[str, Any], shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shapes that a JMESPath expression selects from one of these shapes.

    Raises:
        AssertionError: there is no such member.
    """
    children = node["children"]
    match node["type"]:
        case "field":
            assert all(shape.type_name == "structure" for shape in shapes), f"{node['value']} of no structure"
            missing = [shape.name for shape in shapes if node["value"] not in shape.members]
            assert not missing, f"{missing} has no {node['value']}"
            return tuple(shape.members[node["value"]] for shape in shapes)
        case "subexpression" | "index_expression":
            for child in children:
                shapes = select(child, shapes)
            return shapes
        case "identity":
            return shapes
        case "index":
            return elements(shapes)
        case "flatten":
            inside = elements(select(children[0], shapes))
            lists = tuple(shape for shape in inside if is_list(shape))
            return (ListOf(tuple(each for each in inside if each not in lists) + elements(lists)),)
        case "projection" | "filter_projection":
            inside = elements(select(children[0], shapes))
            for condition in children[2:]:
                select(condition, inside)
            return (ListOf(select(children[1], inside)),)
        case "multi_select_list":
            return (ListOf(tuple(shape for child in children for shape in select(child, shapes))),)
        case "comparator":
            return select(children[0], shapes)
        case other:
            raise AssertionError(f"this test does not know {other} in a query")


def is_list(shape: Any) -> bool:
    """Whether the shape has elements."""
    return isinstance(shape, ListOf) or shape.type_name == "list"


def elements(shapes: tuple[Any, ...]) -> tuple[Any, ...]:
    """The shapes of the elements of lists."""
    assert all(is_list(shape) for shape in shapes), "not a list"
    return tuple(
        element
        for shape in shapes
        for element in (shape.shapes if isinstance(shape, ListOf) else (shape.member,))
    )


@pytest.mark.parametrize(
    ("service", "operation", "query"),
    [
        ("sqs", "ReceiveMessage", "Messages[].Text"),
        ("sqs", "ReceiveMessage", "Messages.Body"),
        ("cloudformation", "DescribeStacks", "Stacks[0].Outputs[?Name=='a'].OutputValue"),
        ("s3", "ListObjectVersions", "[Versions,DeleteMarkers][].[Key,Version]"),
    ],
)
def test_a_query_for_a_missing_member_is_detected(service: str, operation: str, query: str) -> None:
    shape = SESSION.get_service_model(service).operation_model(operation).output_shape
    with pytest.raises(AssertionError):
        select(Parser().parse(query).parsed, (shape,))


@pytest.mark.parametrize("command", found("roadmap"), ids=str)
def test_a_roadmap_command_has_valid_arguments_and_options(command: Command) -> None:
    _, name, *arguments = shlex.split(command.words)
    parsed: Any = ROADMAP
    if name == "load":
        return  # its argument is a file
    try:
        parsed.commands[name].make_context(name, arguments)
    except MissingParameter:
        assert not command.complete


ASSIGNED = re.compile(r"(?:^|[\s$(])(\w+)=|\bfor (\w+) in\b|\bread -r ([\w ]+)")


@pytest.mark.parametrize("document", ["docs/runbook.md", "docs/deploy.md"])
def test_every_variable_in_a_command_is_set_or_explained(document: str) -> None:
    text = (REPOSITORY / document).read_text()
    blocks = "\n".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    set_here = {name for found in ASSIGNED.findall(blocks) for name in " ".join(found).split()}
    explained = set(re.findall(r"`\$(\w+)`", text))
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", blocks)) - {"PWD", "PATH"}
    assert used <= set_here | explained


def test_no_command_relies_on_a_region_that_boto3_does_not_read() -> None:
    for document in DOCUMENTS:
        assert "AWS_REGION" not in (REPOSITORY / document).read_text(), "it reads AWS_DEFAULT_REGION"


def test_there_are_commands_to_check() -> None:
    words = [command.words for command in found("aws")]
    assert len(words) > 35
    assert any("restore-db-cluster-to-point-in-time" in each for each in words), "behind `time`"
    assert (
        sum(
            "OutputValue" in value
            for each in found("aws")
            if "query" in words_of(each)
            for value in each.values("query")
        )
        >= 2
    ), "in a function of the shell"
    assert len(found("roadmap")) > 20
