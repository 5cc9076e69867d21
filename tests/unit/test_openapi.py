"""`docs/openapi.json` is what the API's code says."""

import json
from pathlib import Path

from checks.openapi import openapi_document
from roadmap_content.api.refusals import TASK_ID

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == openapi_document(), "write it anew with `make openapi`"


def test_every_answer_of_a_retry_is_described() -> None:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    retry = paths["/api/v1/tasks/{task_id}/retry"]["post"]
    assert set(retry["responses"]) == {"200", "202", "403", "404", "409", "422", "503"}
    (task_id,) = (each for each in retry["parameters"] if each["name"] == "task_id")
    assert task_id["schema"]["pattern"] == TASK_ID
