"""The budget of connections: each function works with the connections that the reservations permit, and no
more.

The database permits exactly the budget. Each environment of each function works, and keeps its connections.
"""

import importlib
from collections.abc import Iterator
from itertools import chain

import pytest
from sqlalchemy import make_url

from local_stack.database_roles import DatabaseRoles
from release.connections import holders
from roadmap_content.contracts.errors import ContentIncomplete, DatabaseUnavailableError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import RunInput
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.state.services import Services
from tests.support.factories import bundle_of, concept_ids
from tests.support.machine_model import Run, State
from tests.support.pipeline import Pipeline, services_for
from tests.support.requests_to_api import request

CONCURRENCY = 2
PARAMETERS = dict.fromkeys(
    ("SaverConcurrency", "GeneratorConcurrency", "RunConcurrency", "ApiConcurrency"), str(CONCURRENCY)
)

STEPS = {
    State.PLAN: "PlanBatchesFunction",
    State.GENERATE: "GenerateContentFunction",
    State.SAVE: "SaveBatchFunction",
    State.FINALIZE: "FinalizeTaskFunction",
    State.AWAIT_REDRIVE: "AwaitRedriveFunction",
}


@pytest.fixture
def database_url(new_database_url: str) -> str:
    """A new database, because its limit is changed."""
    return new_database_url


@pytest.fixture
def environments(
    database_url: str, database_roles: DatabaseRoles, pipeline: Pipeline
) -> Iterator[dict[str, list[Services]]]:
    """The execution environments of each function, on a database that permits the budget and no more.

    PostgreSQL does not limit the administrator, but counts the test's own connection.
    """
    found = holders(PARAMETERS)
    budget = sum(holder.connections for holder in found)
    name = make_url(database_url).database
    pipeline.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {budget + 1}")
    opened = {
        holder.function: [services_of(database_roles, pipeline) for _ in range(holder.at_once)]
        for holder in found
    }
    yield opened
    for services in chain.from_iterable(opened.values()):
        services.engine.dispose()
        services.reading_engine.dispose()


def services_of(roles: DatabaseRoles, pipeline: Pipeline) -> Services:
    """The services of an environment, with connections of its own."""
    services = services_for(roles.writer)
    services.executions = pipeline.services.executions
    reader = Credentials.from_url(make_url(roles.reader))
    services.reading_engine = open_engine(lambda: reader, tls=False)
    return services


def work(environments: dict[str, list[Services]], pipeline: Pipeline, number: int) -> None:
    """A run that misses an item, a sweep, and requests of the API, each in its function's environment."""
    task_id, roadmap_id = f"t-{number}", f"r-{number}"
    ids = concept_ids(2, roadmap_id)
    pipeline.load(bundle_of(ids, roadmap_id=roadmap_id, task_id=task_id))
    pipeline.stage(Item(ids[0], ContentType.QUIZ), b"{")
    run = Run(f"arn:{number}", RunInput(task_id=task_id))
    while run.state is not State.AWAIT_REDRIVE:
        run.step(environments[STEPS[run.state]][number], Deadline.after(600))
    with pytest.raises(ContentIncomplete):
        run.step(environments[STEPS[run.state]][number], Deadline.after(600))
    reconcile(ReconcileRequest(), environments["ReconcileTaskFunction"][number], Deadline.after(600))
    for api, function in (("task_api", "TaskApiFunction"), ("operator_api", "OperatorApiFunction")):
        module = importlib.import_module(f"functions.{api}.app")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module.api, "services", environments[function][number])
            path = "/api/v1/tasks" if api == "task_api" else "/api/v1/recoveries"
            assert request(module, "GET", path, roles="operator").status == 200
            if api == "task_api":
                assert request(module, "POST", f"{path}/{task_id}/retry", roles="operator").status == 202


@pytest.mark.slow
def test_all_environments_work_within_the_budget_and_one_connection_more_is_refused(
    environments: dict[str, list[Services]], database_roles: DatabaseRoles, pipeline: Pipeline
) -> None:
    for number in range(CONCURRENCY):
        work(environments, pipeline, number)
    for holder in holders(PARAMETERS):
        for services in environments[holder.function]:
            for engine in (services.engine, services.reading_engine)[: holder.each]:
                transact(engine, lambda _: None, Deadline.after(2))
    one_more = services_for(database_roles.writer)
    with pytest.raises(DatabaseUnavailableError, match="53300"):
        transact(one_more.engine, lambda _: None, Deadline.after(2))
