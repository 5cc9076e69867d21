"""A trial: a roadmap of four concepts with a user of its own, which is run and erased afterwards.

The function that migrates inserts it, because nothing else reaches a private database. Requests to the API
are events of its functions, so that no token is needed.
"""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from local_stack.builds import REPOSITORY
from migrations.rehearsal import trial_framework
from roadmap_command.demo import with_offline_content
from roadmap_content.contracts.errors import PermanentError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import staged_key

from .belief import NotTriedError
from .stack import Stack

INSERT_PLAN = (
    "cloudformation.DescribeStacks",
    "cloudformation.ListStackResources",
    "lambda.Invoke",
    "s3.PutObject",
)
RUN_PLAN = (*INSERT_PLAN, "stepfunctions.StartExecution", "stepfunctions.DescribeExecution")


class NotErasedError(PermanentError, code="NotErased"):
    """A trial could not be erased yet. The message has the time or the reason."""


def insert(stack: Stack, *, with_a_fault: bool = False, without_one: bool = False) -> str:
    """Insert and stage a trial; return its id. With a fault, two quizzes have the same id; without one, an
    item is left to the generator.
    """
    trial = f"first-day-{secrets.token_hex(6)}"
    stack.before("erase", trial=trial)
    _, fault = stack.invoke(stack.alias("MigrateDatabaseFunction"), {"trial": trial})
    if fault:
        raise NotTriedError(f"the trial's roadmap was refused: {fault}")
    framework = {"roadmap": {"framework_data": trial_framework(trial)}}
    first, second, *others = with_offline_content(framework)["content"]
    if with_a_fault:
        second["quiz"]["quiz_id"] = first["quiz"]["quiz_id"]
    s3, bucket = stack.client("s3"), stack.outputs["ContentBucket"]
    for entry in (first, second, *others):
        for content_type in ContentType:
            if without_one and entry is first and content_type == ContentType.QUIZ:
                continue
            key = staged_key(trial, Item(entry["concept_id"], content_type))
            s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(entry[content_type]).encode())
    return trial


def erase(stack: Stack, trial: str) -> None:
    """Erase a trial with its user. Raises NotErasedError: not yet."""
    query = {"product_rows": "true"}
    while True:
        status, answer = ask(stack, "DELETE", f"/users/{trial}/content", **query)
        if status != 200:
            raise NotErasedError(f"{status} {answer}")
        if answer["complete"]:
            return
        if answer.get("waits_until"):
            raise NotErasedError(f"a run was stopped; again after {answer['waits_until']}")
        query["after"] = answer["after"]


def start(stack: Stack, trial: str) -> str:
    """Start a trial's run; return the execution's ARN."""
    machine = f"{stack.outputs['StateMachineArn']}:live"
    answer = stack.client("stepfunctions").start_execution(
        stateMachineArn=machine, name=f"{trial}-run", input=json.dumps({"task_id": trial})
    )
    return str(answer["executionArn"])


def end_of(stack: Stack, execution: str) -> str:
    """The status of an execution at its end, or after ten minutes."""

    def ended() -> str:
        answer = stack.client("stepfunctions").describe_execution(executionArn=execution)
        return "" if answer["status"] == "RUNNING" else str(answer["status"])

    return str(stack.until(ended, 600)) or "RUNNING"


def ask(stack: Stack, method: str, path: str, **query: str) -> tuple[int, Any]:
    """Send a request to the function that serves it, as an operator; return the status and the answer."""
    function = "OperatorApiFunction" if path.startswith("/users/") else "TaskApiFunction"
    answer, fault = stack.invoke(stack.alias(function), request_event(method, path, query))
    if fault:
        return 500, {"message": fault}
    return answer["statusCode"], json.loads(answer["body"] or "null")


def request_event(method: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
    """The example event of API Gateway as another request, of a verified operator."""
    event: dict[str, Any] = json.loads((REPOSITORY / "events/task_api.json").read_text())
    event |= {"httpMethod": method, "path": f"/api/v1{path}", "resource": f"/api/v1{path}"}
    event["queryStringParameters"] = dict(query) or None
    event["multiValueQueryStringParameters"] = {name: [value] for name, value in query.items()} or None
    event["requestContext"]["authorizer"] = {"user_id": "first-day", "roles": "operator"}
    return event
