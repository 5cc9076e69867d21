"""Run `sam deploy` to the local cloud, save the sample with the deployed functions, and `sam delete`."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local_stack.cloud import REGION, Cloud
from local_stack.database_roles import create_roles
from local_stack.postgres_server import PostgresServer
from local_stack.stack import LocalStack, local_parameters
from local_stack.stack_functions import functions_of
from local_stack.steps import step
from local_stack.template_file import read_template
from release.sam_build import Built
from release.sam_cli import sam
from release.stamp import parameters_of, release_of, stamped
from roadmap_command.demo import SAMPLE, with_offline_content
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run, task_status
from roadmap_command.target import Target
from roadmap_content.content.bundle import read_bundle
from roadmap_content.platform.runtime.deadline import Deadline
from tests.sam.python313 import NAME, find_python313

STACK = "roadmap-content"


def deploy_run_and_delete(built: Built) -> str:
    """Deploy a release, run the sample with it, and delete it; return a description of the result.

    The local cloud runs a `python3.13` function in its own interpreter, with the deployed code and layers.
    Therefore the cloud itself runs on Python 3.13 here.

    Raises:
        AssertionError: a run did not complete, or the stack was not deleted.
    """
    python = find_python313()
    with TemporaryDirectory(prefix="roadmap-sam-") as temporary:
        directory = Path(temporary)
        with step("starting PostgreSQL and the local cloud"):
            database = PostgresServer.start(directory / "postgres", fsync=False)
        with database, Cloud.start(directory / "cloud", python=python) as cloud:
            token_secret = secrets.token_urlsafe(32)
            parameters = local_parameters(cloud, create_roles(database.url), token_secret)
            with step(f"sam deploy {STACK}, which migrates the database"):
                _deploy(cloud, built.template, parameters)
            (described,) = cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
            functions = functions_of(cloud.client("cloudformation"), STACK)
            _check_runtimes(cloud, functions)
            stack = LocalStack(directory, database, cloud, outputs, functions, token_secret)
            with step("saving the sample roadmap through what was deployed"):
                saved = _run(Target.local(stack))
            with step(f"sam delete {STACK}"):
                _delete(cloud)
    return f"{len(functions)} functions deployed, {saved} items saved; all of it deleted"


def _deploy(cloud: Cloud, built: Path, parameters: Mapping[str, str]) -> None:
    """Deploy a build as `make deploy` does."""
    template = read_template(built)
    release = release_of("first", template, parameters_of(template, parameters))
    stamped_path = built.with_name("release.json")
    stamped_path.write_text(json.dumps(stamped(template, release)))
    sam(
        *("deploy", "--template-file", stamped_path, "--stack-name", STACK, "--region", REGION),
        *("--resolve-s3", "--capabilities", "CAPABILITY_IAM"),
        *("--no-confirm-changeset", "--no-progressbar"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        # Otherwise the deployment waits for its change set and for its stack in steps of 5 s.
        environment={**cloud.environment, "SAM_CLI_POLL_DELAY": "0.2"},
    )


def _check_runtimes(cloud: Cloud, functions: Mapping[str, str]) -> None:
    """Check that the functions were deployed with their own runtime. Otherwise other code than the deployed
    one runs.
    """
    client = cloud.client("lambda")
    for logical_id, name in functions.items():
        runtime = client.get_function_configuration(FunctionName=name)["Runtime"]
        if runtime != NAME:
            raise AssertionError(f"{logical_id} was deployed for {runtime}")


def _run(target: Target) -> int:
    """Save the sample, with generated content for all of its items."""
    bundle = read_bundle(with_offline_content(json.loads(SAMPLE.read_bytes())))
    load_bundle(bundle, target.engine, target.bucket, Deadline.after(300))
    task = bundle.task
    arn = start_run(target.stepfunctions, target.state_machine_arn, task.task_id)
    ended = follow_run(target.stepfunctions, arn, lambda: None)
    status = task_status(target.engine, task.task_id)
    if (ended, status.status) != ("SUCCEEDED", "completed"):
        raise AssertionError(f"the run {ended}: task {status.status}, {status.error_message}")
    return sum(progress.saved for progress in status.progress.values())


def _delete(cloud: Cloud) -> None:
    sam(
        *("delete", "--stack-name", STACK, "--region", REGION, "--no-prompts"),
        environment=cloud.environment,
    )
    left: list[Any] = cloud.client("lambda").list_functions()["Functions"]
    if left:
        raise AssertionError(f"sam delete left {', '.join(each['FunctionName'] for each in left)}")
