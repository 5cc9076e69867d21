"""A simulated API, for states that are hard to produce with the real one.

It serves the console with its real function, and answers `/api/v1/…` with generated data in the format of
docs/openapi.json. The token's subject selects the responses: see `Scenario`.
"""

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

from functions.console import app as console
from tests.browser.fake_data import SCENARIOS, Document, Model, at
from tests.support.factories import counts
from tests.support.http_server import HttpServer, Reply, Request, json_reply


def token_of(subject: str) -> str:
    """An unsigned token that only this server accepts."""

    def part(document: Document) -> str:
        return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none'})}.{part({'sub': subject})}.x"


REQUESTS: list[str] = []
"""The method and the target of each request."""

_MODELS: dict[str, Model] = {}
"""The data of each subject."""


def answer_request(request: Request) -> Reply:
    """Answer as the deployed API would, below `/prod`."""
    REQUESTS.append(f"{request.method} {request.target}")
    path = urlsplit(request.target).path.removeprefix("/prod")
    if path.startswith("/console"):
        asset = path.removeprefix("/console").removeprefix("/")
        event = {
            "path": path,
            "headers": dict(request.headers.items()),
            "pathParameters": {"asset": asset} if asset else None,
        }
        answer = console.handler(event, None)
        return Reply(answer["statusCode"], answer["body"].encode(), answer["headers"])
    parts = [unquote(part) for part in path.removeprefix("/api/v1/").split("/")]
    status, document = _permitted(request, parts)
    return json_reply(document, status)


def _permitted(request: Request, parts: list[str]) -> tuple[int, Document]:
    """The answer to the subject of the token."""
    try:
        payload = request.headers["Authorization"].split(".")[1]
        subject = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]
    except (ValueError, KeyError, IndexError, AttributeError):
        return 401, {"message": "Unauthorized"}
    model = _MODELS.setdefault(subject, Model(subject))
    if parts == ["me"]:
        roles = ["owner", *model.scenario.roles] if model.scenario.roles != ("owner",) else ["owner"]
        return 200, {"user_id": subject, "roles": roles, "expires_at": at(hours=-1)}
    if model.scenario.fails is not None:
        return model.scenario.fails, {"message": "not now"}
    if request.method != "GET" and model.scenario.roles == ("viewer",):
        return 403, refusal("Forbidden", "a viewer may not change anything")
    body = json.loads(request.body) if request.body else {}
    return respond(model, request.method, parts, request.query, body)


def refusal(error: str, message: str) -> Document:
    """An error's body."""
    return {"success": False, "error": error, "message": message, "detail": message}


