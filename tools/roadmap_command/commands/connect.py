"""`roadmap token`, `env`, `invoke`: use the stack's API, resources and functions from other programs."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from local_stack.builds import REPOSITORY
from local_stack.errors import RefusedError
from local_stack.template_file import read_template
from roadmap_command.interface import Stack, print_json
from roadmap_command.local import local_stack
from roadmap_command.target import Target
from roadmap_content.client import API_URL, BUCKET, STATE_MACHINE_ARN

group = typer.Typer()


@group.command()
def token(
    user: Annotated[str, typer.Argument(metavar="USER", help="The user whom the token proves.")],
    scope: Annotated[str, typer.Option("--scope", help="Scopes of the token, separated by spaces.")] = "",
) -> None:
    """Print a token for the local stack's API, valid for an hour."""
    sys.stdout.write(local_stack().attach().token(user, scope) + "\n")


@group.command()
def env(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON in the format of `sam local invoke --env-vars`.")
    ] = False,
) -> None:
    """Print the local stack's URL, ARNs, bucket, database and credentials, for `eval "$(roadmap env)"`."""
    stack = local_stack().attach()
    variables = {
        API_URL: stack.api_url,
        BUCKET: stack.bucket,
        STATE_MACHINE_ARN: stack.state_machine_arn,
        "ROADMAP_DATABASE_URL": stack.database_url,
        **stack.environment,
    }
    if as_json:
        print_json({"Parameters": _variables_of_functions(stack) | variables})
    else:
        lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        sys.stdout.write("".join(lines))


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
    """Invoke a function with an event, and print its answer. What each event needs: events/README.md."""
    folders = _folders()
    logical_id = next((name for name, folder in folders.items() if function in (name, folder)), None)
    if logical_id is None:
        raise RefusedError(f"there is no function {function}; there are {', '.join(folders.values())}")
    file = event or REPOSITORY / "events" / f"{folders[logical_id]}.json"
    try:
        document = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise RefusedError(f"{file}: {error}") from error
    print_json(Target.named(stack).invoke(logical_id, document))


def _folders() -> dict[str, str]:
    """The folder of each function, by logical id."""
    resources = read_template(REPOSITORY / "template.yaml")["Resources"]
    return {
        logical_id: Path(resource["Properties"]["CodeUri"]).name
        for logical_id, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _variables_of_functions(stack: Any) -> dict[str, str]:  # noqa: ANN401 - its class is of the extra `local`
    """The deployed environment variables of the stack's functions."""
    client = stack.client("lambda")
    variables: dict[str, str] = {}
    for name in stack.functions.values():
        variables |= client.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    return variables
