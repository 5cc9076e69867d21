"""A documentation page of the API, from its OpenAPI document."""

import json
from collections.abc import Iterator
from typing import Any

from local_stack.builds import REPOSITORY

PAGE = REPOSITORY / "docs" / "api.md"


def page_of(document: dict[str, Any]) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield "# The API"
    yield ""
    yield (
        "Written by `make openapi` from [openapi.json](openapi.json), which also describes every field, with "
        "an example of each body."
    )
    yield ""
    yield document["info"]["description"].strip()
    yield ""
    yield "Several operations share these answers, and list only their numbers:"
    yield ""
    yield "| status | |"
    yield "|---|---|"
    for status, response in document["components"]["responses"].items():
        yield f"| {status} | {response['description']} |"
    yield ""
    for tag in document["tags"]:
        yield f"## {tag['name'].capitalize()}"
        yield ""
        yield tag["description"]
        yield ""
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(document, method, path, operation)


def _operation(document: dict[str, Any], method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary']}"
    yield ""
    yield f"`{method.upper()} {path}` (`{operation['operationId']}`)"
    yield ""
    yield operation["description"]
    yield ""
    rows = list(_parameters(document, operation))
    if rows:
        yield "| parameter | in | type | |"
        yield "|---|---|---|---|"
        yield from rows
        yield ""
    yield _answers(operation["responses"])
    yield ""


def _answers(responses: dict[str, Any]) -> str:
    own = [f"**{status}** {each['description']}" for status, each in responses.items() if "$ref" not in each]
    shared = [status for status, each in responses.items() if "$ref" in each]
    return "; ".join([*own, f"also {', '.join(shared)}"])


def _parameters(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    for each in operation.get("parameters", []):
        parameter = resolved(document, each)
        schema = {"description": parameter.get("description")} | parameter["schema"]
        yield _parameter(document, parameter["name"], parameter["in"], schema, parameter.get("required"))
    body = operation.get("requestBody", {}).get("content", {})
    for content in body.values():
        for name, field, required in body_fields(document, content["schema"]):
            yield _parameter(document, name, "body", field, required)


def body_fields(
    document: dict[str, Any], schema: dict[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """The name, the schema and whether it is required, of each field of a body and of the objects in it."""
    model = resolved(document, schema)
    for name, field in model.get("properties", {}).items():
        yield prefix + name, field, name in model.get("required", ())
        yield from body_fields(document, field, f"{prefix}{name}.")


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The component that a part of a document refers to, also if its value may be null."""
    match part:
        case {"$ref": str(target)}:
            _, components, kind, name = target.split("/")
            return dict(document[components][kind][name])
        case {"anyOf": [first, {"type": "null"}]}:
            return resolved(document, first)
    return part


def _parameter(
    document: dict[str, Any], name: str, place: str, schema: dict[str, Any], required: object
) -> str:
    type_ = _type(document, schema).replace("|", "or")
    if "default" in schema and not isinstance(schema["default"], dict):
        type_ += f", default `{json.dumps(schema['default'])}`"
    description = schema.get("description") or resolved(document, schema).get("description", "")
    return f"| `{name}` | {place} | {type_} | {'Required. ' if required else ''}{description} |"


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": _}:
            return _type(document, resolved(document, schema))
        case {"anyOf": list(several)}:
            return " | ".join(_type(document, each) for each in several if each.get("type") != "null")
        case {"enum": list(values)}:
            return " | ".join(f"`{value}`" for value in values)
        case {"items": inner}:
            return f"list of {_type(document, inner)}"
        case {"format": "date-time"}:
            return "time"
        case {"type": [type_, "null"]} | {"type": type_}:
            return str(type_)
    return ""
