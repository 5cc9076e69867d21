"""Retry and status over HTTP, against the real state machine."""

import json

from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import USER, counts, quiz
from tests.support.http_api import Api
from tests.support.machine import Machine


def test_the_status_lists_failed_items_with_their_reasons(machine: Machine, api: Api) -> None:
    ids = machine.load(3)
    machine.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1], note="\x00")).encode())
    machine.run()
    unsigned = api.request("GET", f"/api/v1/tasks/{machine.task_id}", {"user_id": USER}, token="no-token")
    assert unsigned.status == 401, "the authorizer is asked"
    body = api.get(machine.task_id).body
    assert set(body) == {
        "task_id", "roadmap_id", "status", "current_step", "attempt", "execution_arn", "progress",
        "failed_items", "error_message", "updated_at", "completed_at", "title", "created_at", "user_id",
        "live", "execution_url", "actions", "tokens", "queue", "generation_stopped", "erased",
    }  # fmt: skip
    assert body["failed_items"] == [
        {
            "concept_id": ids[1],
            "content_type": "quiz",
            "stage": "save",
            "error_code": "InvalidContent",
            "reason": "note holds a NUL character at character 0",
        }
    ]
    answer = api.retry(machine.task_id)
    assert (answer.status, answer.body["items_to_retry"]) == (202, counts(quiz=1))
    assert machine.wait(answer.body["execution_arn"])["status"] == "SUCCEEDED"
