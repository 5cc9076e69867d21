"""The expected response of each function to its event in `events/`, with the sample roadmap loaded.

The order matters: the schema is created, an attempt is planned, its first batch is generated and saved, and
then finalized as a failed batch. The last one, `task_api`, retries the two thirds that are missing.
"""

import json
from collections.abc import Mapping
from typing import Any

from roadmap_content.contracts.items import ContentType


def _each(count: int) -> dict[ContentType, int]:
    return dict.fromkeys(ContentType, count)


_FIRST = 10 * len(ContentType)
"""The items of the first batch."""

EXPECTED: Mapping[str, Mapping[str, Any]] = {
    "migrate_database": {"before": None, "dry_run": False},
    "plan_batches": {
        "plan": {"attempt": 1, "planned": _each(30)},
        "batches": [{"number": 0, "offset": 0, "items": _each(10)}],
    },
    "generate_content": {"planned": _FIRST, "staged": 0, "generated": _FIRST, "failed": 0},
    "save_batch": {"saved": _FIRST, "failed": 0, "error": None},
    "finalize_task": {
        "status": "partial_failure",
        "complete": False,
        "missing": _each(20),
        "error": None,
    },
    "await_redrive": {"errorType": "ContentIncomplete"},
    "reconcile_task": {"checked": 1, "finished": True, "dry_run": False},
    "authorize_request": {"errorType": "UnauthorizedError"},  # the event's token has expired
    "console": {"statusCode": 200},
    "check_links": {"verdicts": [{"verdict": "accept"}, {"verdict": "reject", "code": "DeadLinks"}]},
    "operator_api": {"statusCode": 200, "body": {"dry_run": True, "tasks": 1}},
    "task_api": {
        "statusCode": 202,
        "body": {"status": "processing", "total_items": 2 * _FIRST, "attempt": 2},
    },
}
"""The relevant parts of the responses, by the function's folder, which is also the name of its event."""

SIDE_BY_SIDE = ("await_redrive", "reconcile_task", "authorize_request", "console", "operator_api")
"""Functions with events that change nothing that another one sees."""


def relevant(expected: Any, actual: Any) -> Any:
    """The part of a response that has an expectation."""
    match expected, actual:
        case dict(), str():  # the body of an HTTP response: JSON in JSON
            return relevant(expected, json.loads(actual))
        case dict(), dict():
            return {key: relevant(value, actual.get(key)) for key, value in expected.items()}
        case list(), list():  # additional elements are allowed
            return [relevant(*pair) for pair in zip(expected, actual, strict=False)]
    return actual
