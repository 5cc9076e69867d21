"""The table of state cases is complete: it contains every retrier, catcher and choice of a definition."""

import pytest

from smoke.state_cases import Case, read_cases, states_of

CASES = read_cases()


@pytest.mark.parametrize("machine", ["save_content"])
def test_every_state_with_every_error_is_in_the_table(machine: str) -> None:
    for name, state in states_of(machine).items():
        cases = [case for case in CASES if (case.machine, case.state) == (machine, name)]
        for index, retrier in enumerate(state.get("Retry", [])):
            for error in retrier["ErrorEquals"]:
                of_error = {case.retries: case.expected for case in cases if case.error == error}
                assert of_error[0] == {
                    "status": "RETRIABLE",
                    "retrier": index,
                    "backoff": retrier["IntervalSeconds"],
                }
                assert of_error[retrier["MaxAttempts"] - 1]["status"] == "RETRIABLE"
                assert of_error[retrier["MaxAttempts"]]["status"] != "RETRIABLE"
        caught = {case.expected["catcher"] for case in cases if "catcher" in case.expected}
        assert caught == set(range(len(state.get("Catch", []))))
        if state["Type"] == "Choice":
            targets = {state["Default"], *(choice["Next"] for choice in state["Choices"])}
            assert {case.expected["next"] for case in cases} == targets
        if state["Type"] in ("Task", "Map"):
            assert any(case.expected["status"] == "SUCCEEDED" for case in cases)


def test_each_case_is_what_the_definition_says() -> None:
    """With full jitter, the local engine waits less than the maximum: only this test sees a shorter one."""
    for case in CASES:
        require_the_definition_s(case)


def require_the_definition_s(case: Case) -> None:
    state = states_of(case.machine)[case.state]
    retriers = state.get("Retry", [])
    matching = next((each for each in retriers if case.error in each["ErrorEquals"]), None)
    if case.expected["status"] == "RETRIABLE":
        assert matching is not None, case.name
        assert retriers.index(matching) == case.expected["retrier"], case.name
        longest = matching["IntervalSeconds"] * matching["BackoffRate"] ** case.retries
        assert min(longest, matching.get("MaxDelaySeconds", longest)) == case.expected["backoff"]
        assert matching["JitterStrategy"] == "FULL", "else all batches that were throttled return at once"
    if "catcher" in case.expected:
        assert state["Catch"][case.expected["catcher"]]["Next"] == case.expected["next"]
