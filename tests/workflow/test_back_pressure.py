"""Ten concurrent runs, two concurrent saves and generations: throttled runs wait, and no batch is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from local_stack.processes import becomes_true
from tests.support.machine import Machine

pytestmark = pytest.mark.nightly

RUNS, RESERVED = 10, 2
LIMITED = ("GenerateContentFunction", "SaveBatchFunction")
"""The functions whose concurrency the template reserves."""


def errors_of(machine: Machine, execution_arn: str) -> list[str]:
    """The errors of a run's invocations."""
    pages = machine.client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    details = [event.get("taskFailedEventDetails") for page in pages for event in page["events"]]
    return [each["error"] for each in details if each]


def statuses(machine: Machine, arns: list[str]) -> list[str]:
    return [machine.client.describe_execution(executionArn=arn)["status"] for arn in arns]


@contextmanager
def reserved(machine: Machine) -> Iterator[None]:
    """Reserve little concurrency for the duration of the block."""
    functions = machine.stack.client("lambda")
    names = [machine.stack.functions[logical_id] for logical_id in LIMITED]
    for name in names:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=RESERVED)
    try:
        yield
    finally:
        for name in names:
            functions.delete_function_concurrency(FunctionName=name)


def test_ten_runs_at_once_wait_for_what_is_reserved_and_lose_no_batch(machine: Machine) -> None:
    machines = [machine.another() for _ in range(RUNS)]
    for each in machines:
        each.load(3)
    with reserved(machine):
        arns = [each.start() for each in machines]
        assert becomes_true(lambda: "RUNNING" not in statuses(machine, arns), 300)
    assert statuses(machine, arns) == ["SUCCEEDED"] * RUNS
    errors = [error for arn in arns for error in errors_of(machine, arn)]
    assert set(errors) == {"Lambda.TooManyRequestsException"}, "they were throttled, and nothing else"
    for each in machines:
        assert each.status().status == "completed"
        each.require_invariants()
