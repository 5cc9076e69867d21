"""`docs/openapi.json`, `docs/api.md` and `docs/schemas/` match the code, and describe all of the API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from documents import content_types
from documents.openapi import DOCUMENT, openapi_document, operations
from documents.openapi_page import PAGE, body_fields, page_of, resolved
from documents.schemas import schema_document, schema_file
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.payloads import TASK_ID

WHOLE: dict[str, Any] = json.loads(DOCUMENT.read_text())
BODIES = [WHOLE["paths"], WHOLE["components"]["responses"]]
OPERATIONS = {operation["operationId"]: operation for operation in operations(WHOLE)}


def test_the_document_and_its_page_are_up_to_date() -> None:
    assert DOCUMENT.read_text() == openapi_document(), "run `make openapi`"
    assert PAGE.read_text() == page_of(WHOLE), "run `make openapi`"


def test_the_console_s_names_of_content_types_are_up_to_date() -> None:
    assert content_types.FILE.read_text() == content_types.module(), "run `make openapi`"


def test_every_response_of_a_retry_is_described() -> None:
    retry = WHOLE["paths"]["/api/v1/tasks/{task_id}/retry"]["post"]
    assert set(retry["responses"]) == {"200", "202", "401", "403", "404", "409", "422", "503"}
    parameters = [resolved(WHOLE, each) for each in retry["parameters"]]
    (task_id,) = (each for each in parameters if each["name"] == "task_id")
    assert task_id["schema"]["pattern"] == TASK_ID
    answer = retry["responses"]["200"]["content"]["application/json"]["schema"]
    assert {each["$ref"].rpartition("/")[2] for each in answer["anyOf"]} == {"RetryAnswer", "RetryPreview"}


def test_every_operation_requires_a_token() -> None:
    (scheme,) = WHOLE["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == ("http", "bearer", "JWT")
    assert WHOLE["security"] == [{name: [] for name in WHOLE["components"]["securitySchemes"]}]
    assert [name for name, operation in OPERATIONS.items() if "security" in operation] == []


def test_each_operation_has_an_id_a_summary_a_description_and_a_tag() -> None:
    for name, operation in OPERATIONS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name)
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        (tag,) = operation["tags"]
        assert tag in {each["name"] for each in WHOLE["tags"]}, name
        assert {"401", "403"} <= set(operation["responses"]), name


def test_every_parameter_is_explained() -> None:
    for name, operation in OPERATIONS.items():
        for each in operation.get("parameters", []):
            parameter = resolved(WHOLE, each)
            explained = parameter.get("description") or parameter["schema"].get("description")
            assert explained, f"{name}: {parameter['name']}"


def test_every_field_of_a_request_is_explained() -> None:
    fields = [
        (name, field)
        for operation in OPERATIONS.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for name, field, _ in body_fields(WHOLE, content["schema"])
    ]
    assert "regenerate.error_code" in dict(fields)
    assert [name for name, field in fields if "description" not in field and "$ref" not in field] == []
    assert all(f"| `{name}` | body |" in PAGE.read_text() for name, _ in fields)


def test_operation_ids_are_unique() -> None:
    assert len(OPERATIONS) == sum(1 for _ in operations(WHOLE)) >= 17


def test_every_model_of_a_body_has_a_valid_example() -> None:
    schemas = strict(WHOLE["components"]["schemas"])
    for name in set(references(BODIES)):
        if schemas[name]["type"] == "object":
            validator = Draft202012Validator({**schemas[name], "components": {"schemas": schemas}})
            validator.validate(schemas[name]["example"])


def strict(schema: Any) -> Any:
    """The schema, with unknown keys forbidden: an example must not have a field that was removed."""
    match schema:
        case {"type": "object", "properties": dict(properties)}:
            return {**schema, "properties": strict(properties), "additionalProperties": False}
        case dict():
            return {key: strict(value) for key, value in schema.items()}
        case _:
            return schema


def test_every_schema_is_used() -> None:
    used = set(references(BODIES))
    for _ in WHOLE["components"]["schemas"]:
        used |= {name for each in used for name in references(WHOLE["components"]["schemas"][each])}
    assert used == set(WHOLE["components"]["schemas"])


def references(node: Any) -> Iterator[str]:
    yield from re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(node))


def test_closed_sets_of_values_are_enums() -> None:
    schemas = WHOLE["components"]["schemas"]
    named = {name for name, schema in schemas.items() if "enum" in schema}
    assert named == {
        *("Cause", "ContentType", "GroupState", "ItemState", "NextAction", "QueueClass", "RecoveryState"),
        *("Role", "Stage", "TaskResult"),
    }
    assert schemas["Health"]["properties"]["status"]["enum"] == ["ok", "attention"]


@pytest.mark.parametrize("content_type", ContentType)
def test_the_schemas_of_contents_are_up_to_date(content_type: ContentType) -> None:
    assert schema_file(content_type).read_text() == schema_document(content_type), "run `make openapi`"
