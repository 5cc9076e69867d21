"""The console and the API on 127.0.0.1: the real handlers on real PostgreSQL, in the process of the test.

Emulated: API Gateway with its authorizer (`token_of`) and its compression, S3 in memory, and the state
machine (`tests/support/machine_model.py`). A test advances the executions itself: see `RealApi.play`.
"""

import base64
import gzip
import importlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import make_url

from functions.console import app as console
from local_stack.database_roles import DatabaseRoles
from roadmap_content.contracts.payloads import RunInput, StateError
from roadmap_content.state.services import Services
from tests.browser.texts import Author
from tests.support.http_server import HttpServer, Reply, Request, json_reply
from tests.support.machine_model import Run, State
from tests.support.pipeline import SETTINGS, Pipeline, services_for
from tests.support.requests_to_api import Reply as Answer
from tests.support.requests_to_api import request as invoke
from tests.support.runs import Runs

FUNCTIONS = {name: importlib.import_module(f"functions.{name}.app") for name in ("task_api", "operator_api")}
RECOVERY_PATHS = ("/api/v1/recoveries", "/api/v1/capacity", "/api/v1/failures/")

ROLES = {"owner": "owner", "viewer": "owner,viewer", "operator": "owner,operator"}

BATCH = 10
"""The concepts of a batch of staged items; a batch of items to generate has one."""

COMPRESSED_FROM = 1024
"""`MinimumCompressionSize` of the API, in bytes."""

CRASH = StateError(
    error="Runtime.ExitError",
    cause=json.dumps(
        {"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited with error: signal: killed"}
    ),
)


def token_of(role: str, user: str | None = None) -> str:
    """An unsigned token that only this server accepts, of a user with the role's name by default."""

    def part(document: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'sub': user or role, 'roles': ROLES[role]})}.x"


class Executions(Runs):
    """The executions, which a test advances."""

    def __init__(self) -> None:
        super().__init__([])

    def begin(self, task_id: str) -> None:
        """Start an execution directly, as in Step Functions."""
        self._add(Run(self.named_arn(f"{task_id}-direct"), RunInput(task_id=task_id)))

    def of(self, task_id: str) -> list[Run]:
        """The running executions of a task."""
        return [run for run in self._runs if run.input.task_id == task_id and run.running]

    def forget(self, task_id: str) -> None:
        """Delete the executions of a task, as Step Functions does after 90 days."""
        self._runs[:] = [run for run in self._runs if run.input.task_id != task_id]

    def stop(self, execution_arn: str) -> bool:
        """Stop an execution between two steps."""
        run = self._find(execution_arn)
        if run is None or not run.running:
            return False
        run.status = "ABORTED"
        return True


@dataclass
class RealApi:
    """One deployment: a database, a bucket, executions, and the address of its API."""

    database_url: str
    roles: DatabaseRoles
    requests: list[str] = field(default_factory=list)
    """The method and the target of each request."""

    url: str = ""
    recoveries: dict[str, str] = field(default_factory=dict)
    """The ids of the recoveries that `make_tasks` makes, by their state."""

    _one_at_a_time: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.executions = Executions()
        self.services = self._open()
        self.work = self._open()
        """The services of the steps, which run while the API answers."""

        self.administrator = services_for(self.database_url).engine

    def _open(self) -> Services:
        services = services_for(self.roles.writer, SETTINGS | {"BATCH_SIZE": "1"})
        services.reading_engine = services_for(self.roles.reader).engine
        services.executions = self.executions
        services.generator = Author()
        return services

    def answer(self, request: Request) -> Reply:
        """Answer as the deployed API would, below `/prod`."""
        self.requests.append(f"{request.method} {request.target}")
        path = urlsplit(request.target).path.removeprefix("/prod")
        reply = self._page(request, path) if path.startswith("/console") else self._api(request)
        if len(reply.body) < COMPRESSED_FROM or "gzip" not in request.headers.get("Accept-Encoding", ""):
            return reply
        return Reply(
            reply.status, gzip.compress(reply.body, 6), {**reply.headers, "Content-Encoding": "gzip"}
        )

    def _page(self, request: Request, path: str) -> Reply:
        asset = path.removeprefix("/console").removeprefix("/")
        parameters = {"asset": asset} if asset else None
        event = {"path": path, "headers": dict(request.headers.items()), "pathParameters": parameters}
        answer = console.handler(event, None)
        return Reply(answer["statusCode"], answer["body"].encode(), answer["headers"])

    def _api(self, request: Request) -> Reply:
        try:
            payload = request.headers["Authorization"].split(".")[1]
            caller = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (ValueError, KeyError, IndexError, AttributeError):
            return json_reply({"message": "Unauthorized"}, 401)
        status, body, headers = self._invoke(
            request.method,
            urlsplit(request.target).path.removeprefix("/prod"),
            request.query,
            user_id=caller["sub"],
            roles=caller["roles"],
            body=json.loads(request.body) if request.body else None,
            headers=dict(request.headers.items()),
        )
        return Reply(status, b"" if body is None else json.dumps(body).encode(), headers)

    def _invoke(self, method: str, path: str, query: Mapping[str, Sequence[str]], **event: Any) -> Answer:
        function = FUNCTIONS["operator_api" if path.startswith(RECOVERY_PATHS) else "task_api"]
        with self._one_at_a_time:  # as in one execution environment
            function.api.services = self.services
            return invoke(function, method, path, query, **event)

    def send(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Send a request as an operator; return the body of the answer, which is a success."""
        one_value = {name: [value] for name, value in query.items()}
        caller = {"user_id": "op-7", "roles": ROLES["operator"]}
        answer = self._invoke(method, f"/api/v1{path}", one_value, body=body, **caller)
        assert answer.status < 300, answer
        return answer.body

    def pipeline(self, task_id: str) -> Pipeline:
        """The steps and the database, for one task."""
        return Pipeline(self.work, task_id, self.administrator)

    def execute(self, sql: str, **parameters: object) -> None:
        """Change the database, as the product would."""
        self.pipeline("").execute(sql, **parameters)

    def play(self, *task_ids: str, lost: Collection[int] = (), until: int | None = None) -> None:
        """Run the executions of tasks to their end, or until a batch; lose the batches `lost`."""
        for run in [run for task_id in task_ids for run in self.executions.of(task_id)]:
            while run.running and not (run.state is State.GENERATE and run.batch == until):
                if run.state in (State.GENERATE, State.SAVE) and run.batch in lost:
                    run.catch(CRASH)
                else:
                    run.advance(self.work)


@contextmanager
def real_api(database_url: str, roles: DatabaseRoles) -> Iterator[RealApi]:
    """Serve for the duration of the block."""
    name = make_url(database_url).database
    own = DatabaseRoles(
        *(make_url(url).set(database=name).render_as_string(hide_password=False) for url in roles)
    )
    api = RealApi(database_url, own)
    with HttpServer(api.answer) as server:
        api.url = f"{server.url}/prod"
        yield api
    for services in (api.services, api.work):
        services.engine.dispose()
        services.reading_engine.dispose()
    api.administrator.dispose()
