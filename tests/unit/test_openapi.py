"""`docs/openapi.json`, `docs/api.md` and `docs/schemas/` match the code, and describe all of the API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from documents import console_types, content_types
from documents.openapi import DOCUMENT, PAGE, openapi_document, operations, page_with_operations
from documents.schemas import GENERATOR, generator_document, schema_document, schema_file
from roadmap_content.contracts.items import ContentType
from tests.support.openapi import resolved

WHOLE: dict[str, Any] = json.loads(DOCUMENT.read_text())
BODIES = [WHOLE["paths"], WHOLE["components"]["responses"]]
OPERATIONS = {operation["operationId"]: operation for operation in operations(WHOLE)}


def test_the_document_and_the_table_of_operations_are_up_to_date() -> None:
    assert DOCUMENT.read_text() == openapi_document(), "run `make openapi`"
    assert PAGE.read_text() == page_with_operations(PAGE.read_text(), WHOLE), "run `make openapi`"


def test_the_console_s_names_of_content_types_are_up_to_date() -> None:
    assert content_types.FILE.read_text() == content_types.module(), "run `make openapi`"
    assert content_types.REASONS.read_text() == content_types.reasons(), "run `make openapi`"


def test_the_console_s_types_are_those_of_the_document() -> None:
    assert console_types.FILE.read_text() == console_types.declarations(WHOLE), "run `make openapi`"


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
        each
        for operation in OPERATIONS.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for each in body_fields(content["schema"])
    ]
    assert "regenerate.error_code" in dict(fields)
    assert [name for name, field in fields if "description" not in field and "$ref" not in field] == []


def body_fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the schema of each field of a body and of the objects in it."""
    for name, field in resolved(WHOLE, schema).get("properties", {}).items():
        yield prefix + name, field
        yield from body_fields(field, f"{prefix}{name}.")


def test_every_schema_is_used() -> None:
    used = set(references(BODIES))
    for _ in WHOLE["components"]["schemas"]:
        used |= {name for each in used for name in references(WHOLE["components"]["schemas"][each])}
    assert used == set(WHOLE["components"]["schemas"])


def references(node: Any) -> Iterator[str]:
    yield from re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(node))


@pytest.mark.parametrize("content_type", ContentType)
def test_the_schemas_of_contents_are_up_to_date(content_type: ContentType) -> None:
    assert schema_file(content_type).read_text() == schema_document(content_type), "run `make openapi`"


def test_the_schemas_of_the_generator_are_up_to_date() -> None:
    assert GENERATOR.read_text() == generator_document(), "run `make openapi`"
