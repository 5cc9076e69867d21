"""The rules for redrives: which executions, from which state, with which context. Emulated from
documentation.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_stack.redrive_rules import Step, derive_definition, refusal, unsuccessful_step

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def refused(
    status: str = "FAILED", *, started_days_ago: int = 1, stopped_days_ago: int = 1, events: int = 41
) -> str | None:
    return refusal(
        status,
        started_at=NOW - timedelta(days=started_days_ago),
        stopped_at=NOW - timedelta(days=stopped_days_ago),
        events=events,
        now=NOW,
    )


@pytest.mark.parametrize("status", ["FAILED", "ABORTED", "TIMED_OUT"])
def test_failed_executions_can_be_redriven(status: str) -> None:
    assert refused(status) is None


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "PENDING_REDRIVE"])
def test_succeeded_and_running_executions_cannot_be_redriven(status: str) -> None:
    assert refused(status) == f"Execution is {status} and cannot be redriven"


def test_the_redrivable_period_starts_at_the_end() -> None:
    assert refused(started_days_ago=300, stopped_days_ago=14) is None
    assert refused(stopped_days_ago=15) == "Execution redrivable period exceeded"


def test_an_execution_is_open_for_a_year_at_most() -> None:
    assert refused(started_days_ago=366) == "Execution has exceeded the max execution time"


def test_an_execution_with_a_full_history_cannot_be_redriven() -> None:
    assert refused(events=24_998) is None
    assert refused(events=24_999) == "Execution history event limit exceeded"


def entered(name: str, data: str) -> dict[str, Any]:
    return {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name, "input": data}}


def test_the_redrive_starts_at_the_top_level_state_entered_last() -> None:
    definition = {"StartAt": "Plan", "States": {"Plan": {}, "FanOut": {}}}
    exited = {"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Plan", "output": "2"}}
    history = [entered("Plan", "1"), exited, entered("FanOut", "2"), entered("Save", "3")]
    assert unsuccessful_step(history, definition) == Step("FanOut", "2")


def test_an_execution_without_an_entered_state_cannot_be_redriven() -> None:
    assert unsuccessful_step([], {"StartAt": "Plan", "States": {"Plan": {}}}) is None


def test_every_reference_to_the_execution_context_is_replaced() -> None:
    definition = {
        "StartAt": "Plan",
        "States": {
            "Plan": {
                "Arguments": {"Payload": "{% { 'e': $states.context.Execution } %}"},
                "Retry": [{"MaxAttempts": 3}],
                "Comment": "{% $states.context.ExecutionLike %}",
            },
            "Map": {"ItemSelector": {"arn": "{% $states.context.Execution.Id %}"}},
        },
    }
    derived = derive_definition(definition, "Map", {"Id": 'arn:\\1 "x"'})
    literal = '({"Id": "arn:\\\\1 \\"x\\""})'
    assert derived == {
        "StartAt": "Map",
        "States": {
            "Plan": {
                "Arguments": {"Payload": f"{{% {{ 'e': {literal} }} %}}"},
                "Retry": [{"MaxAttempts": 3}],
                "Comment": "{% $states.context.ExecutionLike %}",
            },
            "Map": {"ItemSelector": {"arn": f"{{% {literal}.Id %}}"}},
        },
    }