def respond(
    model: Model, method: str, parts: list[str], query: Mapping[str, list[str]], body: Document
) -> tuple[int, Document]:
    """Answer a permitted request."""
    match method, parts:
        case "GET", ["tasks"]:
            return 200, list_tasks(model, query)
        case _, ["tasks", name, *_] if model.number(name) is None:
            return 404, refusal("TaskNotFound", "there is no such task")
        case "GET", ["tasks", name]:
            return 200, model.task(model.number(name) or 0)
        case "GET", ["tasks", name, "items"]:
            return 200, model.items(model.number(name) or 0, query)
        case "GET", ["tasks", name, "items", kind]:
            return 200, model.item(model.number(name) or 0, kind, query["concept_id"][0])
        case "GET", ["tasks", name, "content", kind]:
            revision = query.get("revision_id", [None])[0]
            return 200, model.content(model.number(name) or 0, kind, query["concept_id"][0], revision)
        case "GET", ["tasks", name, "items", kind, "revisions"]:
            return 200, {"items": [row for row, _ in model.history(kind, query["concept_id"][0])]}
        case "POST", ["tasks", name, "items", kind, "revisions", revision_id, "restore"]:
            (concept,) = query["concept_id"]
            answer = model.restore(kind, concept, revision_id, query.get("reason", [None])[0])
            if answer is None:
                message = "the database refused the revision: SQLSTATE 23503: a row that refers to it"
                return 409, refusal("RestoreRefused", message)
            return 200, {
                "success": True,
                "task_id": name,
                "concept_id": concept,
                "content_type": kind,
                **answer,
            }
        case "GET", ["tasks", name, "changes"]:
            return 200, model.changes(model.number(name) or 0, query)
        case "GET", ["tasks", name, "attempts"]:
            return 200, model.attempts(model.number(name) or 0)
        case "POST", ["tasks", name, "retry"]:
            if "force_checkpoint" in query:
                return 409, refusal("NotRedrivable", "the execution is older than 14 days")
            if (model.number(name) or 0) % 5 == 4 and "take_over" not in query:
                return 409, refusal("AtWorkElsewhere", "the product is working on the task")
            if "dry_run" in query:
                return 200, {
                    "dry_run": True,
                    "task_id": name,
                    "staged": counts(tutorial=1, resources=6),
                    "to_generate": counts(quiz=1),
                    "total_items": 8,
                    "estimated_tokens": 4_100,
                    "estimate_basis": "task",
                }
            return 202, {
                "success": True,
                "recovery_type": "content_retry",
                "task_id": name,
                "roadmap_id": "roadmap-9b2c8d4e",
                "status": "processing",
                "items_to_retry": counts(tutorial=1, resources=6, quiz=1),
                "total_items": 8,
                "attempt": 2,
                "execution_arn": "arn:aws:states:eu-central-1:123456789012:execution:save-content:x-2",
                "message": "8 items are missing",
            }
        case "POST", ["tasks", name, "cancel"]:
            model.cancelled.add(name)
            return 200, {
                "success": True,
                "task_id": name,
                "status": "cancelled",
                "attempt": 1,
                "stopped_execution": None,
            }
        case "GET", ["failures"]:
            groups = model.groups()
            wanted = query.get("state")
            groups["items"] = [each for each in groups["items"] if not wanted or each["state"] in wanted]
            return 200, groups
        case "GET", ["failures", name]:
            return 200, model.group(name)
        case "PUT", ["failures", name]:
            model.decide(name, body)
            return 200, model.group(name)
        case "GET", ["health"]:
            return 200, model.health()
        case "GET", ["recoveries"]:
            count = 0 if model.scenario.tasks == 0 else 4
            return 200, {"items": [model.recovery(k) for k in range(count)], "next_cursor": None}
        case "POST", ["recoveries"]:
            if body["dry_run"]:
                return 200, {
                    "dry_run": True,
                    "tasks": 200,
                    "items": {
                        "staged": counts(tutorial=311, resources=240, quiz=96),
                        "to_generate": counts(tutorial=12, resources=4, quiz=31),
                    },
                    "estimated_tokens": 140_000,
                    "estimated_minutes": 200 / body["rate_per_minute"],
                    "refused": {"AtWorkElsewhere": 3},
                }
            return 201, model.recovery(0)
        case "GET", ["recoveries", name, "tasks"]:
            return 200, model.recovery_tasks(int(name[4:]), query)
        case "GET", ["recoveries", name] if name.startswith("rec-"):
            return 200, model.recovery(int(name[4:]))
        case "POST", ["recoveries", name, "undo"]:
            model.undo_requests += 1
            undone = model.undone()
            return 200, {"recovery_id": name, "complete": not undone["tasks_left"], **undone}
        case "POST", ["recoveries", name, action]:
            model.recovery_state = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[action]
            return 200, model.recovery(0)
    return 404, refusal("NotFound", "there is nothing at this path")


def list_tasks(model: Model, query: Mapping[str, list[str]]) -> Document:
    """A page of the list of tasks."""
    start, limit = int(query.get("cursor", ["0"])[0]), int(query["limit"][0])
    rows = list(map(model.row, range(model.scenario.tasks)))
    if (scanned := model.scenario.scanned) is not None:
        page = [row for row in rows[start : start + scanned] if matches(row, query)]
        following = start + scanned
    else:
        rows = [row for row in rows if matches(row, query)]
        page = rows[start : start + limit]
        following = start + limit
    return {
        "items": page,
        "next_cursor": str(following) if following < len(rows) else None,
        "total": model.scenario.total or len(rows),
        "total_is_exact": model.scenario.total is None,
    }


def matches(row: Document, query: Mapping[str, list[str]]) -> bool:
    """Whether a task meets the conditions on its status and its beginning."""
    return row["status"] in query.get("status", [row["status"]]) and all(
        each.lower() in f"{row['title']} {row['task_id']}".lower() for each in query.get("q", [])
    )


@contextmanager
def fake_api(port: int = 0) -> Iterator[str]:
    """Serve for the duration of the block; yields the base URL of the console and the API."""
    with HttpServer(answer_request, port) as server:
        yield f"{server.url}/prod"


if __name__ == "__main__":
    with fake_api(8765) as address:
        for name in SCENARIOS:
            print(f"{name:10} {address}/console/#token={token_of(name)}")  # noqa: T201 - a command
        threading.Event().wait()
