"""Run every group of checks and print its problems."""

import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import typer
from botocore.exceptions import ClientError

from ..clients import Clients
from ..command import WRONG, has_no_access
from . import account, connections, database, model, network, secrets, stack, topic
from .problem import Problem, Target

CHECKS: Mapping[str, Callable[[Clients, Target], Iterator[Problem]]] = MappingProxyType(
    {
        "stack": stack.check,
        "account": account.check,
        "topic": topic.check,
        "secrets": secrets.check,
        "model": model.check,
        "network": network.check,
        "database": database.check,
        "connections": connections.check,
    }
)


def problems_of(clients: Clients, target: Target) -> Iterator[Problem]:
    """All problems. A group that may not be read is one, and does not stop the others."""
    for group, check in CHECKS.items():
        try:
            yield from check(clients, target)
        except ClientError as error:
            if has_no_access(error):
                raise
            yield Problem(f"{group}: {error}", f"allow {error.operation_name} to the role that deploys")


def require_prepared(target: Target, clients: Clients) -> None:
    """Print every problem, and exit with 1 if there is one."""
    found = list(problems_of(clients, target))
    for each in found:
        typer.echo(f"wrong   {each.wrong}\n  mend  {each.remedy}")
    typer.echo(
        "unread  the database's roles, max_connections and the product's tables: only the VPC reaches them.\n"
        "        The migration checks the roles before anything else is deployed.\n"
        f"        Connections: {connections.describe(target.parameters)} (docs/deploy.md)"
    )
    if found:
        typer.echo(f"{len(found)} problems; nothing was changed", err=True)
        sys.exit(WRONG)
    typer.echo(f"{target.stack}: nothing is missing")
