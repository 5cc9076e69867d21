"""The `roadmap` command: on the local stack by default, on a stack on AWS with `--stack`.

To add a command, write it in the module of its group under `commands/` (or in a new module with a `group` of
its own, listed in `GROUPS`). The options and exit codes that commands share are in `interface.py`.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from typer import rich_utils

from roadmap_command.commands import (
    capacity,
    connect,
    content,
    doctor,
    erase,
    failure_groups,
    history,
    leave,
    operate,
    recoveries,
    revisions,
    runs,
    stack,
)
from roadmap_command.compare import command as compare
from roadmap_command.interface import ExitCode, errors_in_one_line
from roadmap_content import __version__

GROUPS = (
    stack, content, compare, runs, history, revisions, operate, failure_groups, recoveries, capacity, erase,
    leave, doctor, connect
)  # fmt: skip
"""The modules with commands."""

PANELS: Mapping[str, Sequence[str]] = {
    "Try it on this machine": ("up", "down", "demo", "env", "token"),
    "One roadmap": ("load", "run", "retry", "cancel", "status", "watch", "show", "logs"),
    "One lesson": ("revisions", "restore"),
    "Many tasks": (
        "tasks", "failures", "heal", "recoveries", "pause", "resume", "origins", "regenerate", "undo",
    ),
    "The whole system": ("doctor", "reconcile", "capacity", "erase"),
}  # fmt: skip
"""The commands of `roadmap --help`, by a person's purpose."""

FURTHER = ("compare", "export", "findings", "invoke", "leave", "mcp", "redrive", "relay")
"""Commands that the documents name where they are needed."""

app = typer.Typer(
    name="roadmap",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    epilog=f"Further commands: {', '.join(FURTHER)}. Each has its own help: roadmap COMMAND --help.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"roadmap {__version__}\n")
        raise typer.Exit


def _name_the_place(stack: str | None) -> None:
    if stack is not None:
        raise typer.BadParameter("it stands after the command: roadmap COMMAND --stack NAME")


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version),
    ] = False,
    stack: Annotated[str | None, typer.Option("--stack", hidden=True, callback=_name_the_place)] = None,
) -> None:
    """Save a roadmap's generated content, and retry the missing items."""


for module in GROUPS:
    for command in module.group.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        command.hidden = name in FURTHER
        command.rich_help_panel = next((panel for panel in PANELS if name in PANELS[panel]), "Commands")
    app.add_typer(module.group)


def command_line() -> typer.core.TyperGroup:
    """The command; a flag has no type in its help."""
    built: typer.core.TyperGroup = typer.main.get_command(app)  # type: ignore[assignment]
    for each in (built, *built.commands.values()):
        for option in each.get_params(typer.Context(each)):
            if getattr(option, "is_flag", False):
                option.metavar = ""
    return built


def run() -> int:
    """Run the command of the process's arguments; return its exit code. An unknown error is raised."""
    if sys.stdout is None:  # closed by `>&-`
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - until the end
    if isinstance(sys.stdout, TextIOWrapper):
        # A title that the terminal's encoding lacks must not end the command.
        sys.stdout.reconfigure(errors="backslashreplace")
    if os.environ.get("NO_COLOR"):
        rich_utils.COLOR_SYSTEM = None
    code = 0
    try:
        with errors_in_one_line():
            command_line()()
    except SystemExit as exited:
        code = exited.code if isinstance(exited.code, int) else 0
    try:
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        # A broken pipe is none: as in `roadmap tasks | head -1`, nobody reads the rest.
        if not code and not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            code = ExitCode.EXTERNAL_FAILURE
    return code
