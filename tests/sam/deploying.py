"""Run `sam deploy` for three releases to the local cloud, save the sample with the deployed functions, and
`sam delete`.
"""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from local_stack.cloud import REGION, Cloud
from local_stack.database_roles import create_roles
from local_stack.errors import CommandFailedError
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
COMMON_LAYER = f"{STACK}-common"


class Change(NamedTuple):
    """Other code in the layer of all functions."""

    file: str
    before: str
    after: str


CHANGED = Change(
    "python/roadmap_content/runs/steps/handler.py",
    'result.model_dump(mode="json")',
    'result.model_dump(mode="json") | {"layer": "changed"}',
)
REFUSES_EVERY_ITEM = Change(
    "python/roadmap_content/content/kind.py", "_DECODER.decode(text)", "_DECODER.decode('[' + text)"
)
"""No step raises an error: each item fails with `InvalidContentError`."""


class Alias(NamedTuple):
    """The version, layers and settings behind a function's alias."""

    version: str
    release: str
    layers: Mapping[str, str]
    """The hash of each layer's content, by the layer's name."""

    settings: Mapping[str, str]


def deploy_run_and_delete(built: Built) -> str:
    """Deploy three releases, run the sample with the first, and delete; return a description of the result.

    The local cloud runs a `python3.13` function in its own interpreter, with the deployed code and layers.
    Therefore the cloud itself runs on Python 3.13 here.

    Raises:
        AssertionError: a release did not reach an alias, a run did not complete, or the stack was not
            deleted.
    """
    python = find_python313()
    with TemporaryDirectory(prefix="roadmap-sam-") as temporary:
        directory = Path(temporary)
        with step("starting PostgreSQL and the local cloud"):
            database = PostgresServer.start(directory / "postgres", fsync=False)
        with database, Cloud.start(directory / "cloud", python=python) as cloud:
            token_secret = secrets.token_urlsafe(32)
            parameters = local_parameters(cloud, create_roles(database.url), token_secret)
            releases = Releases(cloud)
            with step(f"sam deploy {STACK}, which migrates the database"):
                first = releases.deploy(built.template, "first", parameters)
            (described,) = cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
            outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
            functions = functions_of(cloud.client("cloudformation"), STACK)
            _check_runtimes(cloud, functions)
            stack = LocalStack(directory, database, cloud, outputs, functions, token_secret)
            with step("saving the sample roadmap through what was deployed"):
                saved = _run(Target.local(stack))
            with step("sam deploy of another commit, with changed code in the layer of all functions"):
                changed = with_changed_layer(built.template, CHANGED)
                second = releases.deploy(changed, "second", parameters)
            _require_changed_code(cloud, functions, first, second)
            with step("sam deploy of the same commit, with one changed parameter"):
                parameters |= {"BatchSize": "7"}
                third = releases.deploy(changed, "second", parameters)
            _require_moved(second, third)
            batch_size = third["PlanBatchesFunction"].settings["BATCH_SIZE"]
            if batch_size != "7":
                raise AssertionError(f"the alias of PlanBatchesFunction has BATCH_SIZE {batch_size}")
            with step("sam deploy of another parameter under the same release is refused"):
                template = read_template(changed)
                same = release_of("second", template, parameters_of(template, parameters))
                other = {**parameters, "BatchSize": "8"}
                again = partial(releases.deploy, changed, "second", other, release=same)
                _require_refusal(releases, "StaleReleaseError", again)
            with step("sam deploy of a release that refuses every item is refused before it runs"):
                refusing = with_changed_layer(built.template, REFUSES_EVERY_ITEM)
                fourth = partial(releases.deploy, refusing, "third", parameters)
                _require_refusal(releases, "RehearsalFailed", fourth)
            if releases.aliases() != third:
                raise AssertionError("the refused deployments have changed what the aliases run")
            with step(f"sam delete {STACK}"):
                _delete(cloud)
    return (
        f"{len(functions)} functions deployed, {saved} items saved; a changed layer and a changed parameter "
        "reached every alias; a release that refuses every item did not; all of it deleted"
    )


