"""The logs contain the whole history of one item, from the request to the last Save."""

from typing import Any

from roadmap_command.commands.history import _lines_of
from roadmap_content.contracts.items import ContentType, Item
from tests.support.http_api import Api
from tests.support.machine import Machine


def lines_about(machine: Machine, item: Item) -> list[dict[str, Any]]:
    """The result of the saved query for an item: the lines of its task with the item's ids, or without a
    concept id.
    """
    lines = _lines_of(machine.target, machine.task_id)
    return [line.fields for line in lines if line.is_about(item)]


def test_one_item_is_followed_by_one_correlation_id(machine: Machine, api: Api) -> None:
    ids = machine.load(2)
    item = Item(ids[0], ContentType.QUIZ)
    machine.stage(item, b"not json")
    first = machine.start()
    machine.wait(first)
    retried = api.retry(machine.task_id).body["execution_arn"]
    assert machine.wait(retried)["status"] == "SUCCEEDED"

    of_first = [line for line in lines_about(machine, item) if line.get("correlation_id") == first]
    (failed,) = [line for line in of_first if line["message"] == "quiz_save_failed"]
    assert (failed["concept_id"], failed["error_code"]) == (item.concept_id, "InvalidContent")
    assert "not JSON" in failed["reason"]

    of_retry = [line for line in lines_about(machine, item) if line.get("correlation_id") == retried]
    functions = list(dict.fromkeys(line["function_name"] for line in of_retry))
    order = ("TaskApi", "PlanBatches", "GenerateContent", "SaveBatch", "FinalizeTask")
    assert [next(name for name in order if name in function) for function in functions] == list(order)
    assert of_retry[0]["message"] == "attempt_claimed"
    assert {line["task_id"] for line in of_retry} == {machine.task_id}
    assert {line["service"] for line in of_retry} == {"roadmap"}
    (saved,) = [line for line in of_retry if line["message"] == "batch_saved"]
    assert saved["attempt"] == 2


def test_a_refused_request_is_found_by_its_task(machine: Machine, api: Api) -> None:
    """The reason of a refusal need not contain the id, so the line has it."""
    machine.load(1)
    unsigned = api.request("GET", f"/api/v1/tasks/{machine.task_id}", {}, token="no-token")
    assert unsigned.status == 401, "the authorizer is asked"
    refused = api.get(machine.task_id, user_id="somebody-else")
    assert refused.status == 403
    lines = [line.fields for line in _lines_of(machine.target, machine.task_id)]
    (line,) = [line for line in lines if line["message"] == "request_refused"]
    assert (line["task_id"], line["status"], line["error_code"]) == (machine.task_id, 403, "Forbidden")
