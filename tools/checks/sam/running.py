"""Run every function with its event, and a retry through the API, in containers with a local stack."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from http import HTTPStatus
from pathlib import Path

from sqlalchemy import make_url, text

from local_stack.builds import REPOSITORY
from local_stack.processes import HOST, becomes_true
from local_stack.stack import LocalStack
from local_stack.template_file import Template, read_template
from roadmap_command.api_client import Api
from roadmap_command.runs import task_status
from roadmap_command.target import Target
from roadmap_content.bundle import BundleTask

from .containers import Containers, with_variables, without_aliases
from .docker_engine import Engine
from .errors import MissingOnThisMachineError, ProofFailedError
from .expectations import EXPECTED, differences
from .relay import relayed
from .sample import load_sample
from .steps import step

_DEADLINE_SECONDS = 600.0

# So that the migration has something to do.
EMPTY_DATABASE = (text("DROP SCHEMA public CASCADE"), text("CREATE SCHEMA public"))

# The case of the bug report: the task and `framework_data` are `completed`, but the rows are missing.
LOSE_QUIZZES = text("DELETE FROM quiz_metadata WHERE roadmap_id = :roadmap_id")


def run_in_containers(template: Path, engine: Engine, directory: Path) -> str:
    """Invoke every function, then retry over HTTP; return a description of the result.

    Raises:
        ProofFailedError: a response differs from its expectation.
        MissingOnThisMachineError: containers of this engine cannot reach this machine.
    """
    functions = functions_by_folder(read_template(REPOSITORY / "template.yaml"))
    if unknown := functions.keys() ^ EXPECTED.keys():
        raise ProofFailedError(f"{', '.join(sorted(unknown))}: without a function or an expectation")
    with step("starting PostgreSQL and the local stack"):
        stack = LocalStack.start(directory / "stack", fsync=False)
    with stack, _reachable(stack, engine.bridge):
        target = Target.local(stack)
        containers = _containers(template, stack, engine, directory)
        migrate, *others = EXPECTED
        with target.engine.begin() as connection:
            for statement in EMPTY_DATABASE:
                connection.execute(statement)
        _invoke(containers, functions[migrate], migrate)
        task = load_sample(target)
        for name in others:
            _invoke(containers, functions[name], name)
        _await_completion(target, task)  # for the execution that the API has started
        with target.engine.begin() as connection:
            lost = connection.execute(LOSE_QUIZZES, {"roadmap_id": task.roadmap_id}).rowcount
        with step(f"sam local start-api: {lost} quizzes are lost, and retried over HTTP"):
            _retry_over_http(containers, stack, task, lost)
        _await_completion(target, task)
    return (
        f"{len(EXPECTED)} functions answered their events, {lost} lost items came back by a retry over HTTP"
    )


def functions_by_folder(template: Template) -> dict[str, str]:
    """The logical ids of a template's functions, by the name of their code's folder."""
    return {
        Path(resource["Properties"]["CodeUri"]).name: logical_id
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _containers(built: Path, stack: LocalStack, engine: Engine, directory: Path) -> Containers:
    """The built functions, with the environment of the functions that are deployed to the local stack."""
    bridge = engine.bridge
    template = built.with_name("containers.json")
    changed = with_variables(read_template(built), _variables(stack, bridge))
    template.write_text(json.dumps(without_aliases(changed)))
    # Variables given to the SAM CLI override those of the template.
    environment = {
        **stack.environment,
        **engine.environment,
        "AWS_ENDPOINT_URL": _over(bridge, stack),
        "TMPDIR": str(directory),  # where it writes its locks
    }
    return Containers(template, environment, directory, pull=not engine.has_image)


def _variables(stack: LocalStack, bridge: str) -> dict[str, dict[str, str]]:
    """The deployed environment variables of the functions, with addresses replaced by the bridge."""
    secrets_manager = stack.client("secretsmanager")

    @cache
    def over_bridge(arn: str) -> str:
        """The ARN of a copy of a database's secret, with the bridge as the host."""
        secret = json.loads(secrets_manager.get_secret_value(SecretId=arn)["SecretString"])
        name = f"{secret['username']}-of-containers"
        copied = secrets_manager.create_secret(Name=name, SecretString=json.dumps(secret | {"host": bridge}))
        return str(copied["ARN"])

    def variables(name: str) -> dict[str, str]:
        configuration = stack.client("lambda").get_function_configuration(FunctionName=name)
        environment: dict[str, str] = configuration["Environment"]["Variables"]
        for setting in ("DATABASE_SECRET_ARN", "READER_SECRET_ARN"):
            if setting in environment:
                environment[setting] = over_bridge(environment[setting])
        return environment | {"AWS_ENDPOINT_URL": _over(bridge, stack)}

    return {logical_id: variables(name) for logical_id, name in stack.functions.items()}


def _over(bridge: str, stack: LocalStack) -> str:
    """The endpoint of the local cloud for containers."""
    return f"http://{bridge}:{stack.cloud.port}"


@contextmanager
def _reachable(stack: LocalStack, bridge: str) -> Iterator[None]:
    """Make the stack's database and cloud reachable for containers."""
    database = make_url(stack.database_url)
    servers = ((database.host or HOST, database.port or 5432), (HOST, stack.cloud.port))
    with ExitStack() as relays:
        for host, port in servers:
            try:
                relays.enter_context(relayed((bridge, port), (host, port)))
            except OSError as error:
                raise MissingOnThisMachineError(
                    f"the Docker engine's bridge, {bridge}, is not an address of this machine: {error}"
                ) from error
        yield


def _invoke(containers: Containers, logical_id: str, name: str) -> None:
    with step(f"sam local invoke {logical_id}"):
        invocation = containers.invoke(logical_id, REPOSITORY / "events" / f"{name}.json")
    if found := differences(EXPECTED[name], invocation.answer):
        heading = f"{logical_id} does not answer as it should:"
        raise ProofFailedError("\n".join([invocation.log, heading, *found]))


def _retry_over_http(containers: Containers, stack: LocalStack, task: BundleTask, lost: int) -> None:
    with containers.api() as url:
        api = Api(url, task.user_id, stack.token(task.user_id))
        stranger = Api(url, task.user_id, token="").retry(task.task_id)
        answer = api.retry(task.task_id)
    if stranger.status != HTTPStatus.UNAUTHORIZED:
        raise ProofFailedError(f"without a token, the retry was answered {stranger}")
    if (answer.status, answer.body.get("total_items")) != (HTTPStatus.ACCEPTED, lost):
        raise ProofFailedError(f"the retry was answered {answer}")


def _await_completion(target: Target, task: BundleTask) -> None:
    def is_complete() -> bool:
        status = task_status(target.engine, task.task_id)
        return status.status == "completed" and not any(each.missing for each in status.progress.values())

    if not becomes_true(is_complete, _DEADLINE_SECONDS):
        raise ProofFailedError(f"not completed: {task_status(target.engine, task.task_id)}")