class Releases:
    """Deploys releases to the local cloud and reads the versions of their aliases."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def deploy(
        self, built: Path, commit: str, parameters: Mapping[str, str], *, release: str = ""
    ) -> dict[str, Alias]:
        """Deploy a build as `make deploy` does; return the state of the functions' aliases, by logical id.

        Raises:
            CommandFailedError: the deployment failed.
        """
        template = read_template(built)
        release = release or release_of(commit, template, parameters_of(template, parameters))
        stamped_path = built.with_name("release.json")
        stamped_path.write_text(json.dumps(stamped(template, release)))
        sam(
            *("deploy", "--template-file", stamped_path, "--stack-name", STACK, "--region", REGION),
            *("--resolve-s3", "--capabilities", "CAPABILITY_IAM"),
            *("--no-confirm-changeset", "--no-progressbar"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
            # Otherwise each deployment waits for its change set and for its stack in steps of 5 s.
            environment={**self._cloud.environment, "SAM_CLI_POLL_DELAY": "0.2"},
        )
        aliases = self.aliases()
        for logical_id, alias in aliases.items():
            if alias.release != release:
                raise AssertionError(f"the alias of {logical_id} runs {alias.release}, not {release}")
        return aliases

    def failures(self) -> list[str]:
        """The reasons why resources of the stack could not be changed."""
        events = self._cloud.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
        return [event.get("ResourceStatusReason", "") for event in events]

    def aliases(self) -> dict[str, Alias]:
        return dict(self._aliases())

    def _aliases(self) -> Iterator[tuple[str, Alias]]:
        client = self._cloud.client("lambda")
        for logical_id, name in functions_of(self._cloud.client("cloudformation"), STACK).items():
            deployed = client.get_function_configuration(FunctionName=name, Qualifier="live")
            arns = [layer["Arn"] for layer in deployed["Layers"]]
            layers = {
                arn.split(":")[-2]: client.get_layer_version_by_arn(Arn=arn)["Content"]["CodeSha256"]
                for arn in arns
            }
            settings = deployed["Environment"]["Variables"]
            yield logical_id, Alias(deployed["Version"], settings["RELEASE"], layers, settings)


def with_changed_layer(built: Path, change: Change) -> Path:
    """A copy of the build in which the layer of all functions has other code; return its template."""
    directory = built.parent.with_name("changed")  # the template refers to files by relative paths
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(built.parent, directory, copy_function=os.link)
    file = directory / "CommonLayer" / change.file
    source = file.read_text()
    if change.before not in source:
        raise AssertionError(f"{change.file} has no {change.before}")
    file.unlink()  # a hard link: the build must not be changed
    file.write_text(source.replace(change.before, change.after))
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()  # unchecked: it is not compared with its source
    template = directory / built.name
    template.unlink()
    template.write_text(built.read_text())
    (directory / "release.json").unlink(missing_ok=True)
    return template


def _require_changed_code(
    cloud: Cloud, functions: Mapping[str, str], first: Mapping[str, Alias], second: Mapping[str, Alias]
) -> None:
    """Check that every alias has the changed layer, and that a function invoked through its alias runs it."""
    _require_moved(first, second)
    for logical_id in first:
        if first[logical_id].layers[COMMON_LAYER] == second[logical_id].layers[COMMON_LAYER]:
            raise AssertionError(f"the alias of {logical_id} has the layer of the release before")
    answer = cloud.client("lambda").invoke(
        FunctionName=functions["ReconcileTaskFunction"], Qualifier="live", Payload=b'{"dry_run": true}'
    )
    payload = json.loads(answer["Payload"].read())
    if payload.get("layer") != "changed":
        raise AssertionError(f"the alias of ReconcileTaskFunction answers as before: {payload}")


def _require_moved(before: Mapping[str, Alias], after: Mapping[str, Alias]) -> None:
    for logical_id in before:
        if int(after[logical_id].version) <= int(before[logical_id].version):
            raise AssertionError(f"the alias of {logical_id} stays at version {before[logical_id].version}")


def _require_refusal(releases: Releases, error: str, deploy: Callable[[], object]) -> None:
    try:
        deploy()
    except CommandFailedError:
        if not any(error in reason for reason in releases.failures()):
            raise
    else:
        raise AssertionError(f"a release was deployed without {error}")


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
