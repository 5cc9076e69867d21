"""`roadmap token`, `env`, `relay`, `invoke`, `mcp`: use the stack from other programs."""

import json
import shlex
import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from local_stack.builds import REPOSITORY
from local_stack.errors import RefusedError
from local_stack.template_file import of_type, read_template
from roadmap_command.interface import Stack, errors, named_user, print_json
from roadmap_command.local import local_stack
from roadmap_command.target import ALIAS, Target
from roadmap_content.client.client import API_URL, BUCKET, STATE_MACHINE_ARN
from roadmap_content.contracts.errors import requires_extra

if TYPE_CHECKING:
    from local_stack.stack import LocalStack

group = typer.Typer()


@group.command()
def token(
    user: Annotated[
        str, typer.Argument(metavar="USER", callback=named_user, help="The user (subject) of the token.")
    ],
    scope: Annotated[
        str,
        typer.Option(
            "--scope", help="Scopes, separated by spaces: content:operate (all tasks), content:view."
        ),
    ] = "",
) -> None:
    """Print a token for the local stack's API, valid for an hour."""
    sys.stdout.write(local_stack().attach().token(user, scope) + "\n")


@group.command()
def mcp(
    allow_writes: Annotated[
        bool,
        typer.Option("--allow-writes", help="Also offer retry, recovery and cancel, each after its preview."),
    ] = False,
    user: Annotated[
        str | None,
        typer.Option("--user", callback=named_user, help="Act as this user, with their own tasks only."),
    ] = None,
    stack: Stack = None,
) -> None:
    """Serve the API's operations to an assistant (Model Context Protocol, on stdin and stdout)."""
    with requires_extra("local", "`roadmap mcp`"):
        import mcp as _installed  # noqa: F401
    from roadmap_command.assistant import Assistant, server_for

    client = Target.named(stack).client(user)
    client.me()  # a token that the API refuses ends the command
    server_for(Assistant(client), allow_writes=allow_writes).run()


@group.command()
def env(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in the format of `sam local invoke --env-vars`.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option("--address", help="With --json: this machine's address for containers."),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option("--function", help="Print the environment of this function (save_batch), for an IDE."),
    ] = None,
) -> None:
    """Print the local stack's URL, ARNs, bucket, database and credentials, for `eval "$(roadmap env)"`."""
    stack = local_stack().attach()
    if function is not None:
        variables = {**stack.environment, **stack.variables()[_logical_id(function)]}
        sys.stdout.write("".join(f"{name}={value}\n" for name, value in variables.items()))
    elif as_json:
        print_json(variables_for_sam(stack, address))
    else:
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in _variables(stack).items())
        sys.stdout.write("".join(lines))


@group.command()
def relay(
    address: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The Docker engine's bridge: usually 172.17.0.1.")
    ],
) -> None:
    """Make the local stack reachable for containers at an address of this machine, until interrupted."""
    from local_stack.for_containers import reachable_at

    with reachable_at(local_stack().attach(), address):
        errors.print(f"Containers reach the local stack at {address}. Stop with Ctrl-C.")
        Event().wait()


@group.command()
def invoke(
    function: Annotated[
        str, typer.Argument(metavar="FUNCTION", help="A function's folder or logical id: save_batch.")
    ],
    event: Annotated[
        Path | None,
        typer.Option("--event", "-e", help="A JSON file. Default: events/FUNCTION.json.", dir_okay=False),
    ] = None,
    stack: Stack = None,
) -> None:
    """Invoke a function with an event, and print its response. events/README.md lists the prerequisites."""
    logical_id = _logical_id(function)
    file = event or REPOSITORY / "events" / f"{_folders()[logical_id]}.json"
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise RefusedError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise RefusedError(f"{file} is not JSON: {error}") from error
    print_json(Target.named(stack).invoke(logical_id, document))


def _logical_id(function: str) -> str:
    """The logical id of the function with this folder or logical id.

    Raises:
        RefusedError: there is none.
    """
    folders = _folders()
    for logical_id, folder in folders.items():
        if function in (logical_id, folder):
            return logical_id
    raise RefusedError(f"there is no function {function}; there are {', '.join(folders.values())}")


def _folders() -> dict[str, str]:
    """The folder of each function, by logical id."""
    functions = of_type(read_template(REPOSITORY / "template.yaml"), "AWS::Serverless::Function")
    return {logical_id: Path(each["CodeUri"]).name for logical_id, each in functions.items()}


def variables_for_sam(stack: "LocalStack", address: str | None = None) -> dict[str, dict[str, str]]:
    """The variables of each function for `sam local invoke --env-vars`; `address` is for containers."""
    from local_stack.for_containers import variables_for_containers

    return stack.variables() if address is None else variables_for_containers(stack, address)


def _variables(stack: "LocalStack") -> dict[str, str]:
    """The variables with which other programs use the stack."""
    return {
        API_URL: stack.api_url,
        BUCKET: stack.bucket,
        STATE_MACHINE_ARN: f"{stack.state_machine_arn}:{ALIAS}",
        "ROADMAP_DATABASE_URL": stack.database_url,
        "ARCHITECTURE": stack.architecture,
        **stack.environment,
    }
