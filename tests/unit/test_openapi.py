"""`docs/openapi.json` and `docs/schemas/` match the code."""

import json
from pathlib import Path

import pytest

from checks.openapi import openapi_document
from checks.schemas import schema_document, schema_file
from roadmap_content.api.refusals import TASK_ID
from roadmap_content.items import ContentType

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text() == openapi_document(), "run `make openapi`"


def test_every_response_of_a_retry_is_described() -> None:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    retry = paths["/api/v1/tasks/{task_id}/retry"]["post"]
    assert set(retry["responses"]) == {"200", "202", "403", "404", "409", "422", "503"}
    (task_id,) = (each for each in retry["parameters"] if each["name"] == "task_id")
    assert task_id["schema"]["pattern"] == TASK_ID


@pytest.mark.parametrize("content_type", ContentType)
def test_the_schemas_of_contents_are_up_to_date(content_type: ContentType) -> None:
    assert schema_file(content_type).read_text() == schema_document(content_type), "run `make openapi`"
