"""An attempt on a time axis, from the history that the local Step Functions keeps, against the outbox."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

from typer.testing import Result

from roadmap_command.api_client import Api
from roadmap_content.api.attempt_timeline import AttemptTimeline, HistoryState
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.timeline.axis import BatchOutcome, PhaseKind
from tests.support.factories import USER
from tests.support.machine import Machine

CONCEPTS = 24
SECOND = timedelta(seconds=1)
CLOCKS = timedelta(milliseconds=2)
"""Step Functions has times in milliseconds, PostgreSQL in microseconds."""


def timeline_of(api: Api, machine: Machine, attempt: int) -> AttemptTimeline:
    path = f"/tasks/{machine.task_id}/attempts/{attempt}/timeline"
    answer = api.send("GET", path, user_id=USER)
    assert answer.status == 200, answer.body
    return AttemptTimeline.model_validate(answer.body)


def saved_at(machine: Machine, attempt: int) -> dict[int, datetime]:
    """When each batch was saved, as the outbox has it."""
    rows = machine.rows(
        "SELECT CAST(detail AS text) AS detail FROM content_events WHERE task_id = :id"
        " AND detail_type = 'Batch Saved' ORDER BY position",
        id=machine.task_id,
    )
    details = [json.loads(row["detail"]) for row in rows]
    return {
        each["data"]["batch"]: datetime.fromisoformat(each["metadata"]["time"])
        for each in details
        if each["data"]["attempt"] == attempt
    }


def require_consistent(timeline: AttemptTimeline, machine: Machine) -> None:
    """The axis agrees with the audit trail and the outbox, to the second."""
    assert timeline.history is HistoryState.READ
    for parts in (timeline.phases, timeline.longest_path):
        assert (parts[0].started_at, parts[-1].ended_at) == (timeline.claimed_at, timeline.ended_at)
        assert all(one.ended_at == following.started_at for one, following in pairwise(parts))
    saved = saved_at(machine, timeline.attempt)
    ends = {
        batch.batch: batch.ended_at for batch in timeline.batches if batch.outcome is not BatchOutcome.LOST
    }
    assert ends.keys() == saved.keys()
    for number, end in ends.items():
        assert end is not None
        assert -CLOCKS < end - saved[number] < SECOND


def test_a_throttled_run_with_lost_batches_and_its_redrive(
    machine: Machine, api: Api, roadmap: Callable[..., Result]
) -> None:
    """The first run loses its batches, because the function that saves them has no settings."""
    for concept_id in machine.load(CONCEPTS):
        machine.unstage(Item(concept_id, ContentType.QUIZ))
    functions = machine.stack.client("lambda")
    generating = machine.stack.functions["GenerateContentFunction"]
    functions.put_function_concurrency(FunctionName=generating, ReservedConcurrentExecutions=1)
    try:
        with machine.function_changed("SaveBatchFunction", Environment={"Variables": {}}):
            arn = machine.start()
            assert machine.wait(arn)["error"] == "ContentIncomplete"
    finally:
        functions.delete_function_concurrency(FunctionName=generating)
    first = timeline_of(api, machine, 1)
    require_consistent(first, machine)
    assert len(first.batches) > 1
    assert first.lost == len(first.batches)
    pages = machine.client.get_paginator("get_execution_history").paginate(executionArn=arn)
    errors = [
        e["taskFailedEventDetails"]["error"]
        for page in pages
        for e in page["events"]
        if e["type"] == "TaskFailed"
    ]
    assert first.throttled == errors.count("Lambda.TooManyRequestsException") > 0
    waits = [phase for batch in first.batches for phase in batch.phases if phase.kind is PhaseKind.THROTTLED]
    assert sum(wait.tries for wait in waits) == first.throttled

    assert roadmap("redrive", machine.task_id).exit_code == 0
    second = timeline_of(api, machine, 2)
    require_consistent(second, machine)
    assert (second.outcome, second.lost, second.throttled) == ("completed", 0, 0)
    assert second.claimed_at > first.phases[-1].started_at
    assert [phase.kind for phase in second.phases if phase.kind is not PhaseKind.WAITING] == [
        PhaseKind.STARTING, PhaseKind.PLAN, PhaseKind.BATCHES, PhaseKind.FINALIZE,
    ]  # fmt: skip
    assert timeline_of(api, machine, 1) == first, "a redrive does not change the attempt before it"

    text = roadmap("explain", machine.task_id, "--attempt", "1").stdout
    assert f"calls throttled: {first.throttled}" in text
    assert json.loads(roadmap("explain", machine.task_id, "--json").stdout) == second.model_dump(mode="json")


def test_a_history_is_read_by_few_requests_a_second(machine: Machine, api: Api) -> None:
    """API Gateway refuses others, so that the account's quota is never used up."""
    machine.load(1)
    machine.run()
    path = f"/tasks/{machine.task_id}/attempts/1/timeline"
    statuses = [api.send("GET", path, user_id=USER).status for _ in range(40)]
    assert set(statuses) == {200, 429}
    assert api.send("GET", f"/tasks/{machine.task_id}", user_id=USER).status == 200
