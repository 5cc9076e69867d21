"""`sam deploy` to the local cloud, the sample roadmap saved by what was deployed, and `sam delete`."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local_stack.builds import REPOSITORY
from local_stack.cloud import REGION, Cloud
from local_stack.postgres_server import PostgresServer
from local_stack.stack import LocalStack, local_parameters
from local_stack.stack_functions import functions_of
from roadmap_command.runs import follow_run, start_run, task_status
from roadmap_command.target import Target

from .building import Built
from .command import sam
from .errors import ProofFailedError
from .expectations import EXPECTED, differences
from .python313 import NAME, find_python313
from .sample import load_sample
from .steps import step

STACK = "roadmap-content"


def deploy_run_and_delete(built: Built) -> str:
    """Deploy, migrate, run and delete; what came of it, in words.

    The local cloud runs a function of the runtime `python3.13` in its own interpreter, from the artefact and
    the layers that were deployed. So it runs on that very Python here.

    Raises:
        ProofFailedError: the run did not complete, or the stack did not go.
    """
    python = find_python313()
    with TemporaryDirectory(prefix="roadmap-sam-") as temporary:
        directory = Path(temporary)
        with step("starting PostgreSQL and the local cloud"):
            database = PostgresServer.start(directory / "postgres", fsync=False)
        with database, Cloud.start(directory / "cloud", python=python) as cloud:
            token_secret = secrets.token_urlsafe(32)
            with step(f"sam deploy {STACK}"):
                _deploy(cloud, built.template, local_parameters(cloud, database.url, token_secret))
            cloudformation = cloud.client("cloudformation")
            (described,) = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
            functions = functions_of(cloudformation, STACK)
            _check_runtimes(cloud, functions)
            with step("sam remote invoke MigrateDatabaseFunction"):
                _migrate(cloud)
            stack = LocalStack(directory, database, cloud, outputs, functions, token_secret)
            with step("saving the sample roadmap through what was deployed"):
                saved = _run(Target.local(stack))
            with step(f"sam delete {STACK}"):
                _delete(cloud)
    return f"{len(functions)} functions deployed, {saved} items saved, all of it deleted"


def _deploy(cloud: Cloud, template: Path, parameters: Mapping[str, str]) -> None:
    sam(
        *("deploy", "--template-file", template, "--stack-name", STACK, "--region", REGION, "--resolve-s3"),
        *("--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
        environment=cloud.environment,
    )


def _check_runtimes(cloud: Cloud, functions: Mapping[str, str]) -> None:
    """What is proven here is the artefacts only if the cloud has been given them as they are."""
    client = cloud.client("lambda")
    for logical_id, name in functions.items():
        runtime = client.get_function_configuration(FunctionName=name)["Runtime"]
        if runtime != NAME:
            raise ProofFailedError(f"{logical_id} was deployed for {runtime}")


def _migrate(cloud: Cloud) -> None:
    output = sam(
        *("remote", "invoke", "MigrateDatabaseFunction", "--stack-name", STACK, "--region", REGION),
        *("--event-file", REPOSITORY / "events/migrate_database.json"),
        environment=cloud.environment,
    )
    if found := differences(EXPECTED["migrate_database"], json.loads(output.answer)):
        raise ProofFailedError("\n".join([output.log, "the migration:", *found]))


def _run(target: Target) -> int:
    task = load_sample(target)
    arn = start_run(target.stepfunctions, target.state_machine_arn, task.task_id)
    ended = follow_run(target.stepfunctions, arn, lambda: None)
    status = task_status(target.engine, task.task_id)
    if (ended, status.status) != ("SUCCEEDED", "completed"):
        raise ProofFailedError(f"the run {ended}: task {status.status}, {status.error_message}")
    return sum(progress.saved for progress in status.progress.values())


def _delete(cloud: Cloud) -> None:
    sam(
        *("delete", "--stack-name", STACK, "--region", REGION, "--no-prompts"),
        environment=cloud.environment,
    )
    left: list[Any] = cloud.client("lambda").list_functions()["Functions"]
    if left:
        raise ProofFailedError(f"sam delete left {', '.join(each['FunctionName'] for each in left)}")
