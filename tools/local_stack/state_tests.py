"""TestState for ministack: the retrier, its backoff, the catcher and the output, as AWS reports them.

Emulated from documentation, with ministack's own matching of errors and its JSONata: ministack's TestState
applies Catch before Retry, ignores Output, and does not support Map. It still handles states without a mock.

For the local cloud's own Python: standard library and ministack only.
"""

import json
from typing import Any

from ministack.core.responses import json_response
from ministack.services import stepfunctions as engine

EXACT_ONLY = frozenset({"States.DataLimitExceeded", "States.Runtime"})
"""Errors that `States.ALL` and `States.TaskFailed` do not match."""


def matches(error_equals: list[str], error: str) -> bool:
    """Whether a retrier or a catcher with these names matches an error."""
    if error in error_equals:
        return True
    if error in EXACT_ONLY:
        return False
    return "States.ALL" in error_equals or ("States.TaskFailed" in error_equals and error != "States.Timeout")


def test_state(data: dict[str, Any], otherwise: Any) -> Any:  # noqa: ANN401 - ministack's response
    """Test one state with a mocked result or error; `otherwise` handles a request without a mock."""
    mock = data.get("mock") or {}
    state = json.loads(data["definition"])
    given = json.loads(data.get("input", "{}"))
    context = json.loads(data.get("context", "{}"))
    context["QueryLanguage"] = state.get("QueryLanguage", "JSONPath")
    if "errorOutput" in mock:
        count = data.get("stateConfiguration", {}).get("retrierRetryCount", 0)
        return json_response(_failed(state, given, context, mock["errorOutput"], count))
    if "result" in mock:
        result = json.loads(mock["result"])
        output = engine._apply_jsonata_output(state, given, context, result=result, default=result)
        return json_response({"status": "SUCCEEDED", "output": json.dumps(output), **_next(state)})
    return otherwise(data)


def _failed(state: Any, given: Any, context: Any, failure: Any, count: int) -> dict[str, Any]:  # noqa: ANN401
    error, cause = failure["error"], failure.get("cause", "")
    answer = {"error": error, "cause": cause}
    counts = dict.fromkeys(range(len(state.get("Retry", []))), count)
    retrier, index = engine._find_matching_retrier(state.get("Retry", []), error, counts)
    if retrier is not None:
        backoff = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** count
        backoff = min(backoff, retrier.get("MaxDelaySeconds", backoff))
        details = {"retryIndex": index, "retryBackoffIntervalSeconds": int(backoff)}
        return answer | {"status": "RETRIABLE", "inspectionData": {"errorDetails": details}}
    catchers = state.get("Catch", [])
    catcher = engine._find_matching_catcher(catchers, error)
    if catcher is None:
        return answer | {"status": "FAILED"}
    caught = {"Error": error, "Cause": cause}
    output = engine._apply_catcher(catcher, given, context, context["QueryLanguage"], caught)
    details = {"catchIndex": catchers.index(catcher)}
    return answer | {
        "status": "CAUGHT_ERROR",
        "output": json.dumps(output),
        "nextState": catcher["Next"],
        "inspectionData": {"errorDetails": details},
    }


def _next(state: dict[str, Any]) -> dict[str, str]:
    return {"nextState": state["Next"]} if "Next" in state else {}
