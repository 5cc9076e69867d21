"""Every operation of docs/openapi.json: its callers, parameters, errors, and the method of the client.

The services of most tests are absent: a request that passes every check ends with 503. Isolation in SQL needs
a database; `test_another_user_finds_nothing` has one.
"""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from documents.openapi import FUNCTIONS, PAGE
from roadmap_content import Client
from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.contracts.states import Role
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.http_server import HttpServer, Reply, Request, json_reply
from tests.support.openapi import DOCUMENT, example, resolved, value_of
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask, request

BELOW = "/api/v1"
VALUES = {"task_id": "t-1", "recovery_id": "rec-1", "group_id": "0" * 16, "content_type": "tutorial",
          "concept_id": "c 1", "user_id": USER, "revision_id": USER, "exact": USER}  # fmt: skip
BODIES: Mapping[str, dict[str, Any]] = {
    "retry_task": {},
    "create_recovery": {"filter": {"q": "t"}, "reason": "r"},
    "change_capacity": {"slots": 3, "reason": "r"},
    "change_failure_group": {"state": "ignored", "note": "n"},
}
PERMITTED = dict(re.findall(r"^\| `(\w+ /\S+)` \| ([a-z, ]+) \|", PAGE.read_text(), re.MULTILINE))
ROLES = {Role.OWNER: "owner", Role.VIEWER: "owner,viewer", Role.OPERATOR: "owner,operator"}


class Operation(NamedTuple):
    """An operation of the document."""

    name: str
    method: str
    path: str
    parameters: list[dict[str, Any]]
    responses: dict[str, Any]
    has_body: bool

    def request(self, **others: Any) -> tuple[str, str, dict[str, Any]]:
        """The method, the path and the query of a request with the required parameters and others."""
        path = self.path.format(**VALUES, attempt=1)
        required = [each["name"] for each in self.query if each.get("required")]
        return self.method, path, {name: VALUES[name] for name in required} | others

    @property
    def query(self) -> list[dict[str, Any]]:
        return [each for each in self.parameters if each["in"] == "query"]


OPERATIONS = [
    Operation(
        operation["operationId"],
        method.upper(),
        path,
        [resolved(DOCUMENT, each) for each in operation.get("parameters", [])],
        operation["responses"],
        "requestBody" in operation,
    )
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=[each.name for each in OPERATIONS])


class Absent:
    """Services that do not answer."""

    def __getattr__(self, name: str) -> Any:
        raise DatabaseUnavailableError(f"there is no {name}")


Answer = Callable[..., int]


def module_of(operation: Operation) -> ModuleType:
    """The function that has the operation."""
    modules = [importlib.import_module(f"functions.{name}.app") for name in FUNCTIONS]
    (found,) = (
        module
        for module in modules
        for route in [*module.app._static_routes, *module.app._dynamic_routes]  # noqa: SLF001 - no public list
        if route.operation_id == operation.name
    )
    return found


