"""The rules for redrives: from which state, with which context. Emulated from documentation."""

from typing import Any

from local_stack.redrive_rules import Step, unsuccessful_step


def entered(name: str, data: str) -> dict[str, Any]:
    return {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name, "input": data}}


def test_the_redrive_starts_at_the_top_level_state_entered_last() -> None:
    definition = {"StartAt": "Plan", "States": {"Plan": {}, "FanOut": {}}}
    exited = {"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Plan", "output": "2"}}
    history = [entered("Plan", "1"), exited, entered("FanOut", "2"), entered("Save", "3")]
    assert unsuccessful_step(history, definition) == Step("FanOut", "2")


def test_an_execution_without_an_entered_state_cannot_be_redriven() -> None:
    assert unsuccessful_step([], {"StartAt": "Plan", "States": {"Plan": {}}}) is None
