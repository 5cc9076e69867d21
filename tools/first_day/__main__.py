"""`python -m first_day STACK`: try our beliefs about AWS on a deployed stack. docs/first-day.md.

Never run against AWS yet. STACK is a stack on AWS or an environment of samconfig.toml; `local` is the running
local stack, which answers a part. Exit codes: 0 (nothing is refuted, with --smoke all is held, and nothing is
left to remove), 1, 3 (no access).
"""

import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import boto3
import typer

from release.clients import clients_of
from release.command import run
from release.configuration import CONFIGURATION, stack_in
from release.errors import ReleaseError
from roadmap_command.target import patient_lambda_client

from .alarms import alarms, metrics, page
from .belief import Answer, Belief, NotTriedError, Verdict
from .functions import aliases, database, endpoints, error_names
from .gateway import firewall, limit, options, refusals, reservation, token
from .releases import migration_failure, own_versions, rollback
from .runs import bucket_key, end_event, erasure, failover, generator, model, redrive, restore
from .stack import FAILURES, Stack
from .trial import erase

if TYPE_CHECKING:
    from local_stack.stack import LocalStack

BELIEFS = (
    aliases,
    database,
    endpoints,
    metrics,
    alarms,
    page,
    refusals,
    options,
    token,
    error_names,
    bucket_key,
    model,
    generator,
    redrive,
    end_event,
    erasure,
    restore,
    reservation,
    limit,
    firewall,
    failover,
    migration_failure,
    rollback,
    own_versions,
)
BY_NAME = {belief.name: belief for belief in BELIEFS}
UNDOING = {"erase": erase}
LOCAL = "local"


def first_day(
    stack: str,
    only: Annotated[
        str, typer.Option(help="The names of beliefs, separated by commas; also disturbing ones.")
    ] = "",
    smoke: Annotated[bool, typer.Option("--smoke", help="Only the short part, for a pipeline.")] = False,
    artifact: Annotated[str, typer.Option(help="Another release, for rollback and own_versions.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and send nothing.")] = False,
) -> None:
    """Try beliefs, undo their changes, and write the results into first-day-STACK.json."""
    is_local = stack == LOCAL
    chosen = chosen_beliefs(only, smoke=smoke, is_local=is_local)
    if dry_run:
        for belief in chosen:
            kind = "  asked for by name: it disturbs users" if belief.disturbs else ""
            kind += "  it pages people" if belief.pages else ""
            needs = "  needs another release: ARTIFACT=FILE" if belief.needs_release else ""
            typer.echo(f"{belief.name}: {belief.claim}{kind}{needs}\n  sends {', '.join(belief.plan)}")
        return
    deployed = stack_named(stack)
    deployed.artifact = artifact
    if remove_all(deployed) and not is_local:
        typer.echo("nothing was tried before this is removed", err=True)
        sys.exit(1)
    results = Path(f"first-day-{stack}.json")
    answers = {belief.name: tried(belief, deployed) for belief in chosen}
    at = datetime.now(UTC).isoformat(timespec="seconds")
    kept = json.loads(results.read_text()) if results.exists() else {}
    kept |= {name: {"at": at, **answer._asdict()} for name, answer in answers.items()}
    results.write_text(json.dumps(kept, indent=1) + "\n")
    # A pipeline must not go on with what was not tried, either.
    good = {Verdict.HELD} if smoke else {Verdict.HELD, Verdict.NOT_TRIED}
    bad = [name for name, answer in answers.items() if answer.verdict not in good]
    typer.echo(f"{results}: {len(answers)} beliefs; bad: {', '.join(bad) or 'none'}")
    left = remove_all(deployed)
    sys.exit(1 if bad or (left and not is_local) else 0)  # a local stack is thrown away


def chosen_beliefs(only: str, *, smoke: bool, is_local: bool = False) -> list[Belief]:
    """The beliefs to try: without names, all that disturb nobody. Raises ReleaseError: there is none of a
    name.
    """
    names = [name for name in only.split(",") if name]
    if unknown := sorted(set(names) - BY_NAME.keys()):
        raise ReleaseError(f"no belief {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    if names:
        return [BY_NAME[name] for name in names]
    return [each for each in BELIEFS if is_local or (not each.disturbs and (each.smoke or not smoke))]


def tried(belief: Belief, stack: Stack) -> Answer:
    """Try a belief, print the answer, and undo its changes."""
    try:
        answer = _answer(belief, stack)
    except FAILURES as error:
        answer = Answer(Verdict.NOT_TRIED, str(error))
    typer.echo(f"{answer.verdict:9} {belief.name}: {belief.claim}\n          {answer.said}")
    stack.remove_all()
    return answer


def _answer(belief: Belief, stack: Stack) -> Answer:
    if stack.is_local and belief.only_aws:
        raise NotTriedError(f"only AWS can answer: {belief.only_aws}")
    if belief.disturbs and not stack.is_local and stack.tags.get("first-day") != "may-disturb":
        raise NotTriedError("it disturbs users, and the stack has no tag first-day=may-disturb")
    if belief.needs_release and not stack.artifact:
        raise NotTriedError("it needs another release: ARTIFACT=FILE")
    return belief.attempt(stack)


def remove_all(stack: Stack) -> list[str]:
    """Undo every change; print, return and keep in its file the changes that are left."""
    left = stack.remove_all()
    for each in left:
        typer.echo(f"to remove: {each}\n          by another call; the list is {stack.todo}", err=True)
    return left


def stack_named(name: str) -> Stack:
    """The stack of an environment, a stack on AWS, or the local one."""
    todo = Path(f"first-day-{name}.todo.json")
    if name == LOCAL:
        from roadmap_command.local import local_stack

        return on_local_stack(local_stack().attach(), todo)
    with suppress(ReleaseError):  # it is the name of a stack
        name = stack_in(CONFIGURATION, name)
    shared = clients_of(boto3.Session())
    invoking = patient_lambda_client()
    return Stack(
        name,
        lambda service, region: invoking if service == "lambda" else shared(service, region),
        todo,
        UNDOING,
        token=os.environ.get("ROADMAP_TOKEN", ""),
    )


def on_local_stack(local: "LocalStack", todo: Path) -> Stack:
    """A local stack as the stack to try beliefs on."""
    return Stack(
        local.log_group.rpartition("/")[2],
        lambda service, _: local.client(service),
        todo,
        UNDOING,
        local.api_url,
        is_local=True,
        token=local.token("first-day"),
    )


if __name__ == "__main__":
    run(first_day)
