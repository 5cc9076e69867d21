"""`python -m smoke STACK`: run the checks that need a deployed stack.

Never run against AWS yet. The tests run `redrives` against the local stack, where redrive is emulated from
documentation. The other checks query Lambda about what no local cloud emulates.

It needs credentials of the account, an operator's token in `ROADMAP_TOKEN`, and in `ROADMAP_DATABASE_URL` the
database, for a role that may insert roadmaps. It creates a user with a roadmap, and erases it afterwards.
"""

import base64
import re
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from local_stack.stack_functions import functions_of
from local_stack.steps import console, step
from roadmap_command.demo import with_offline_content
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run, task_status
from roadmap_command.target import Target
from roadmap_content.content.bundle import BundleTask, read_bundle
from roadmap_content.contracts.erasure import Removed
from roadmap_content.contracts.errors import ContentError, PermanentError
from roadmap_content.platform.runtime.deadline import Deadline

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class SmokeError(PermanentError, code="Smoke"):
    """A check failed. The message contains the observed value."""


def redrives(target: Target) -> None:
    """An execution with an item that cannot be saved fails; redriven through the API, it completes. Nothing
    of its user is left.

    Raises:
        SmokeError: the result differs.
    """
    with _roadmap(target) as task:
        arn = start_run(target.stepfunctions, target.state_machine_arn, task.task_id)
        _expect("the run", follow_run(target.stepfunctions, arn, _nothing), "FAILED")
        found = task_status(target.engine, task.task_id)
        _expect("the task", (found.status, len(found.failed_items)), ("partial_failure", 1))
        answer = target.client().retry(task.task_id, force_checkpoint=True)
        _expect("the redrive", answer.status, "processing")
        _expect("the redriven run", follow_run(target.stepfunctions, arn, _nothing), "SUCCEEDED")
        _expect("the task", task_status(target.engine, task.task_id).status, "completed")
    left = target.client().erase(task.user_id, product_rows=True, dry_run=True)
    _expect("what is left", left.removed, Removed())


def snapshots_are_restored(functions: dict[str, str], client: "LambdaClient") -> None:
    """Functions that a user waits for restore from snapshots, if `SnapStart` is true. Prints the duration."""
    for logical_id in ("AuthorizeRequestFunction", "TaskApiFunction", "RecoveryApiFunction"):
        name = functions[logical_id]
        version = client.get_function_configuration(FunctionName=name, Qualifier="live")
        if version["SnapStart"]["ApplyOn"] == "None":
            continue
        _expect(f"SnapStart of {logical_id}", version["SnapStart"]["OptimizationStatus"], "On")
        answer = client.invoke(FunctionName=name, Qualifier="live", LogType="Tail", Payload=b"{}")
        restored = re.search(
            r"[Rr]estore.?[Dd]uration\D+([\d.]+)", base64.b64decode(answer["LogResult"]).decode()
        )
        console.print(f"    {logical_id}:", f"restored in {restored[1]} ms" if restored else "was warm")


@contextmanager
def _roadmap(target: Target) -> Iterator[BundleTask]:
    """A staged roadmap of four concepts, of which two share a quiz id: one of the quizzes is refused."""
    own = f"smoke-{uuid.uuid4().hex[:12]}"
    concepts = [
        {"concept_id": f"{own}:c-1-1-{number}", "name": f"Concept {number}", "description": "A test."}
        for number in range(1, 5)
    ]
    document = with_offline_content(
        {
            "roadmap": {
                "roadmap_id": own,
                "user_id": own,
                "title": "Smoke test",
                "total_estimated_hours": 1.0,
                "recommended_completion_weeks": 1,
                "framework_data": {
                    "stages": [{"name": "S", "modules": [{"name": "M", "concepts": concepts}]}]
                },
            },
            "task": {"task_id": own, "user_id": own, "roadmap_id": own},
        }
    )
    first, second, *_ = document["content"]
    second["quiz"]["quiz_id"] = first["quiz"]["quiz_id"]
    bundle = read_bundle(document)
    try:
        load_bundle(bundle, target.engine, target.bucket, Deadline.after(120))
        yield bundle.task
    finally:
        erased = target.client().erase(own, product_rows=True)
        if not erased.complete:
            console.print(f"    after {erased.waits_until}: roadmap erase --user {own} --product-rows")


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise SmokeError(f"{what}: {found}, not {expected}")


def _nothing() -> None:
    """Ignore progress."""


def main(stack: str) -> None:
    """Run all checks."""
    import boto3

    target, client = Target.on_aws(stack), boto3.client("lambda")
    functions = functions_of(boto3.client("cloudformation"), stack)
    with step("SnapStart restores"):
        snapshots_are_restored(functions, client)
    with step("a failed run is redriven, and completes"):
        redrives(target)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except ContentError as error:
        sys.exit(f"{error.code}: {error}")
