"""Ten concurrent runs with two concurrent saves: throttled runs wait, and no batch is lost."""

from local_stack.processes import becomes_true
from tests.workflow.machine import Machine

RUNS, SAVERS = 10, 2


def throttles(machine: Machine, execution_arn: str) -> int:
    """The throttled invocations of a run."""
    pages = machine.client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    events = [event for page in pages for event in page["events"]]
    errors = [event.get("taskFailedEventDetails", {}).get("error") for event in events]
    return errors.count("Lambda.TooManyRequestsException")


def statuses(machine: Machine, arns: list[str]) -> list[str]:
    """The result of each run."""
    return [machine.client.describe_execution(executionArn=arn)["status"] for arn in arns]


def test_ten_runs_at_once_wait_for_two_savers_and_lose_no_batch(machine: Machine) -> None:
    machines = [machine.another() for _ in range(RUNS)]
    for each in machines:
        each.load(3)
    functions = machine.stack.client("lambda")
    name = machine.stack.functions["SaveBatchFunction"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=SAVERS)
    try:
        arns = [each.start() for each in machines]
        assert becomes_true(lambda: "RUNNING" not in statuses(machine, arns), 300)
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    assert statuses(machine, arns) == ["SUCCEEDED"] * RUNS
    assert sum(throttles(each, arn) for each, arn in zip(machines, arns, strict=True)) > 0
    for each in machines:
        assert each.status().status == "completed"
        each.require_invariants()
