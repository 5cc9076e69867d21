"""The expected response of each function to its event in `events/`, with the sample roadmap loaded.

The order matters: the schema is created, an attempt is planned, its first batch is generated and saved, and
then finalized as a failed batch. 65 of 90 items are missing and are retried.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Expectation(NamedTuple):
    """The relevant part of a response, or the name of the expected error."""

    answer: Mapping[str, Any] | None = None
    error: str | None = None


EXPECTED: Mapping[str, Expectation] = {
    "migrate_database": Expectation({"before": None, "dry_run": False}),
    "plan_batches": Expectation(
        {
            "plan": {"attempt": 1, "planned": {"tutorial": 30, "resources": 30, "quiz": 30}},
            "batches": [{"number": 0, "content_type": "tutorial", "offset": 0, "items": 25}],
        }
    ),
    "generate_content": Expectation({"planned": 25, "staged": 0, "generated": 25, "failed": 0}),
    "save_batch": Expectation({"saved": 25, "failed": 0, "error": None}),
    "finalize_task": Expectation(
        {
            "status": "partial_failure",
            "complete": False,
            "missing": {"tutorial": 5, "resources": 30, "quiz": 30},
            "error": None,
        }
    ),
    "await_redrive": Expectation(error="ContentIncomplete"),
    "reconcile_task": Expectation({"checked": 1, "finished": True, "dry_run": False}),
    "authorize_request": Expectation(error="UnauthorizedError"),  # the event's token has expired
    "console": Expectation({"statusCode": 200}),
    "recovery_api": Expectation({"statusCode": 200, "body": {"dry_run": True, "tasks": 1}}),
    "task_api": Expectation(
        {"statusCode": 202, "body": {"status": "processing", "total_items": 65, "attempt": 2}}
    ),
}
"""The expectations by the function's folder, which is also the name of its event."""


def differences(expectation: Expectation, answer: Any) -> list[str]:  # noqa: ANN401 - any response
    """The differences between a response and its expectation."""
    if not isinstance(answer, dict):
        return [f"not an object: {answer!r}"]
    error = answer.get("errorType")
    if error != expectation.error:
        return [f"errorType is {error!r}, not {expectation.error!r}: {answer.get('errorMessage')}"]
    return list(_differences("", expectation.answer or {}, answer))


def _differences(path: str, expected: Any, actual: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    match expected, actual:
        case dict(), str():  # the body of an HTTP response: JSON in JSON
            yield from _differences(path, expected, json.loads(actual))
        case dict(), dict():
            for key, value in expected.items():
                yield from _differences(f"{path}.{key}", value, actual.get(key))
        case [first, *rest], [actual_first, *actual_rest]:
            yield from _differences(f"{path}[0]", first, actual_first)
            yield from _differences(f"{path}[1:]", rest, actual_rest)
        case [], list():  # additional elements are allowed
            return
        case _ if expected != actual:
            yield f"{path} is {actual!r}, not {expected!r}"
