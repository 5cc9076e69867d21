"""Redrive through Step Functions' API and through the product's API continues with only the missing items.

RedriveExecution is emulated from documentation (`tools/local_stack/redrive_rules.py`): the tests show that
the product follows the documented rules, not that AWS does.
"""

import json

import pytest
from botocore.exceptions import ClientError

from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from roadmap_command.api_client import Api
from roadmap_content.items import ContentType, Item
from tests.support.factories import quiz
from tests.support.machine import Machine
from tests.support.published_machine import PublishedMachine


def stage_invalid_quiz(machine: Machine, concept_id: str) -> None:
    """Stage a quiz that cannot be saved."""
    machine.stage(Item(concept_id, ContentType.QUIZ), json.dumps(quiz(concept_id, note="\x00")).encode())


def test_a_redrive_plans_the_missing_items_and_completes(machine: Machine) -> None:
    ids = machine.load(6)
    stage_invalid_quiz(machine, ids[0])
    first = machine.run()
    assert first["error"] == "ContentIncomplete"
    before = machine.rows("SELECT * FROM quiz_metadata WHERE roadmap_id = :id", id=machine.roadmap_id)

    machine.client.redrive_execution(executionArn=first["executionArn"])
    second = machine.wait(first["executionArn"])

    assert (second["status"], second["redriveCount"]) == ("SUCCEEDED", 1)
    status = machine.status()
    assert (status.status, status.attempt, status.execution_arn) == ("completed", 2, first["executionArn"])
    after = machine.rows("SELECT * FROM quiz_metadata WHERE roadmap_id = :id", id=machine.roadmap_id)
    assert all(row in after for row in before)
    assert len(after) == 6
    machine.require_invariants()


def test_an_execution_can_be_redriven_repeatedly(machine: Machine) -> None:
    machine.load(2)
    with machine.function_changed("SaveBatchFunction", Environment={"Variables": {}}):
        arn = machine.run()["executionArn"]
        for count in (1, 2, 3):
            machine.client.redrive_execution(executionArn=arn)
            ended = machine.wait(arn)
            assert (ended["status"], ended["error"]) == ("FAILED", "ContentIncomplete")
            assert (machine.status().attempt, machine.status().status) == (count + 1, "failed")
    machine.client.redrive_execution(executionArn=arn)
    assert machine.wait(arn)["status"] == "SUCCEEDED"
    with pytest.raises(ClientError, match="ExecutionNotRedrivable"):
        machine.client.redrive_execution(executionArn=arn)


def test_an_execution_redriven_after_a_complete_retry_succeeds_and_writes_nothing(
    machine: Machine, api: Api
) -> None:
    ids = machine.load(3)
    stage_invalid_quiz(machine, ids[0])
    arn = machine.run()["executionArn"]
    healed = api.retry(machine.task_id).body["execution_arn"]
    assert machine.wait(healed)["status"] == "SUCCEEDED"
    before = machine.status()
    machine.client.redrive_execution(executionArn=arn)
    assert machine.wait(arn)["status"] == "SUCCEEDED"
    assert machine.status() == before


