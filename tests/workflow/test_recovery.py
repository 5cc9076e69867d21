"""Redrive through Step Functions' API and through the product's API continues with only the missing items.

RedriveExecution is emulated from documentation (`tools/local_stack/redrive_rules.py`): the tests show that
the product follows the documented rules, not that AWS does.
"""

import json

from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import quiz
from tests.support.http_api import Api
from tests.support.machine import Machine


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
