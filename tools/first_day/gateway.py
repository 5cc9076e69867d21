"""Beliefs about API Gateway: its answers, its access log, its limit, and a used-up reservation."""

import base64
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from .alarms import summed
from .belief import Answer, NotTriedError, belief, held_if
from .stack import Stack

PREFLIGHT = "/api/v1/first-day"
REFUSALS = {
    "unknown": (403, "MISSING_AUTHENTICATION_TOKEN"),
    "none": (401, "UNAUTHORIZED"),
    "wrong": (401, "UNAUTHORIZED"),
}
"""The status and the log's error of a request to an unknown path, without a token, and with a wrong one."""


def status_of(url: str, *, method: str = "GET", token: str = "") -> int:
    """The status of the answer to a request."""
    request = urllib.request.Request(url, method=method, headers={"Authorization": token} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def unsigned_token(parameters: Mapping[str, str]) -> str:
    """A token of the form of the issuer's, with a signature of nobody: the authorizer must read the keys."""
    header = {"alg": "HS256" if parameters["JwtSecretArn"] else "RS256", "kid": "first-day"}
    audience = parameters["JwtAudience"].partition(",")[0]
    claims = {"iss": parameters["JwtIssuer"], "aud": audience, "sub": "first-day", "exp": 4_000_000_000}
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), secrets.token_bytes(256)]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@belief(
    "cloudformation.DescribeStacks",
    "logs.FilterLogEvents",
    only_aws="the local cloud writes no access log",
)
def refusals(stack: Stack) -> Answer:
    """Unknown paths get 403, requests without a valid token 401; the access log distinguishes them."""
    mark = f"first-day-{secrets.token_hex(6)}"
    since = int(datetime.now(UTC).timestamp() * 1000)
    answered = {
        "unknown": status_of(f"{stack.url}/unknown-{mark}"),
        "none": status_of(f"{stack.url}/api/v1/tasks/none-{mark}"),
        "wrong": status_of(
            f"{stack.url}/api/v1/tasks/wrong-{mark}", token=f"Bearer {unsigned_token(stack.parameters)}"
        ),
    }

    def logged() -> dict[str, tuple[int, str]]:
        found = stack.client("logs").filter_log_events(
            logGroupName=f"/aws/apigateway/{stack.name}", startTime=since, filterPattern=f'"{mark}"'
        )
        lines = [json.loads(event["message"]) for event in found["events"]]
        kinds = {line["path"].rpartition("/")[2].removesuffix(f"-{mark}"): line for line in lines}
        seen = {kind: (int(line["status"]), line["error"]) for kind, line in kinds.items()}
        return seen if len(seen) == len(answered) else {}

    lines = stack.until(logged, 120)
    statuses = {kind: status for kind, (status, _) in REFUSALS.items()}
    return held_if(answered == statuses and lines == REFUSALS, f"answers {answered}, log {lines}")


@belief("cloudformation.DescribeStacks")
def options(stack: Stack) -> Answer:
    """A browser's OPTIONS to a path that has methods of its own is answered, without a token."""
    status = status_of(f"{stack.url}/api/v1/tasks", method="OPTIONS")
    return held_if(status == 204, f"the answer is {status}")


@belief("cloudformation.DescribeStacks")
def token(stack: Stack) -> Answer:
    """A token of the issuer passes the gateway, the authorizer and its keys; with another signature, none."""
    if not stack.token:
        raise NotTriedError("ROADMAP_TOKEN is not set: a token of any user")
    signed, _, signature = stack.token.rpartition(".")
    tokens = stack.token, f"{signed}.{signature[::-1]}"
    statuses = [status_of(f"{stack.url}/api/v1/tasks", token=f"Bearer {each}") for each in tokens]
    return held_if(statuses == [200, 401], f"answers {statuses}")


@belief(
    "cloudformation.DescribeStacks",
    "cloudwatch.GetMetricStatistics",
    disturbs=True,
    only_aws="the local cloud has no firewall",
)
def firewall(stack: Stack) -> Answer:
    """The firewall answers 429 to a token above its limit, without a method's limit being reached."""
    most = int(stack.parameters["WafRequestsPer5Minutes"])
    if not most:
        raise NotTriedError("WafRequestsPer5Minutes is 0: there is no firewall")
    since = datetime.now(UTC).replace(second=0, microsecond=0)
    name = f"Bearer {unsigned_token(stack.parameters)}"
    pace = int(stack.parameters["ApiRequestsPerSecond"]) // 2

    def refused() -> int:
        with ThreadPoolExecutor(pace) as pool:
            ask = partial(status_of, method="OPTIONS", token=name)
            return list(pool.map(ask, [stack.url + PREFLIGHT] * pace)).count(429)

    # The firewall counts with a delay of up to half a minute.
    seconds = 60 + 2 * most // pace
    found = stack.until(refused, seconds, every=1)
    dimensions = {"WebACL": f"{stack.name}-api", "Rule": "by-token", "Region": stack.region}
    blocked = stack.until(
        lambda: summed(stack, "AWS/WAFV2", "BlockedRequests", since, dimensions), 300, every=30
    )
    return held_if(found and blocked, f"{found} refused of {pace}, BlockedRequests {blocked}")


@belief(
    "cloudformation.DescribeStacks",
    "cloudwatch.GetMetricStatistics",
    disturbs=True,
    only_aws="the local cloud limits no requests",
)
def limit(stack: Stack) -> Answer:
    """Requests above a method's limit are answered with 429, and counted; those of another method are not."""
    since = datetime.now(UTC).replace(second=0, microsecond=0)
    urls = [stack.url + PREFLIGHT] * (4 * int(stack.parameters["ApiRequestsPerSecond"]))
    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda url: status_of(url, method="OPTIONS"), urls))
    other = status_of(f"{stack.url}/console")
    refused = statuses.count(429)
    if not refused or other != 200:
        return held_if(False, f"{len(statuses)} requests, {refused} refused; another method answers {other}")
    dimensions = {"ApiName": stack.name, "Stage": "live"}

    def counted() -> float:
        total = summed(stack, "AWS/ApiGateway", "4XXError", since, dimensions)
        return total if total >= refused else 0

    total = stack.until(counted, 300, every=30)
    return held_if(total, f"{refused} refused, 4XXError {total}; another method answers {other}")


@belief(
    "cloudformation.DescribeStacks",
    "cloudformation.ListStackResources",
    "lambda.GetFunctionConcurrency",
    "lambda.PutFunctionConcurrency",
    "lambda.DeleteFunctionConcurrency",
    disturbs=True,
    only_aws="the local cloud reserves no concurrency",
)
def reservation(stack: Stack) -> Answer:
    """A request to a function without concurrency is answered with 500, without an invocation."""
    client, name = stack.client("lambda"), stack.functions["ConsoleFunction"]
    if "ReservedConcurrentExecutions" in client.get_function_concurrency(FunctionName=name):
        raise NotTriedError("the console's function has a reservation already")
    stack.before("lambda.DeleteFunctionConcurrency", FunctionName=name)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)

    def answered() -> int:
        status = status_of(f"{stack.url}/console/")
        return status if status != 200 else 0  # a moment passes before it applies

    status = stack.until(answered, 60)
    return held_if(status == 500, f"the console answers {status or 200}")