def test_an_execution_redriven_during_a_retry_fails_with_a_refused_claim(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    stage_invalid_quiz(machine, ids[0])
    arn = machine.run()["executionArn"]
    with machine.holding() as held:
        retried = api.retry(machine.task_id).body["execution_arn"]
        assert becomes_true(lambda: bool(processes_waiting_for(held)), 600)
        machine.client.redrive_execution(executionArn=arn)
        ended = machine.wait(arn)
        assert (ended["status"], ended["error"]) == ("FAILED", "ClaimRefusedError")
        assert "attempt 2" in ended["cause"]
    assert machine.wait(retried)["status"] == "SUCCEEDED"
    assert (machine.status().status, machine.status().attempt) == ("completed", 2)
    machine.require_invariants()


def test_a_retry_during_a_redrive_is_refused(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    stage_invalid_quiz(machine, ids[0])
    arn = machine.run()["executionArn"]
    with machine.holding() as held:
        machine.client.redrive_execution(executionArn=arn)
        assert becomes_true(lambda: bool(processes_waiting_for(held)), 600)
        answer = api.retry(machine.task_id)
        assert (answer.status, answer.body["attempt"]) == (409, 2)
    assert machine.wait(arn)["status"] == "SUCCEEDED"
    machine.require_invariants()


def test_force_checkpoint_redrives_the_execution(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    stage_invalid_quiz(machine, ids[0])
    arn = machine.run()["executionArn"]
    answer = api.retry(machine.task_id, force_checkpoint="true")
    assert (answer.status, answer.body["recovery_type"], answer.body["execution_arn"]) == (
        202,
        "checkpoint",
        arn,
    )
    assert machine.wait(arn)["status"] == "SUCCEEDED"
    refused = api.retry(machine.task_id, force_checkpoint="true")
    assert (refused.status, refused.body["error"]) == (409, "NotRedrivable")
    assert refused.body["message"] == "Execution is SUCCEEDED and cannot be redriven"


def test_a_failed_finalize_is_repaired_by_the_event_and_completed_by_a_redrive(machine: Machine) -> None:
    ids = machine.load(3)
    stage_invalid_quiz(machine, ids[0])
    with machine.function_changed("FinalizeTaskFunction", Environment={"Variables": {}}):
        arn = machine.run()["executionArn"]
        assert becomes_true(lambda: machine.status().status == "partial_failure", 600)
    assert machine.status().failed_items[0].error_code == "InvalidContent"
    machine.client.redrive_execution(executionArn=arn)
    assert machine.wait(arn)["status"] == "SUCCEEDED"
    assert (machine.status().status, machine.status().attempt) == ("completed", 2)
    machine.require_invariants()


def test_an_execution_that_timed_out_is_recorded_by_its_event_and_completed_by_one_retry(
    machine: Machine, api: Api
) -> None:
    ids = machine.load(3)
    for concept_id in ids[:2]:
        stage_invalid_quiz(machine, concept_id)
    assert machine.run()["error"] == "ContentIncomplete"
    # In the next run one quiz is generated, and waits; the other is staged, and cannot be saved.
    machine.stage(Item(ids[1], ContentType.QUIZ), b"{")
    published = PublishedMachine(machine.client, machine.stack.state_machine_arn)
    definition = published.definition
    published.redefine(json.dumps(json.loads(definition) | {"TimeoutSeconds": 8}))
    try:
        with machine.holding():
            ended = machine.run()
            assert becomes_true(lambda: machine.status().status != "processing", 600)
    finally:
        published.redefine(definition)
    assert ended["status"] == "TIMED_OUT"
    assert (machine.status().status, machine.status().error_message) == (
        "partial_failure",
        "TIMED_OUT: the execution ended TIMED_OUT",
    )
    answer = api.retry(machine.task_id)
    assert answer.status == 202
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"
    machine.require_invariants()


@pytest.mark.parametrize("status", ["processing", "cancelled"])
def test_a_task_whose_execution_ended_is_retried_although_its_status_is_processing(
    machine: Machine, api: Api, status: str
) -> None:
    ids = machine.load(2)
    stage_invalid_quiz(machine, ids[0])
    machine.run()
    machine.execute(
        "UPDATE roadmap_tasks SET status = :status WHERE task_id = :id", status=status, id=machine.task_id
    )
    answer = api.retry(machine.task_id)
    assert (answer.status, answer.body["attempt"], answer.body["total_items"]) == (202, 2, 1)
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"


def test_an_attempt_without_an_execution_can_be_retried_after_a_minute(machine: Machine, api: Api) -> None:
    machine.load(2)
    never_started = machine.stack.state_machine_arn.replace(":stateMachine:", ":execution:")
    machine.execute(
        "UPDATE roadmap_tasks SET status = 'processing', attempt = 1, execution_arn = :arn,"
        " updated_at = timezone('utc', now()) WHERE task_id = :id",
        arn=f"{never_started}:{machine.task_id}-r1",
        id=machine.task_id,
    )
    machine.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, execution_arn, step)"
        " SELECT task_id, attempt, 'console', 'first_run', execution_arn, 'claimed' FROM roadmap_tasks"
        " WHERE task_id = :id",
        id=machine.task_id,
    )
    assert api.retry(machine.task_id).status == 409
    machine.execute(
        "UPDATE roadmap_tasks SET updated_at = updated_at - interval '2 minutes' WHERE task_id = :id",
        id=machine.task_id,
    )
    answer = api.retry(machine.task_id)
    assert (answer.status, answer.body["attempt"]) == (202, 2)
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"
    machine.require_invariants()


def test_drift_is_repaired_by_the_deployed_sweep(machine: Machine) -> None:
    machine.load(2)
    assert machine.run()["status"] == "SUCCEEDED"
    before = machine.framework()
    machine.execute(
        "UPDATE roadmap_tasks SET status = 'failed', failed_concepts = '{\"count\": 9}' WHERE task_id = :id",
        id=machine.task_id,
    )
    machine.execute(
        "UPDATE roadmap_metadata SET framework_data ="
        " CAST(replace(CAST(framework_data AS text), 'completed', 'pending') AS json) WHERE roadmap_id = :id",
        id=machine.roadmap_id,
    )
    result = machine.target.invoke("ReconcileTaskFunction", {})
    assert [repair for repair in result["repairs"] if repair["task_id"] == machine.task_id] == [
        {
            "task_id": machine.task_id,
            "status": "completed",
            "changed": ["framework_data", "status", "failed_concepts"],
        }
    ]
    assert machine.framework() == before
    assert machine.status().status == "completed"
