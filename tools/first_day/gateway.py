"""Beliefs about API Gateway: its answers, its access log, its limit, and a used-up reservation."""

import json
import secrets
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

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


@belief("cloudformation.DescribeStacks", "logs.FilterLogEvents")
def refusals(stack: Stack) -> Answer:
    """Unknown paths get 403, requests without a valid token 401; the access log tells them apart."""
    mark = f"first-day-{secrets.token_hex(6)}"
    since = int(datetime.now(UTC).timestamp() * 1000)
    answered = {
        "unknown": status_of(f"{stack.url}/unknown-{mark}"),
        "none": status_of(f"{stack.url}/api/v1/tasks/none-{mark}"),
        "wrong": status_of(f"{stack.url}/api/v1/tasks/wrong-{mark}", token="Bearer a.b.c"),  # noqa: S106
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


@belief("cloudformation.DescribeStacks", "cloudwatch.GetMetricStatistics", disturbs=True)
def limit(stack: Stack) -> Answer:
    """Requests above the limit are answered with 429, and `4XXError` counts them."""
    since = datetime.now(UTC).replace(second=0, microsecond=0)
    urls = [stack.url + PREFLIGHT] * (4 * int(stack.parameters["ApiRequestsPerSecond"]))
    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda url: status_of(url, method="OPTIONS"), urls))
    refused = statuses.count(429)
    if not refused:
        return held_if(False, f"{len(statuses)} requests, none refused")

    def counted() -> float:
        answer = stack.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/ApiGateway",
            MetricName="4XXError",
            Dimensions=[{"Name": "ApiName", "Value": stack.name}, {"Name": "Stage", "Value": "live"}],
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )
        total = sum(point["Sum"] for point in answer["Datapoints"])
        return total if total >= refused else 0

    total = stack.until(counted, 300, every=30)
    return held_if(total, f"{refused} refused, 4XXError {total}")


@belief(
    "cloudformation.DescribeStacks",
    "cloudformation.ListStackResources",
    "lambda.GetFunctionConcurrency",
    "lambda.PutFunctionConcurrency",
    "lambda.DeleteFunctionConcurrency",
    disturbs=True,
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
