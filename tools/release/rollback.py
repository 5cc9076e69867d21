"""`python -m release.rollback ENVIRONMENT`: move every alias back to the versions of a former release.

Nothing is built: each release has left a version of every function and of the state machine. CloudFormation
is not involved: its next deployment moves the aliases to new versions again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

import boto3
import typer

from local_stack.stack_functions import resources_of

from .clients import Clients, clients_of
from .command import run
from .configuration import CONFIGURATION, stack_in
from .errors import ReleaseError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

ALIAS = "live"
_FUNCTION_VERSION = re.compile(r":function:([A-Za-z0-9_-]+):(\d+)")


class Function(NamedTuple):
    """A deployed function: its versions with their releases, and the version behind its alias."""

    name: str
    live: int
    releases: Mapping[int, str]

    def newest_of(self, release: str) -> int | None:
        """The newest version of a release."""
        return max((version for version, each in self.releases.items() if each == release), default=None)

    def before(self) -> str | None:
        """The release of the newest version before the current release."""
        current = self.releases[self.live]
        earlier = [
            version for version, each in self.releases.items() if version < self.live and each != current
        ]
        return self.releases[max(earlier)] if earlier else None


class Move(NamedTuple):
    """An alias that is moved."""

    name: str
    live: int
    target: int


def release_before(functions: Sequence[Function]) -> str:
    """The release before the current one.

    Raises:
        ReleaseError: there is none, or the functions do not agree.
    """
    releases = {release for function in functions if (release := function.before()) is not None}
    if len(releases) != 1:
        found = ", ".join(sorted(releases)) or "none"
        raise ReleaseError(f"the release before the current one is not certain: {found}; name it: TO=RELEASE")
    return releases.pop()


def moves_to(release: str, functions: Sequence[Function]) -> list[Move]:
    """The aliases to move. A function that the release does not have keeps its version: nothing invokes it.

    Raises:
        ReleaseError: no function has a version of the release.
    """
    versions = [(function, function.newest_of(release)) for function in functions]
    if all(version is None for _, version in versions):
        known = sorted({each for function in functions for each in function.releases.values()})
        raise ReleaseError(f"no function has a version of release {release}, only of {', '.join(known)}")
    return [
        Move(function.name, function.live, version)
        for function, version in versions
        if version is not None and version != function.live
    ]


def belongs_to(release: str, definition: str, functions: Sequence[Function]) -> bool:
    """Whether a version of a state machine invokes functions of a release, and of no other."""
    releases = {function.name: function.releases for function in functions}
    invoked = {
        releases.get(name, {}).get(int(version)) for name, version in _FUNCTION_VERSION.findall(definition)
    }
    return invoked == {release}


class MachineMove(NamedTuple):
    """An alias of a state machine that is moved. Versions are ARNs; a canary has two."""

    machine: str
    live: Sequence[str]
    target: str


def rollback(
    environment: str,
    to: Annotated[str, typer.Option(help="The release; by default the one before the current one.")] = "",
) -> None:
    """Move every alias back to a former release, and print each move."""
    roll_back(clients_of(boto3.Session()), stack_in(CONFIGURATION, environment), to)


def roll_back(clients: Clients, stack: str, to: str = "") -> None:
    """The same for a stack. Every move is decided before the first one is made.

    Raises:
        ReleaseError: a deployment is in progress, or there is no such release.
    """
    cloudformation = clients("cloudformation", "")
    require_no_deployment(stack, cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    names = resources_of(cloudformation, stack, "AWS::Lambda::Function").values()
    machines = resources_of(cloudformation, stack, "AWS::StepFunctions::StateMachine").values()
    lambda_, stepfunctions = clients("lambda", ""), clients("stepfunctions", "")
    functions = [_read(lambda_, name) for name in names]
    release = to or release_before(functions)
    moves = moves_to(release, functions)
    machine_moves = [_machine_move(stepfunctions, each, release, functions) for each in machines]
    # New runs first: they invoke versions of functions, and not aliases.
    for each in machine_moves:
        if each.live != [each.target]:
            stepfunctions.update_state_machine_alias(
                stateMachineAliasArn=f"{each.machine}:{ALIAS}",
                routingConfiguration=[{"stateMachineVersionArn": each.target, "weight": 100}],
            )
            before = "/".join(map(_last, each.live))
            typer.echo(f"{_last(each.machine)}: {before} → {_last(each.target)}")
    for move in moves:
        lambda_.update_alias(
            FunctionName=move.name,
            Name=ALIAS,
            FunctionVersion=str(move.target),
            RoutingConfig={"AdditionalVersionWeights": {}},  # an interrupted canary gets no more requests
        )
        typer.echo(f"{move.name}: {move.live} → {move.target}")
    typer.echo(f"{stack} runs release {release}; runs that have started keep theirs")


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]


def require_no_deployment(stack: str, status: str) -> None:
    """Refuse while CloudFormation moves the aliases itself.

    Raises:
        ReleaseError: a deployment is in progress.
    """
    if status.endswith("_IN_PROGRESS"):
        raise ReleaseError(
            f"{stack} is {status}: wait, or stop the deployment, which restores the aliases: "
            f"aws cloudformation cancel-update-stack --stack-name {stack}"
        )


def _read(client: "LambdaClient", name: str) -> Function:
    alias = client.get_alias(FunctionName=name, Name=ALIAS)
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    releases = {
        int(version["Version"]): version.get("Environment", {}).get("Variables", {}).get("RELEASE", "")
        for page in pages
        for version in page["Versions"]
        if version["Version"] != "$LATEST"
    }
    return Function(name, int(alias["FunctionVersion"]), releases)


def _machine_move(
    client: "SFNClient", machine: str, release: str, functions: Sequence[Function]
) -> MachineMove:
    alias = client.describe_state_machine_alias(stateMachineAliasArn=f"{machine}:{ALIAS}")
    live = [route["stateMachineVersionArn"] for route in alias["routingConfiguration"]]
    for version in _versions_of(client, machine):
        definition = client.describe_state_machine(stateMachineArn=version)["definition"]
        if belongs_to(release, definition, functions):
            return MachineMove(machine, live, version)
    raise ReleaseError(f"{machine} has no version of release {release}")


def _versions_of(client: "SFNClient", machine: str) -> Iterator[str]:
    """The versions of a state machine, newest first."""
    token: dict[str, str] = {}
    while True:
        page = client.list_state_machine_versions(stateMachineArn=machine, **token)  # type: ignore[arg-type]
        yield from (each["stateMachineVersionArn"] for each in page["stateMachineVersions"])
        if "nextToken" not in page:
            return
        token = {"nextToken": page["nextToken"]}


if __name__ == "__main__":
    run(rollback)