@pytest.fixture
def status(operation: Operation, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Sends a request for the operation; returns the status."""
    module = module_of(operation)
    monkeypatch.setattr(module.api, "services", Absent())

    def send(caller: Mapping[str, Any] = OPERATOR, body: Any = None, **query: Any) -> int:
        method, path, required = operation.request(**query)
        sent = body if body is not None else BODIES.get(operation.name)
        return request(module, method, path, required, body=sent, **caller).status

    return send


def reached(operation: Operation) -> int:
    """The status of a request that passes every check."""
    return 200 if operation.name == "get_me" else 503


@each_operation
def test_the_permitted_callers_pass_and_the_others_are_refused(operation: Operation, status: Answer) -> None:
    """The permissions are those of the table in docs/api.md."""
    permitted = PERMITTED[f"{operation.method} {operation.path}"].split(", ")
    for role, roles in ROLES.items():
        expected = reached(operation) if role in permitted else 403
        assert status({"user_id": USER, "roles": roles}) == expected, role
    assert status({"user_id": None}) == 403
    if "user_id" in {each["name"] for each in operation.query}:
        assert status({"user_id": "another", "roles": "owner"}, user_id=USER) == 403


@each_operation
def test_each_optional_parameter_is_accepted_alone(operation: Operation, status: Answer) -> None:
    """`urlencode` sends `True` for a flag, and constraints of a list may be applied to its items."""
    for parameter in operation.query:
        name = parameter["name"]
        if name not in ("cursor", "after"):  # only an answer makes one
            assert status(**{name: text_of(name, parameter["schema"])}) == reached(operation), name


NEEDED: Mapping[str, tuple[dict[str, Any], dict[str, str]]] = {
    "create_recovery": ({"regenerate": {"model_id": "old"}}, {}),
    "retry_task": (
        {"instruction": "Shorter."},
        {"regenerate": "true", "concept_id": "c-1", "content_type": "quiz"},
    ),
}
"""Fields of a body, and parameters, without which another field means nothing."""


@each_operation
def test_each_field_of_a_body_is_accepted_alone(operation: Operation, status: Answer) -> None:
    if not operation.has_body:
        return
    schema = DOCUMENT["paths"][operation.path][operation.method.lower()]["requestBody"]
    for name, field in resolved(DOCUMENT, schema["content"]["application/json"]["schema"])[
        "properties"
    ].items():
        value = field.get("default") or value_of(DOCUMENT, field)
        others, query = NEEDED.get(operation.name, ({}, {}))
        body = others | {name: value} | BODIES[operation.name]
        assert status(body=body, **query) == reached(operation), name
        assert status(body=body | {"unknown": 1}, **query) == 422


def text_of(name: str, schema: Mapping[str, Any]) -> str | list[str]:
    value = VALUES.get(name) or value_of(DOCUMENT, schema)
    if isinstance(value, list):
        return [str(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


ELSEWHERE = {
    "401": "API Gateway answers before it invokes the function: tests/workflow/test_item_logs.py",
    "404": "test_another_user_finds_nothing",
    "409": "a state of the data: test_recovery, test_recoveries, test_revisions, test_read_model",
}


@each_operation
def test_each_documented_error_can_be_reached(operation: Operation, status: Answer) -> None:
    documented = {code for code in operation.responses if code >= "400"}
    found = {str(status({"user_id": None})), str(status())}
    if operation.parameters or operation.has_body:
        bad: dict[str, Any] = (
            {"body": {"unknown": 1}} if operation.has_body else {"concept_id": "", "limit": "0"}
        )
        found.add(str(status(**bad, user_id="\x00")))
    assert found - {"200"} <= documented
    assert documented - found <= ELSEWHERE.keys()


def test_another_user_finds_nothing(pipeline: Pipeline, ask: Ask) -> None:
    """A stub cannot see isolation in SQL."""
    pipeline.load(bundle_of(concept_ids(1)))
    pipeline.run()
    pipeline.execute("DELETE FROM quiz_metadata")
    for operation in OPERATIONS:
        method, path, query = operation.request()
        sent = path.removeprefix(BELOW), query
        body = BODIES.get(operation.name)
        answer = ask(method, *sent, body=body, user_id="another", roles="owner")
        assert "r-1" not in json.dumps(answer.body), operation.name
        assert "t-1" not in json.dumps(answer.body).replace("'t-1'", ""), operation.name
        if "{task_id}" in operation.path:
            is_permitted = "owner" in PERMITTED[f"{operation.method} {operation.path}"]
            assert answer.status == (404 if is_permitted else 403), operation.name
        elif "404" in operation.responses:
            assert ask(method, *sent, body=body, **OPERATOR).status == 404, operation.name
    owned = ask("GET", "/tasks", {}, user_id=USER, roles="owner").body["items"]
    assert [task["task_id"] for task in owned] == ["t-1"]


ITEM = ("t-1", USER, "c 1", "tutorial")
FILTERS: dict[str, Any] = {
    "status": ["failed", "cancelled"], "error_code": "E", "content_type": "quiz", "user_id": USER, "q": "t",
    "updated_after": "2026-11-01", "updated_before": "2026-11-02", "group_id": "g",
}  # fmt: skip
PART: dict[str, Any] = {"concept_id": "c 1", "content_type": "quiz"} | dict.fromkeys(
    ("regenerate", "take_over", "force_checkpoint"), True
)
CALLS: Mapping[str, Callable[[Client], Any]] = {
    "get_me": lambda client: client.me(),
    "list_tasks": lambda client: next(client.task_pages(**FILTERS, limit=1)),
    "get_task": lambda client: client.status("t-1", USER),
    "list_items": lambda client: next(client.items("t-1", USER, states_only=True, limit=1)),
    "get_item": lambda client: client.item(*ITEM),
    "get_content": lambda client: client.content(*ITEM, revision_id="archive-1", version=1),
    "get_source": lambda client: next(client.source("t-1", USER)),
    "list_revisions": lambda client: client.revisions(*ITEM)[0],
    "restore_revision": lambda client: client.restore(*ITEM, "archive-1", reason="r"),
    "list_changes": lambda client: next(client.changes("t-1", USER, after="x")),
    "list_attempts": lambda client: next(client.attempts("t-1", USER, limit=1)),
    "list_failures": lambda client: next(client.failures(**FILTERS, state=["new"], limit=1)),
    "get_failure_group": lambda client: client.failure_group("0f"),
    "change_failure_group": lambda client: client.change_failure_group("0f", "ignored", "n", until_tasks=5),
    "get_failure_history": lambda client: client.failure_history(days=7),
    "get_health": lambda client: client.health(),
    "get_activity": lambda client: client.activity(),
    "count_origins": lambda client: client.origins(),
    "retry_task": lambda client: client.retry("t-1", USER, **PART, reason="r", instruction="Shorter."),
    "cancel_task": lambda client: client.cancel("t-1", USER, reason="r"),
    "list_recoveries": lambda client: next(client.recoveries(limit=1)),
    "create_recovery": lambda client: client.create_recovery({"q": "t"}, "r", canary=3),
    "get_recovery": lambda client: client.recovery("rec-1"),
    "list_recovery_tasks": lambda client: next(client.recovery_tasks("rec-1", result="waiting", limit=1)),
    "pause_recovery": lambda client: client.pause_recovery("rec-1", reason="r"),
    "resume_recovery": lambda client: client.resume_recovery("rec-1", reason="r"),
    "cancel_recovery": lambda client: client.cancel_recovery("rec-1", reason="r"),
    "undo_recovery": lambda client: client.undo_recovery("rec-1", reason="r"),
    "erase_user": lambda client: client.erase(USER, product_rows=True, dry_run=True, replay="e-1"),
    "list_due_erasures": lambda client: client.due_erasures(),
    "get_capacity": lambda client: client.capacity(),
    "change_capacity": lambda client: client.change_capacity("r", slots=2),
}
PREVIEWS: Mapping[str, Callable[[Client], Any]] = {
    "retry_task": lambda client: client.preview_retry("t-1", USER, **PART),
    "create_recovery": lambda client: client.preview_recovery({"q": "t"}, "r"),
}
NOT_SENT = {
    "cursor": "the client follows the pages itself",
    "after": "the client continues an erasure itself",
    "limit": "`changes` follows the feed in its default pages",
    "dry_run": "the method of the preview sends it",
}


class DocumentedApi:
    """Answers each request with an example of its operation, or of its preview, and keeps the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[Operation, dict[str, list[str]], Any]] = []
        self.answers: list[Any] = []

    def answer(self, request: Request) -> Reply:
        """Find the operation of the request, and send a valid answer."""
        path = urlsplit(request.target).path
        (operation,) = (
            each
            for each in OPERATIONS
            if each.method == request.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each.path), path)
        )
        body = json.loads(request.body) if request.body else None
        self.asked.append((operation, request.query, body))
        preview = "dry_run" in request.query or "dry_run" in (body or {})
        statuses = sorted(status for status in operation.responses if status.startswith("2"))
        status = statuses[0 if preview else -1]
        schema = operation.responses[status]["content"]["application/json"]["schema"]
        self.answers.append(example(schema.get("anyOf", [schema])[-1]["$ref"].rpartition("/")[2]))
        return json_reply(self.answers[-1], int(status))


