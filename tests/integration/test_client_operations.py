"""`Client` has every operation: it sends the documented request, and reads the documented answer."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from documents.openapi_page import resolved
from roadmap_content.client import Client

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

ITEM = ("t-1", "u-1", "c 1", "quiz")
CALLS: Mapping[str, Callable[[Client], Any]] = {
    "get_me": lambda client: client.me("u-1"),
    "list_tasks": lambda client: next(client.tasks("u-1", status=["failed", "cancelled"], q="t-1")),
    "get_task": lambda client: client.status("t-1", "u-1"),
    "list_items": lambda client: next(client.items("t-1", "u-1", states_only=True)),
    "get_item": lambda client: client.item(*ITEM),
    "get_content": lambda client: client.content(*ITEM, revision_id="archive-1"),
    "list_revisions": lambda client: client.revisions(*ITEM)[0],
    "restore_revision": lambda client: client.restore(*ITEM, "archive-1", reason="r"),
    "list_changes": lambda client: next(client.changes("t-1", "u-1", after="x")),
    "list_attempts": lambda client: next(client.attempts("t-1", "u-1")),
    "get_timeline": lambda client: client.timeline("t-1", "u-1", 2),
    "list_failures": lambda client: next(client.failures("u-1", group_id="g")),
    "get_failure_group": lambda client: client.failure_group("u-1", "1f0c6c8e2f3a4b5d"),
    "change_failure_group": lambda client: client.change_failure_group(
        "u-1", "1f0c6c8e2f3a4b5d", "ignored", "n", until_tasks=5
    ),
    "get_health": lambda client: client.health("u-1", by_hour=True),
    "count_origins": lambda client: client.origins("u-1"),
    "retry_task": lambda client: client.retry("t-1", "u-1", regenerate=True, force_checkpoint=True),
    "cancel_task": lambda client: client.cancel("t-1", "u-1", reason="r"),
    "list_recoveries": lambda client: next(client.recoveries("u-1")),
    "create_recovery": lambda client: client.create_recovery("u-1", {"q": "t"}, "r", canary=3),
    "get_recovery": lambda client: client.recovery("u-1", "rec-1"),
    "list_recovery_tasks": lambda client: next(client.recovery_tasks("u-1", "rec-1", result="waiting")),
    "pause_recovery": lambda client: client.pause_recovery("u-1", "rec-1"),
    "resume_recovery": lambda client: client.resume_recovery("u-1", "rec-1"),
    "cancel_recovery": lambda client: client.cancel_recovery("u-1", "rec-1"),
    "undo_recovery": lambda client: client.undo_recovery("u-1", "rec-1"),
    "get_capacity": lambda client: client.capacity("u-1"),
    "change_capacity": lambda client: client.change_capacity("u-1", "r", slots=2),
}


class DocumentedApi(BaseHTTPRequestHandler):
    """Answers each request with the example of its operation, and keeps the requests."""

    asked: list[tuple[str, dict[str, list[str]], Any]]

    def answer(self) -> None:
        """Find the operation of the request, and send its last successful example."""
        url = urlsplit(self.path)
        found = [
            (name, operation)
            for name, (method, path, operation) in OPERATIONS.items()
            if method == self.command and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), url.path)
        ]
        ((name, operation),) = found
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.asked.append((name, parse_qs(url.query), body))
        status = max(status for status in operation["responses"] if status.startswith("2"))
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        model = schema["$ref"].rpartition("/")[2]
        document = json.dumps(DOCUMENT["components"]["schemas"][model]["example"]).encode()
        self.send_response(int(status))
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document)

    do_GET = do_POST = do_PUT = answer  # noqa: N815 - the names of http.server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def client() -> Iterator[Client]:
    DocumentedApi.asked = []
    with HTTPServer(("127.0.0.1", 0), DocumentedApi) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        yield Client(bucket="content", state_machine_arn="arn", api_url=url, token=lambda user: user)
        server.shutdown()


def test_every_operation_has_a_method() -> None:
    assert CALLS.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_method_sends_its_operation_and_reads_the_answer(client: Client, name: str) -> None:
    answer = CALLS[name](client)
    assert answer.model_dump()
    ((asked, query, body),) = DocumentedApi.asked
    assert asked == name
    _, _, operation = OPERATIONS[name]
    parameters = [resolved(DOCUMENT, each) for each in operation.get("parameters", [])]
    assert query.keys() <= {each["name"] for each in parameters if each["in"] == "query"}
    assert ("requestBody" in operation) == (body is not None)


def test_a_preview_of_a_recovery_starts_nothing(client: Client) -> None:
    with pytest.raises(ValueError, match="RecoveryPreview"):  # the example is the answer of a start
        client.preview_recovery("u-1", {"q": "t"}, "r")
    ((_, _, body),) = DocumentedApi.asked
    assert body == {"filter": {"q": "t"}, "reason": "r", "dry_run": True}
