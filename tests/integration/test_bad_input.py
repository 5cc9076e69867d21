"""Malformed input of each endpoint is answered with 422 and the parameter's name; nothing is created."""

import base64
import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest

from roadmap_content.contracts.api.filters import TaskFilter
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask, Reply

Send = Callable[..., Reply]

BEFORE_YEAR_1, AFTER_YEAR_9999 = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"


@pytest.fixture
def send(pipeline: Pipeline, ask: Ask) -> Iterator[Send]:
    """Sends a request as an operator. There are two tasks, one with four failed attempts, and a recovery."""
    other = concept_ids(1, "r-2")
    pipeline.load(bundle_of(other, roadmap_id="r-2", task_id="t-2") | {"content": []})
    pipeline.load(bundle_of(concept_ids(3)) | {"content": []})
    for _ in range(4):
        pipeline.finalize(pipeline.plan())
    pipeline.execute("UPDATE content_attempts SET ended_at = claimed_at")
    pipeline.execute(
        "INSERT INTO content_recoveries (recovery_id, state, actor, reason, filter, rate_per_minute,"
        " concurrency, canary, ended_at)"
        " SELECT 'rec-' || n, 'completed', 'a', 'r', '{}', 1, 1, 0, now()"
        " FROM generate_series(1, 3) AS n"
    )
    pipeline.execute(
        "INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary, result)"
        " SELECT 'rec-1', n, 't-' || n, false, 'refused' FROM generate_series(1, 3) AS n"
    )

    def call(method: str, path: str, query: Any = None, **given: Any) -> Reply:
        return ask(method, path, query, **given, **OPERATOR)

    recoveries = pipeline.rows("SELECT * FROM content_recoveries")
    yield call
    assert pipeline.rows("SELECT * FROM content_recoveries") == recoveries
    # The connection is not one response behind.
    assert call("GET", "/tasks", {"q": "t-1"}).body["total"] == 1


def require_refused(answer: Reply, error: str, *names: str) -> None:
    assert (answer.status, answer.body["error"]) == (422, error), answer
    assert all(name in answer.body["message"] for name in names)
    assert "a\x00b" not in json.dumps(answer.body)


def test_a_prefix_that_no_index_has_is_refused(send: Send) -> None:
    """Regression: its first 100 characters selected other tasks, also for a recovery."""
    for path in ("/tasks", "/failures"):
        require_refused(send("GET", path, {"q": "r" * 101}), "InvalidRequest", "q")
    body = {"filter": {"q": "r" * 101}, "reason": "r"}
    require_refused(send("POST", "/recoveries", body=body), "InvalidRequest", "q")


def test_a_preview_of_an_erasure_that_is_applied_again_is_refused(send: Send) -> None:
    """Regression: it counted everything of a user who had come back."""
    query = {"exact": "u", "dry_run": "true", "replay": "erasure"}
    require_refused(send("DELETE", "/users/-/content", query), "InvalidRequest", "replay")


def test_a_time_that_is_none_is_refused(send: Send) -> None:
    times = (BEFORE_YEAR_1, AFTER_YEAR_9999, "now", "2026-02-30", "-4000-01-01")
    for time, name in product(times, ("updated_after", "updated_before")):
        for path in ("/tasks", "/failures"):
            require_refused(send("GET", path, {name: time}), "InvalidRequest")
        body = {"filter": {name: time}, "reason": "r"}
        require_refused(send("POST", "/recoveries", body=body), "InvalidRequest")


LIMITS: tuple[tuple[str, object], ...] = (
    *(("rate_per_minute", limit) for limit in (0, -1, 0.5)),
    *(("concurrency", 0), ("canary", -1)),
    *(("token_budget", limit) for limit in (0, 2**63)),
    *(("reason", reason) for reason in ("", "  ")),
)


def test_a_limit_that_is_none_is_refused(send: Send) -> None:
    for (name, limit), dry_run in product(LIMITS, (True, False)):
        body = {"filter": {"status": ["failed"]}, "reason": "r", "dry_run": dry_run, name: limit}
        require_refused(send("POST", "/recoveries", body=body), "InvalidRequest", name)