@pytest.mark.parametrize(
    ("name", "call"),
    [*CALLS.items(), *PREVIEWS.items()],
    ids=[*CALLS, *(f"preview of {name}" for name in PREVIEWS)],
)
def test_a_method_sends_its_operation_and_reads_the_answer(name: str, call: Callable[[Client], Any]) -> None:
    """A command prints the answer as JSON: it is the API's."""
    api = DocumentedApi()
    with HttpServer(api.answer) as server:
        read = call(Client(api_url=server.url, token=str, user_id="u-1"))
    ((operation, query, body),) = api.asked
    assert operation.name == name
    assert operation.has_body == (body is not None) or name in PREVIEWS
    documented = {each["name"] for each in operation.query}
    assert query.keys() <= documented
    assert documented - query.keys() <= NOT_SENT.keys() | ({"reason"} if name in PREVIEWS else set())
    (answer,) = api.answers
    rows = answer["items"] if isinstance(answer.get("items"), list) else []
    assert read.model_dump(mode="json") in [answer, *rows]


def test_a_recovery_is_not_previewed_by_the_method_that_creates_it() -> None:
    """Regression: `dry_run` was sent among the limits, and the answer is no recovery."""
    limits: dict[str, Any] = {"dry_run": True}
    with pytest.raises(TypeError, match="dry_run"):
        Client(api_url="http://127.0.0.1:1", token=str).create_recovery({"q": "t"}, "r", **limits)


def test_every_operation_has_a_method() -> None:
    assert CALLS.keys() == {operation.name for operation in OPERATIONS}
