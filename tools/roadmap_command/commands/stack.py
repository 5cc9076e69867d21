"""`roadmap up`, `down`, `demo`: the local stack, and a demonstration on one of its own."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from local_stack.builds import REPOSITORY
from local_stack.errors import RefusedError
from local_stack.template_file import read_template
from roadmap_command.interface import command_name, confirmed, errors, if_interrupted
from roadmap_command.local import local_stack
from roadmap_command.target import Target
from roadmap_command.views import failing_model, word_of

if TYPE_CHECKING:
    from local_stack.given_database import AdoptedDatabase

group = typer.Typer()

Generator = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        metavar="FILE.py",
        help="Generate with `def generate(event)` of this file (docs/generation.md). It is not kept.",
    ),
]


@group.command()
def up(
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the data of the last stack first.")] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Use the database of DATABASE_URL directly, and migrate it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --adopt: do not ask before migrating.")] = False,
    time_zone: Annotated[
        str | None,
        typer.Option(help="With --adopt: the zone of the database's timestamps, such as Asia/Shanghai."),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Send events to the default bus of the local cloud.")
    ] = False,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A parameter of template.yaml, such as CorsOrigins=http://127.0.0.1:8000. It is kept.",
        ),
    ] = None,
    token_secret: Annotated[
        str,
        typer.Option(
            envvar="ROADMAP_TOKEN_SECRET", help="The secret of the API's tokens, to try those of the product."
        ),
    ] = "",
    fail: Annotated[
        str,
        typer.Option(
            "--fail", help="Let the offline model fail: 'refuse 10 %'; also throttle, cut, slow, down."
        ),
    ] = "",
    generator: Generator = None,
) -> None:
    """Start the local stack, with the data of the last one. The other commands use it.

    If it is already running, a new link to its console is printed. From now on the model fails as --fail
    says, and works without it.
    """
    stacks = local_stack()
    former = stacks.fail(fail)
    from local_stack.cloud import DEFAULT_EVENT_BUS_ARN
    from local_stack.given_database import place_of
    from local_stack.stack import StackRunningError

    if adopt != (time_zone is not None):
        raise RefusedError("--adopt and --time-zone are used together (docs/adopting.md)")
    adopted = _adopted(yes=yes) if adopt else None
    parameters = {} if time_zone is None else {"DatabaseTimeZone": time_zone}
    if events:
        parameters["EventBusArn"] = DEFAULT_EVENT_BUS_ARN
    if parameter:
        parameters |= parameters_from(parameter)
    interrupted = stacks.has_data() and not fresh
    try:
        with errors.working("starting PostgreSQL and the local cloud"):
            stack = stacks.up(
                fresh=fresh,
                adopted=adopted,
                parameters=parameters,
                token_secret=token_secret,
                generator=generator,
            )
    except StackRunningError:
        if fresh or adopt or parameters or generator:
            raise  # the running stack may have other settings
        stack = stacks.attach()
        interrupted = False
    if interrupted:
        with if_interrupted(f"The stack is up; stop it with: {command_name()} down"):
            _record_lost_executions(Target.local(stack))
    errors.print(
        f"The stack is up: the cloud at {stack.endpoint_url}, the database {place_of(stack.database_url)}."
    )
    if kept := stack.kept_parameters():
        errors.print(f"Its parameters, kept until `up --fresh`: {', '.join(map('='.join, kept.items()))}.")
    if fail:
        errors.print(failing_model(fail))
    elif former:
        errors.print(f"The offline model works again; until now: {former}.")
    errors.print("The console, signed in as an operator for one hour:")
    errors.print(stack.console_link())


def parameters_from(pairs: Iterable[str]) -> dict[str, str]:
    """Parameters of the template. Raises RefusedError: it has no such parameter."""
    known = read_template(REPOSITORY / "template.yaml")["Parameters"]
    given = dict(pair.partition("=")[::2] for pair in pairs)
    if unknown := given.keys() - known:
        raise RefusedError(f"template.yaml has no parameter {', '.join(sorted(unknown))}")
    return given


def _record_lost_executions(target: Target) -> None:
    """Record the outcome of runs that `roadmap down` has ended: the sweep of every five minutes would."""
    with errors.working("recording what the last stack did not"):
        result = target.invoke("ReconcileTaskFunction", {})
    for repair in result["repairs"]:
        errors.print(
            f"Task {repair['task_id']}, whose run ended with the last stack, is {word_of(repair['status'])}."
        )


def _adopted(*, yes: bool) -> "AdoptedDatabase":
    """The database to adopt, after the user has agreed to its migration."""
    from local_stack.given_database import AdoptedDatabase

    adopted = AdoptedDatabase.given()
    errors.print(
        f"The stack will work in the database {adopted.place} itself and migrate it: tables, columns, "
        f"indexes, triggers and three roles ({adopted.role_prefix}…) are added (docs/adopting.md). "
        "`roadmap down` does not change it."
    )
    if not yes:
        if not sys.stdin.isatty():
            raise RefusedError("the migration must be confirmed: use --yes without a terminal")
        if not confirmed("Migrate it?"):
            raise RefusedError("nothing was changed")
    return adopted


@group.command()
def down() -> None:
    """Stop the local stack. Tasks and content are kept for the next `roadmap up`; executions are not."""
    local_stack().down()
    errors.print("The stack is down.")


@group.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the stack at the end, and print a link to its console.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="With --keep: delete the data of the last local stack first.")
    ] = False,
    generator: Generator = None,
) -> None:
    """Run a roadmap through a separate stack, with three real faults, and repair it."""
    from roadmap_command.demo import run_demo

    run_demo(keep=keep, fresh=fresh, generator=generator)
