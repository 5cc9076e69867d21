"""Settings and quotas of the account: API Gateway's log role, Lambda's concurrency, Step Functions' rate."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from botocore.exceptions import ClientError

from local_stack.stack_functions import functions_of

from ..clients import Clients
from ..connections import holders
from .problem import Problem, Target

UNRESERVED = 100
"""Concurrency that Lambda keeps for functions without a reservation."""

CONSOLE_RATE = 200
"""The rate limit of the console's files in the template."""

_QUOTA_OF_CONCURRENCY = "L-B99A9384"


class Account(NamedTuple):
    """The settings and the quotas of an account."""

    log_role: str | None
    rate: float
    """Requests per second to all APIs of API Gateway."""

    burst: int
    unreserved: int
    """Concurrency of Lambda that no function has reserved."""

    reserved_by_stack: int
    """Concurrency that the deployed stack has reserved, and that the deployment replaces."""

    transitions: float | None
    """Step Functions' state transitions per second; `None` if Service Quotas does not list them."""


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read the account and decide."""
    yield from problems_of(_read(clients, target), target.parameters)


def problems_of(account: Account, parameters: Mapping[str, str]) -> Iterator[Problem]:
    """Decide whether they are enough for these parameters."""
    if not account.log_role:
        yield Problem(
            "API Gateway has no role for access logs in this account and region",
            "aws apigateway update-account --patch-operations op=replace,path=/cloudwatchRoleArn,value=ROLE "
            "(docs/deploy.md, step 1)",
        )
    rate = int(parameters["ApiRequestsPerSecond"]) + CONSOLE_RATE
    if account.rate < rate or account.burst < rate:
        yield Problem(
            f"API Gateway allows {account.rate:.0f} requests per second (burst {account.burst}) to all APIs, "
            f"and the limits of one method and of the console's files are {rate} together",
            "lower ApiRequestsPerSecond, or ask for more: aws service-quotas request-service-quota-increase "
            f"--service-code apigateway --quota-code L-8A5B8E43 --desired-value {rate}",
        )
    wanted = sum(holder.at_once for holder in holders(parameters))
    left = account.unreserved + account.reserved_by_stack - wanted
    if wanted and left < UNRESERVED:
        total = account.unreserved + UNRESERVED - left
        yield Problem(
            f"the functions reserve {wanted}, which leaves {left} of Lambda's concurrency unreserved; Lambda "
            f"requires {UNRESERVED}",
            "set SaverConcurrency, GeneratorConcurrency, RunConcurrency and ApiConcurrency to 0 until the "
            "quota is raised: aws service-quotas request-service-quota-increase "
            f"--service-code lambda --quota-code {_QUOTA_OF_CONCURRENCY} --desired-value {total}",
        )
    if account.transitions is None:
        yield Problem(
            "Service Quotas lists no rate of state transitions for Step Functions, so it was not compared",
            "aws service-quotas list-service-quotas --service-code states "
            "--query 'Quotas[].[QuotaName,Value]'",
        )
    elif account.transitions < (needed := transitions_needed(parameters)):
        yield Problem(
            f"Step Functions allows {account.transitions:.0f} state transitions per second, and "
            f"{needed} can be caused at once",
            "lower SaverConcurrency, or ask for more in Service Quotas (states, StateTransition)",
        )


def transitions_needed(parameters: Mapping[str, str]) -> int:
    """State transitions per second, if every batch that runs at the same time takes one second.

    A batch is two states, Generate and Save. Without reservations, one run's batches are counted.
    """
    at_once = int(parameters["SaverConcurrency"]) + int(parameters["GeneratorConcurrency"])
    return 2 * max(at_once, int(parameters["MaxConcurrency"]))


def _read(clients: Clients, target: Target) -> Account:
    gateway = clients("apigateway", "").get_account()
    limits = clients("lambda", "").get_account_settings()["AccountLimit"]
    throttle = gateway.get("throttleSettings", {})
    return Account(
        gateway.get("cloudwatchRoleArn"),
        throttle.get("rateLimit", 0),
        throttle.get("burstLimit", 0),
        limits["UnreservedConcurrentExecutions"],
        _reserved_by(target, clients),
        _transitions(clients),
    )


def _reserved_by(target: Target, clients: Clients) -> int:
    try:
        functions = functions_of(clients("cloudformation", ""), target.stack)
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return 0  # the first deployment
        raise
    client = clients("lambda", "")
    reserving = [holder.function for holder in holders(target.parameters)]
    names = [functions[each] for each in reserving if each in functions]
    return sum(
        client.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions", 0)
        for name in names
    )


def _transitions(clients: Clients) -> float | None:
    pages = clients("service-quotas", "").get_paginator("list_service_quotas").paginate(ServiceCode="states")
    rates = [
        quota["Value"]
        for page in pages
        for quota in page["Quotas"]
        if "statetransition" in quota["QuotaName"].lower().replace(" ", "")
        and "second" in quota["QuotaName"].lower()
    ]
    return min(rates, default=None)
