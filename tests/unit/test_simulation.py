"""The simulation follows the documented rules of Step Functions."""

from typing import Any, NoReturn

import pytest

from tests.support.simulation import PAYLOAD_LIMIT, FailedError, Function, Run, simulate

Definition = dict[str, Any]


def task(**extra: Any) -> Definition:
    arguments = {"FunctionName": "${F}", "Payload": "{% $states.input %}"}
    return {"Type": "Task", "Arguments": arguments, "Output": "{% $states.result.Payload %}", **extra}


def catch(*names: str) -> dict[str, Any]:
    return {"ErrorEquals": list(names), "Output": "{% $states.errorOutput.Error %}", "Next": "Done"}


def run(state: Definition, function: Function) -> Run:
    states = {"Only": {"Next": "Done", **state}, "Done": {"Type": "Succeed"}}
    return simulate({"StartAt": "Only", "States": states}, {"F": function}, {"n": 1}, {})


def failing(error: str) -> Function:
    def fail(_payload: object) -> NoReturn:
        raise FailedError(error)

    return fail


def test_a_task_that_succeeds_takes_five_events_and_one_transition() -> None:
    done = run(task(), lambda payload: payload["n"] + 1)
    assert (done.output, done.error) == (2, None)
    assert done.transitions == 2
    assert done.events == 2 + 5 + 2


def test_each_retry_takes_three_events_and_a_transition() -> None:
    retriers = [{"ErrorEquals": ["A"], "MaxAttempts": 2}, {"ErrorEquals": ["B"], "MaxAttempts": 1}]
    answers = iter(["A", "B", "A", None])

    def answer(payload: object) -> object:
        error = next(answers)
        if error is not None:
            raise FailedError(error)
        return payload

    done = run(task(Retry=retriers), answer)
    assert done.error is None
    assert done.transitions == 2 + 3
    assert done.events == 2 + 5 + 3 * 3 + 2


def test_an_error_without_a_catcher_fails_the_run_after_the_last_retry() -> None:
    done = run(task(Retry=[{"ErrorEquals": ["A"], "MaxAttempts": 2}]), failing("A"))
    assert (done.error, done.invocations) == ("A", {"F": 3})


@pytest.mark.parametrize(
    ("names", "caught"), [(("States.ALL",), False), (("States.ALL", "States.DataLimitExceeded"), True)]
)
def test_only_its_own_name_catches_a_data_limit_error(names: tuple[str, ...], caught: bool) -> None:
    done = run(task(Catch=[catch(name) for name in names]), lambda _: "x" * PAYLOAD_LIMIT)
    assert done.error == (None if caught else "States.DataLimitExceeded")
    assert done.output == ("States.DataLimitExceeded" if caught else None)


def test_a_failed_iteration_fails_its_map() -> None:
    machine = {"StartAt": "Only", "States": {"Only": task()}}
    fan_out = {"Type": "Map", "Items": [1, 2], "ItemSelector": {}, "ItemProcessor": machine}
    done = run({**fan_out, "Catch": [catch("States.ALL")]}, failing("A"))
    assert (done.output, done.invocations) == ("A", {"F": 1})


def test_an_iteration_takes_two_events_besides_those_of_its_states() -> None:
    machine = {"StartAt": "Only", "States": {"Only": task()}}
    selector = {"n": "{% $states.context.Map.Item.Value %}"}
    fan_out = {"Type": "Map", "Items": [1, 2, 3], "ItemSelector": selector, "ItemProcessor": machine}
    done = run(fan_out, lambda payload: payload["n"] * 2)
    assert done.output == [2, 4, 6]
    assert done.transitions == 1 + 3 + 1
    assert done.events == 2 + (2 + 2) + 3 * (2 + 5) + 2
