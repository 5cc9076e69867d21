"""`python -m benchmarks.retrying`: a retry of 8 items, against functions that do nothing."""

import argparse
import json
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from local_stack.builds import REPOSITORY
from local_stack.deploy import PythonRuntime, create_stack, package, upload_template
from local_stack.environments import environment_python
from local_stack.stack import LocalStack
from local_stack.template_file import default_of, read_template
from roadmap_command.load import load_bundle
from roadmap_command.target import Target as Deployed
from roadmap_content.bundle import read_bundle
from roadmap_content.items import ContentType
from roadmap_content.runtime.deadline import Deadline

from .curriculum import Author, concept_ids
from .framework import framework_of
from .measuring import in_turn, seconds_of
from .report import finish
from .result import Result, Series, Target, now, this_machine, versions

MISSING = {ContentType.TUTORIAL: 3, ContentType.RESOURCES: 3, ContentType.QUIZ: 2}
"""The number of missing items of a retry."""

CONCEPTS, ROUNDS, LIMIT = 30, 15, 2.0
USER, ROADMAP, TASK = "user-1", "roadmap-retried", "task-retried"
OURS, NOTHING = "ours", "functions that do nothing"
POLL = 0.01

ABOUT = f"""
Retries a task of {CONCEPTS} concepts with {sum(MISSING.values())} missing items, all of them staged: from
the POST to the end of the execution, on the local cloud, with warm functions. *Functions that do nothing*:
the same state machine with the same batches, from StartExecution (without an API) to its end. Each function
returns a constant, without layers, database or S3. Its time is that of Step Functions and of the
invocations.
"""

_LOSE = {
    ContentType.TUTORIAL: "DELETE FROM tutorial_metadata WHERE tutorial_id IN "
    "(SELECT tutorial_id FROM tutorial_metadata WHERE roadmap_id = :roadmap_id ORDER BY concept_id LIMIT :n)",
    ContentType.RESOURCES: "DELETE FROM resource_recommendation_metadata WHERE id IN "
    "(SELECT id FROM resource_recommendation_metadata WHERE roadmap_id = :roadmap_id "
    "ORDER BY concept_id LIMIT :n)",
    ContentType.QUIZ: "DELETE FROM quiz_metadata WHERE quiz_id IN "
    "(SELECT quiz_id FROM quiz_metadata WHERE roadmap_id = :roadmap_id ORDER BY concept_id LIMIT :n)",
}


def main() -> None:
    """Measure, show, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--short", action="store_true", help="keep nothing; fail where a limit is missed by far"
    )
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-benchmark-") as folder,
        LocalStack.start(Path(folder)) as stack,
    ):
        target = Deployed.local(stack)
        machine_arn = _deploy_nothing(stack)
        _load(target)
        trials = {OURS: _ours(target), NOTHING: _nothing(target, machine_arn)}
        seconds = in_turn(trials, arguments.rounds, warm_up=3)
        target.engine.dispose()
    items = sum(MISSING.values())
    series = Series(
        name="time",
        title="A retry, from POST to completed",
        unit="s",
        size_name="items",
        base=NOTHING,
        values={name: {items: values} for name, values in seconds.items()},
    )
    result = Result(
        name="retry",
        title="A retry of a few items",
        about=ABOUT.strip(),
        machine=this_machine(),
        versions=versions("boto3"),
        measured_at=now(),
        series=[series],
        targets=[
            Target(
                label=f"a retry of {items} items, against functions that do nothing",
                value=series.ratio(OURS, items).median,
                limit=LIMIT,
            )
        ],
    )
    finish(result, short=arguments.short)


def _deploy_nothing(stack: LocalStack) -> str:
    """Deploy the same state machine with functions that do nothing; return its ARN."""
    template = read_template(REPOSITORY / "template.yaml")
    machine = template["Resources"]["SaveContentStateMachine"]["Properties"]
    names = [name for name in machine["DefinitionSubstitutions"] if name != "MaxConcurrency"]
    nothing = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Resources": {
            name: {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "CodeUri": "benchmarks/nothing",
                    "Handler": "app.handler",
                    "Runtime": "python3.13",
                    "Timeout": 60,
                },
            }
            for name in names
        }
        | {
            "Machine": {
                "Type": "AWS::Serverless::StateMachine",
                "Properties": {
                    "DefinitionUri": machine["DefinitionUri"],
                    "DefinitionSubstitutions": {name: {"Fn::GetAtt": [name, "Arn"]} for name in names}
                    | {"MaxConcurrency": default_of(template, "MaxConcurrency")},
                    "Policies": [{"LambdaInvokePolicy": {"FunctionName": {"Ref": name}}} for name in names],
                },
            },
        },
        "Outputs": {"StateMachineArn": {"Value": {"Ref": "Machine"}}},
    }
    s3 = stack.client("s3")
    runtime = PythonRuntime(environment_python("runtime"), {})
    packaged = package(nothing, REPOSITORY, runtime, s3, "artifacts")
    url = upload_template(packaged, s3, "artifacts")
    return create_stack(stack.client("cloudformation"), "nothing", url, {})["StateMachineArn"]


def _load(target: Deployed) -> None:
    ids = concept_ids(ROADMAP, CONCEPTS)
    author = Author()
    bundle = {
        "roadmap": {
            "roadmap_id": ROADMAP,
            "user_id": USER,
            "title": "A roadmap",
            "total_estimated_hours": 1.0,
            "recommended_completion_weeks": 1,
            "framework_data": framework_of(ids),
        },
        "task": {"task_id": TASK, "user_id": USER, "roadmap_id": ROADMAP},
        "content": [author.entry(concept_id, number) for number, concept_id in enumerate(ids)],
    }
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(60))
    _ours(target, lose=False)()


def _ours(target: Deployed, *, lose: bool = True) -> Callable[[], float]:
    api = target.api(USER)

    def retry() -> None:
        answer = api.retry(TASK)
        assert answer.status == 202, answer  # noqa: S101 - otherwise nothing is measured
        _await(target, answer.body["execution_arn"])

    def trial() -> float:
        if lose:
            with target.engine.begin() as connection:
                for content_type, number in MISSING.items():
                    connection.execute(text(_LOSE[content_type]), {"roadmap_id": ROADMAP, "n": number})
        return seconds_of(retry)

    return trial


def _nothing(target: Deployed, machine_arn: str) -> Callable[[], float]:
    def run() -> None:
        started = target.stepfunctions.start_execution(
            stateMachineArn=machine_arn, name=str(uuid.uuid4()), input=json.dumps({"task_id": TASK})
        )
        _await(target, started["executionArn"])

    return lambda: seconds_of(run)


def _await(target: Deployed, execution_arn: str) -> None:
    while True:
        status = target.stepfunctions.describe_execution(executionArn=execution_arn)["status"]
        if status != "RUNNING":
            assert status == "SUCCEEDED", status  # noqa: S101 - otherwise the wrong work is measured
            return
        time.sleep(POLL)


if __name__ == "__main__":
    main()
