"""The runbook's five incidents: each is played on the local stack, and its section is followed literally.

A section has three blocks of commands: look and contain, repair, and make sure that it is over. A shell
parses each command; a line of a block without `$` must be in the output of the command before it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from typer.testing import Result

from local_stack.errors import RefusedError
from local_stack.processes import becomes_true
from local_stack.template_file import Template
from roadmap_content.contracts.items import ContentType
from tests.support.converse_server import Behaviour, ConverseServer, Reply, answers, fails, fills_in
from tests.support.factories import bundle_of
from tests.support.local_release import deployed
from tests.support.machine import Machine
from tests.support.runbook import blocks_of, run

Roadmap = Callable[..., Result]
EXIT_CODES = (0, 1)
"""1: items are missing, or a person should check something."""

KEPT = {"content_schema_version", "content_capacity", "content_model_quota"}


class Section:
    """A section of the runbook, followed with a deployment in place of `make deploy`."""

    def __init__(self, name: str, deploy: Callable[[], None] | None = None, **values: str) -> None:
        self._deploy = deploy
        self.contain, self.repair, self.over = blocks_of(name, values)

    def follow(self, lines: list[str]) -> None:
        output = ""
        for line in lines:
            if not line.startswith("$ "):
                assert line in output, f"not printed: {line}\n{output}"
                continue
            code, output = self._run(line.removeprefix("$ "))
            assert code in EXIT_CODES, f"{line}\n{output}"

    def _run(self, command: str) -> tuple[int, str]:
        if command.startswith("make deploy "):
            assert self._deploy, "the section must not deploy"
            self._deploy()
            return 0, ""
        result = run(command)
        return result.exit_code, result.output


@pytest.fixture(autouse=True)
def _no_other_tasks(machine: Machine) -> Iterator[None]:
    """The database without the tasks of other tests, and its capacity as before."""
    tables = [
        row["tablename"]
        for row in machine.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    machine.execute(f"TRUNCATE {', '.join(sorted(set(tables) - KEPT))}")
    before = machine.rows("SELECT slots FROM content_capacity")[0]["slots"]
    machine.execute("UPDATE content_capacity SET slots = 10")  # as in the runbook
    yield
    machine.execute("UPDATE content_capacity SET slots = :slots, stopped_reason = NULL", slots=before)


def load(machine: Machine) -> None:
    """Load a roadmap of one concept, without content."""
    ids = machine.concept_ids(1)
    bundle = bundle_of(ids, roadmap_id=machine.roadmap_id, task_id=machine.task_id)
    machine.load_bundle(bundle | {"content": []})


@contextmanager
def asking(machine: Machine, behaviour: Behaviour, timeout: int = 3) -> Iterator[ConverseServer]:
    """A model with this behaviour, and a Generate that waits for it for seconds instead of minutes."""
    with ConverseServer(behaviour=behaviour) as server:
        configuration = machine.stack.client("lambda").get_function_configuration(
            FunctionName=machine.stack.functions["GenerateContentFunction"]
        )
        variables = configuration["Environment"]["Variables"] | server.settings(MODEL_TIMEOUT=str(timeout))
        changes = {"Environment": {"Variables": variables}, "Timeout": 20 + 2 * timeout}
        with machine.function_changed("GenerateContentFunction", **changes):
            yield server


def codes(machine: Machine) -> set[str]:
    return {item.error_code for item in machine.status().failed_items}


@pytest.mark.usefixtures("roadmap")
def test_the_model_is_throttled(machine: Machine) -> None:
    section = Section("ModelThrottledAlarm")
    load(machine)
    with asking(machine, lambda _: fails("ThrottlingException")) as server:
        machine.run()
        assert "ModelThrottled" in codes(machine)
        section.follow(section.contain)
        server.behaviour = answers
        section.follow(section.repair)
    section.follow(section.over)
    assert machine.status().status == "completed"


def test_a_task_is_processing_for_two_hours(machine: Machine, roadmap: Roadmap) -> None:
    section = Section("TasksStuckAlarm", TASK_ID=machine.task_id)
    load(machine)
    with asking(machine, lambda _: Reply({}, late=True), timeout=15) as server:
        machine.start()
        assert becomes_true(lambda: bool(server.calls), deadline_seconds=60)
        for column in ("roadmap_tasks.created_at", "roadmap_tasks.updated_at", "content_events.recorded_at"):
            table, _, name = column.partition(".")
            machine.execute(f"UPDATE {table} SET {name} = {name} - interval '2 hours'")
        section.follow(section.contain)
        assert machine.status().status == "processing"
        server.behaviour = answers
        section.follow(section.repair)
    section.follow(section.over)
    assert "stuck_tasks" not in roadmap("doctor").output
    assert machine.status().status == "completed"


@pytest.mark.usefixtures("roadmap")
def test_a_bad_release(machine: Machine) -> None:
    def break_save(template: Template) -> None:
        template["Resources"]["SaveBatchFunction"]["Properties"]["Handler"] = "app.no_such_handler"

    load(machine)
    with deployed(machine.stack, "bad", break_save) as deploy_former:
        machine.run()
        (code,) = codes(machine)
        section = Section("StepErrorsAlarm", deploy_former, ERROR_CODE=code)
        section.follow(section.contain)
        section.follow(section.repair)
        section.follow(section.over)
    assert machine.status().status == "completed"


@pytest.mark.usefixtures("roadmap")
def test_tokens_run_away(machine: Machine) -> None:
    load(machine)
    with asking(machine, lambda call: fills_in(call, {"title": "and nothing else"})) as server:
        machine.run()
        (code,) = codes(machine)
        assert len(server.calls) > len(ContentType), "each item was asked for repeatedly"
        section = Section("TokensPerItemAlarm", ERROR_CODE=code)
        section.follow(section.contain)
        server.behaviour = answers
        section.follow(section.repair)
    section.follow(section.over)
    assert machine.status().status == "completed"


def is_logged(text: str, machine: Machine, roadmap: Roadmap) -> bool:
    try:
        return text in roadmap("logs", machine.task_id).output
    except RefusedError:  # no line yet
        return False


def test_the_database_is_at_its_connection_limit(machine: Machine, roadmap: Roadmap) -> None:
    section = Section("ConnectionsRefusedAlarm")
    load(machine)
    machine.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE '%writer'")
    roadmap("capacity", "--slots", "10", "--reason", "the API has a connection")
    (held,) = machine.rows(
        "SELECT usename, count(*) AS connections FROM pg_stat_activity "
        "WHERE usename LIKE '%writer' GROUP BY usename"
    )
    role = held["usename"]
    machine.execute(f'ALTER ROLE "{role}" CONNECTION LIMIT {held["connections"]}')
    try:
        arn = machine.start()
        assert becomes_true(lambda: is_logged("53300", machine, roadmap), 60), "a connection is refused"
        section.follow(section.contain)
        assert machine.status().status != "completed"
    finally:
        machine.execute(f'ALTER ROLE "{role}" CONNECTION LIMIT -1')
    machine.wait(arn)
    section.follow(section.repair)
    section.follow(section.over)
    assert machine.status().status == "completed"
