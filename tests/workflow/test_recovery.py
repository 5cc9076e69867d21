"""A redrive continues with only the missing items.

RedriveExecution is emulated from documentation (`tools/local_stack/redrive_rules.py`): the tests show that
the product follows the documented rules, not that AWS does.
"""

import json

from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import quiz
from tests.support.http_api import Api
from tests.support.machine import Machine


def test_force_checkpoint_redrives_the_execution(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    quiz_of_nul = json.dumps(quiz(ids[0], note="\x00")).encode()
    machine.stage(Item(ids[0], ContentType.QUIZ), quiz_of_nul)
    arn = machine.run()["executionArn"]
    answer = api.retry(machine.task_id, force_checkpoint="true")
    assert (answer.status, answer.body["recovery_type"], answer.body["execution_arn"]) == (
        202,
        "checkpoint",
        arn,
    )
    redriven = machine.wait(arn)
    assert (redriven["status"], redriven["redriveCount"], machine.status().attempt) == ("SUCCEEDED", 1, 2)
    machine.require_invariants()
    refused = api.retry(machine.task_id, force_checkpoint="true")
    assert (refused.status, refused.body["error"]) == (409, "NotRedrivable")
    assert refused.body["message"] == "Execution is SUCCEEDED and cannot be redriven"