def test_a_body_that_python_cannot_read_is_refused(send: Send) -> None:
    endpoints = (("PUT", "/capacity"), ("POST", "/recoveries"), ("PUT", "/failures/a"))
    for number, (method, path) in product(("1" * 6_000, "[" * 100_000, "1e999", "NaN"), endpoints):
        answer = send(method, path, body=f'{{"reason": "r", "slots": {number}, "canary": {number}}}')
        assert (answer.status, answer.body["error"]) == (422, "InvalidRequest"), (number[:9], path, answer)


OTHER_FORMATS = ("multipart/form-data", "multipart/form-data; boundary=b", "text/plain", "\ud800")


@pytest.mark.parametrize("content_type", [*OTHER_FORMATS, "application/x-www-form-urlencoded"])
def test_a_body_is_json_whatever_its_content_type_says(send: Send, content_type: str) -> None:
    """A form without a boundary failed the function; a form's fields were not looked at for a NUL."""
    headers = {"content-type": content_type}
    for body in ("reason=a%00b&slots=3", "--b\r\n", "", "\xff\u4e00"):
        require_refused(send("PUT", "/capacity", body=body, headers=headers), "InvalidRequest")
    changed = send("PUT", "/capacity", body={"reason": "r", "slots": 3}, headers=headers)
    assert (changed.status, changed.body["slots"]) == (200, 3)


def test_a_number_is_no_boolean(send: Send) -> None:
    require_refused(send("PUT", "/capacity", body={"stopped": 0, "reason": "r"}), "InvalidRequest", "stopped")
    body = {"filter": {"status": ["failed"]}, "reason": "r", "dry_run": 0}
    require_refused(send("POST", "/recoveries", body=body), "InvalidRequest", "dry_run")


def test_a_boolean_is_no_number(send: Send) -> None:
    """Regression: `true` left one slot."""
    reason, recoveries = {"reason": "r"}, {"filter": {"status": ["failed"]}, "dry_run": True}
    for name in ("slots", "tokens_per_minute"):
        require_refused(send("PUT", "/capacity", body=reason | {name: True}), "InvalidRequest", name)
    for name in ("rate_per_minute", "concurrency", "token_budget", "canary", "breaker"):
        body = reason | recoveries | {name: True}
        require_refused(send("POST", "/recoveries", body=body), "InvalidRequest", name)
    body = {"state": "ignored", "note": "n", "until_tasks": True}
    require_refused(send("PUT", "/failures/a", body=body), "InvalidRequest", "until_tasks")


def test_a_blank_reason_is_called_blank(send: Send) -> None:
    body = {"slots": 3, "reason": " "}
    require_refused(send("PUT", "/capacity", body=body), "InvalidRequest", "reason: must not be blank")


LISTS = (
    "/tasks",
    "/failures",
    "/tasks/t-1/attempts",
    "/tasks/t-1/items",
    "/recoveries",
    "/recoveries/rec-1/tasks",
)

PARTS: tuple[object, ...] = (
    "x",
    "a\x00b",
    "a\ud800",
    -1,
    2**31,
    2**63,
    10**30,
    1.5,
    True,
    None,
    [],
    "2026-01-01T00:00:00+05:00",
    "infinity",
    "9999-12-31T23:59:59",
)


def test_a_cursor_that_a_client_has_changed_is_refused_or_selects_rows(send: Send) -> None:
    """Each part of a real cursor is replaced by other values."""
    for path in LISTS:
        cursor = send("GET", path, {"limit": "1"}).body["next_cursor"]
        if path == "/failures":
            cursor = _encoded(f"failures {TaskFilter().fingerprint}", 1, "g")
        assert cursor is not None
        name, *key = json.loads(base64.urlsafe_b64decode(cursor + "=="))
        for place, part in product(range(len(key)), PARTS):
            changed = _encoded(name, *key[:place], part, *key[place + 1 :])
            answer = send("GET", path, {"cursor": changed, "limit": "1"})
            assert answer.status in (200, 422), (path, part, answer)
            if answer.status == 422:
                assert answer.body["error"] == "InvalidCursor"
        for other in ("%%%", "=", "W10", "bnVsbA", _encoded(name), _encoded("another", *key)):
            require_refused(send("GET", path, {"cursor": other}), "InvalidCursor")
        if path == "/tasks":
            require_refused(send("GET", path, {"cursor": cursor, "status": ["failed"]}), "InvalidCursor")


def _encoded(*document: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
