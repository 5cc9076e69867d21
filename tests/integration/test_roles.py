"""Permissions: every endpoint of the API, for every kind of caller."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from documents.openapi import DOCUMENT, permitted_callers
from roadmap_content.contracts.states import Role
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Ask

IDS = concept_ids(2)


class Caller(NamedTuple):
    """A kind of caller."""

    user_id: str | None
    roles: str


CALLERS: Mapping[str, Caller] = {
    "owner": Caller(USER, "owner"),
    "another": Caller("another", "owner"),
    "viewer": Caller("viewer", "owner,viewer"),
    "operator": Caller("operator", "owner,operator"),
    "nobody": Caller(None, ""),
}

RECOVERY = {"filter": {"task_ids": ["t-1"]}, "reason": "r", "dry_run": True}

# method, path, query, body → statuses for the owner, another user, a viewer, an operator, and a request
# without a verified user (which API Gateway refuses with 401).
TABLE: list[tuple[str, str, dict[str, str], Any, tuple[int, int, int, int, int]]] = [
    ("GET", "/me", {}, None, (200, 200, 200, 200, 403)),
    ("GET", "/tasks", {}, None, (200, 200, 200, 200, 403)),
    ("GET", "/tasks", {"user_id": USER}, None, (200, 403, 200, 200, 403)),
    ("GET", "/tasks/{task_id}", {}, None, (200, 404, 200, 200, 403)),
    ("GET", "/tasks/{task_id}", {"user_id": USER}, None, (200, 403, 200, 200, 403)),
    ("GET", "/tasks/{task_id}/items", {}, None, (200, 404, 200, 200, 403)),
    (
        "GET",
        "/tasks/{task_id}/items/{content_type}",
        {"concept_id": IDS[0]},
        None,
        (200, 404, 200, 200, 403),
    ),
    (
        "GET",
        "/tasks/{task_id}/items/{content_type}/revisions",
        {"concept_id": IDS[0]},
        None,
        (200, 404, 200, 200, 403),
    ),
    (
        "POST",
        "/tasks/{task_id}/items/{content_type}/revisions/{revision_id}/restore",
        {"concept_id": IDS[0]},
        None,
        (404, 404, 403, 404, 403),
    ),
    ("GET", "/tasks/{task_id}/changes", {}, None, (200, 404, 200, 200, 403)),
    (
        "GET",
        "/tasks/{task_id}/content/{content_type}",
        {"concept_id": IDS[0]},
        None,
        (200, 404, 200, 200, 403),
    ),
    ("GET", "/tasks/{task_id}/attempts", {}, None, (200, 404, 200, 200, 403)),
    ("GET", "/failures", {}, None, (200, 200, 200, 200, 403)),
    ("GET", "/failures", {"user_id": USER}, None, (200, 403, 200, 200, 403)),
    ("GET", "/failures/{group_id}", {}, None, (403, 403, 404, 404, 403)),
    ("PUT", "/failures/{group_id}", {}, {"state": "acknowledged", "note": "n"}, (403, 403, 403, 404, 403)),
    ("GET", "/origins", {}, None, (403, 403, 200, 200, 403)),
    ("GET", "/health", {}, None, (403, 403, 200, 200, 403)),
    ("POST", "/tasks/{task_id}/retry", {}, None, (202, 404, 403, 202, 403)),
    ("POST", "/tasks/{task_id}/retry", {"user_id": USER}, None, (202, 403, 403, 202, 403)),
    ("POST", "/tasks/{task_id}/cancel", {}, None, (200, 404, 403, 200, 403)),
    ("POST", "/tasks/{task_id}/cancel", {"user_id": USER}, None, (200, 403, 403, 200, 403)),
    ("GET", "/recoveries", {}, None, (403, 403, 200, 200, 403)),
    ("POST", "/recoveries", {}, RECOVERY, (403, 403, 403, 200, 403)),
    ("GET", "/recoveries/{recovery_id}", {}, None, (403, 403, 200, 200, 403)),
    ("GET", "/recoveries/{recovery_id}/tasks", {}, None, (403, 403, 200, 200, 403)),
    ("POST", "/recoveries/{recovery_id}/pause", {}, None, (403, 403, 403, 200, 403)),
    ("POST", "/recoveries/{recovery_id}/resume", {}, None, (403, 403, 403, 200, 403)),
    ("POST", "/recoveries/{recovery_id}/cancel", {}, None, (403, 403, 403, 200, 403)),
    ("POST", "/recoveries/{recovery_id}/undo", {}, None, (403, 403, 403, 409, 403)),
    ("GET", "/capacity", {}, None, (403, 403, 403, 200, 403)),
    ("PUT", "/capacity", {}, {"slots": 3, "reason": "r"}, (403, 403, 403, 200, 403)),
]


def test_the_table_of_operations_names_the_callers_who_are_permitted() -> None:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    permitted = permitted_callers()
    for method, path, query, _, statuses in TABLE:
        owner, _, viewer, operator, _ = statuses
        answers = {Role.OWNER: owner, Role.VIEWER: viewer, Role.OPERATOR: operator}
        name = paths[f"/api/v1{path}"][method.lower()]["operationId"]
        assert permitted[name] == tuple(role for role, status in answers.items() if status != 403), (
            name,
            query,
        )


Send = Callable[..., int]


@pytest.fixture
def send(pipeline: Pipeline, ask: Ask) -> Send:
    """Sends a request about a task of `USER` with a saved and a missing quiz, or about a recovery of another
    task.
    """
    pipeline.load(bundle_of(concept_ids(1, "r-2"), roadmap_id="r-2", task_id="t-2"))
    pipeline.load(bundle_of(IDS))
    pipeline.run()
    pipeline.execute("DELETE FROM quiz_metadata WHERE concept_id = :missing", missing=IDS[1])
    pipeline.execute("UPDATE roadmap_tasks SET status = 'pending'")
    operator = CALLERS["operator"]
    created = ask(
        "POST",
        "/recoveries",
        body=RECOVERY | {"filter": {"task_ids": ["t-2"]}, "dry_run": False},
        **operator._asdict(),
    )

    def call(method: str, path: str, query: dict[str, str], body: Any, caller: Caller) -> int:
        filled = path.format(
            task_id="t-1",
            content_type="quiz",
            recovery_id=created.body["recovery_id"],
            revision_id="archive-1",
            group_id="0" * 16,
            attempt=1,
        )
        answer = ask(method, filled, query, body=body, **caller._asdict())
        if answer.status >= 400:
            assert "r-1" not in json.dumps(answer.body)
        return answer.status

    return call


@pytest.mark.parametrize(("method", "path", "query", "body", "statuses"), TABLE)
def test_permissions_per_role(
    send: Send, method: str, path: str, query: dict[str, str], body: Any, statuses: tuple[int, ...]
) -> None:
    refused_first = sorted(zip(CALLERS.values(), statuses, strict=True), key=lambda pair: -pair[1])
    for caller, status in refused_first:
        found = send(method, path, query, body, caller)
        # If two callers may retry, the second finds the attempt of the first.
        assert found == status or (status, found) == (202, 409), caller


def test_every_endpoint_is_in_the_table() -> None:
    document = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
    documented = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert documented == {(method, path) for method, path, *_ in TABLE}
