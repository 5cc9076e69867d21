"""Run every function with its event, and a retry through the API, in containers with a local stack."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path

from sqlalchemy import text

from local_stack.builds import REPOSITORY
from local_stack.for_containers import reachable_at
from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from local_stack.steps import step
from local_stack.template_file import Template, of_type, read_template
from roadmap_command.commands.connect import variables_for_sam
from roadmap_command.demo import SAMPLE
from roadmap_command.load import load_bundle
from roadmap_command.runs import task_status
from roadmap_command.target import Target
from roadmap_content.content.bundle import BundleTask, parse_bundle
from roadmap_content.platform.runtime.deadline import Deadline
from tests.sam.containers import Containers, without_aliases
from tests.sam.docker_engine import Engine
from tests.sam.errors import MissingOnThisMachineError
from tests.sam.expectations import EXPECTED, SIDE_BY_SIDE, relevant
from tests.support.http_api import Api

_DEADLINE_SECONDS = 600.0

# So that the migration has work to do.
EMPTY_DATABASE = (
    text("DROP SCHEMA public CASCADE"),
    text("CREATE SCHEMA public"),
    text("GRANT USAGE ON SCHEMA public TO PUBLIC"),  # as in a new database
)

# The case of the bug report: the task and `framework_data` are `completed`, but the rows are missing.
LOSE_QUIZZES = text("DELETE FROM quiz_metadata WHERE roadmap_id = :roadmap_id")


def run_in_containers(template: Path, engine: Engine, directory: Path) -> str:
    """Invoke every function, then retry over HTTP; return a description of the result.

    Raises:
        AssertionError: a response differs from its expectation.
        MissingOnThisMachineError: containers of this engine cannot reach this machine.
    """
    functions = functions_by_folder(read_template(REPOSITORY / "template.yaml"))
    if unknown := functions.keys() ^ EXPECTED.keys():
        raise AssertionError(f"{', '.join(sorted(unknown))}: without a function or an expectation")
    with step("starting PostgreSQL and the local stack"):
        stack = LocalStack.start(directory / "stack", fsync=False)
    with stack, _reachable(stack, engine.bridge):
        target = Target.local(stack)
        containers = _containers(template, stack, engine, directory)
        migrate, *saving, retry = (name for name in EXPECTED if name not in SIDE_BY_SIDE)
        with target.engine.begin() as connection:
            for statement in EMPTY_DATABASE:
                connection.execute(statement)
        _invoke(containers, functions, migrate)
        bundle = parse_bundle(SAMPLE.read_bytes())
        load_bundle(bundle, target.engine, target.bucket, Deadline.after(300))
        task = bundle.task
        for name in saving:
            _invoke(containers, functions, name)
        _invoke(containers, functions, *SIDE_BY_SIDE)
        _invoke(containers, functions, retry)
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
    functions = of_type(template, "AWS::Serverless::Function")
    return {Path(each["CodeUri"]).name: logical_id for logical_id, each in functions.items()}


def _containers(built: Path, stack: LocalStack, engine: Engine, directory: Path) -> Containers:
    """The built functions, with the variables that `roadmap env --json --address` prints."""
    variables = directory / "env.json"
    variables.write_text(json.dumps(variables_for_sam(stack, engine.bridge)))
    # The API needs a template without aliases; `sam local invoke` takes the built one.
    api = built.with_name("api-in-containers.json")
    api.write_text(json.dumps(without_aliases(read_template(built))))
    environment = {
        **{name: value for name, value in stack.environment.items() if name != "AWS_ENDPOINT_URL"},
        **engine.environment,
        "TMPDIR": str(directory),  # the folder for its lock files
    }
    return Containers(built, api, variables, environment, pull=not engine.has_image)


@contextmanager
def _reachable(stack: LocalStack, bridge: str) -> Iterator[None]:
    """Make the stack's database and cloud reachable for containers."""
    with ExitStack() as relays:
        try:
            relays.enter_context(reachable_at(stack, bridge))
        except OSError as error:
            raise MissingOnThisMachineError(
                f"the Docker engine's bridge, {bridge}, is not an address of this machine: {error}"
            ) from error
        yield


def _invoke(containers: Containers, functions: Mapping[str, str], *names: str) -> None:
    """Invoke functions with their events, two at a time."""
    ids = [functions[name] for name in names]
    with step(f"sam local invoke {', '.join(ids)}"), ThreadPoolExecutor(2) as pool:
        invocations = pool.map(
            containers.invoke, ids, (REPOSITORY / "events" / f"{name}.json" for name in names)
        )
        for name, logical_id, invocation in zip(names, ids, invocations, strict=True):
            expected = {"errorType": None, **EXPECTED[name]}
            answer = relevant(expected, invocation.answer)
            assert answer == expected, f"{invocation.log}\n{logical_id} answers {answer}, not {expected}"


def _retry_over_http(containers: Containers, stack: LocalStack, task: BundleTask, lost: int) -> None:
    with containers.api() as url:
        api = Api(url, task.user_id, stack.token(task.user_id))
        stranger = Api(url, task.user_id, token="").retry(task.task_id)
        answer = api.retry(task.task_id)
    if stranger.status != HTTPStatus.UNAUTHORIZED:
        raise AssertionError(f"without a token, the retry was answered {stranger}")
    if (answer.status, answer.body.get("total_items")) != (HTTPStatus.ACCEPTED, lost):
        raise AssertionError(f"the retry was answered {answer}")


def _await_completion(target: Target, task: BundleTask) -> None:
    def is_complete() -> bool:
        status = task_status(target.engine, task.task_id)
        return status.status == "completed" and not any(each.missing for each in status.progress.values())

    if not becomes_true(is_complete, _DEADLINE_SECONDS):
        raise AssertionError(f"not completed: {task_status(target.engine, task.task_id)}")
