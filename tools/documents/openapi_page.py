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
    if parameters := operation.get("parameters", []):
        yield "| parameter | in | type | |"
        yield "|---|---|---|---|"
        for parameter in parameters:
            required = "Required. " if parameter.get("required") else ""
            schema = parameter["schema"]
            type_ = _type(document, schema).replace("|", "or")
            if "default" in schema:
                type_ += f", default `{json.dumps(schema['default'])}`"
            description = parameter.get("description", schema.get("description", ""))
            yield f"| `{parameter['name']}` | {parameter['in']} | {type_} | {required}{description} |"
        yield ""
    yield "| status | |"
    yield "|---|---|"
    for status, response in operation["responses"].items():
        yield f"| {status} | {response['description']} |"
    yield ""


def _type(document: dict[str, Any], schema: dict[str, Any]) -> str:
    match schema:
        case {"$ref": str(target)}:
            return _type(document, document["components"]["schemas"][target.rpartition("/")[2]])
        case {"anyOf": list(several)}:
            return " | ".join(_type(document, each) for each in several if each.get("type") != "null")
        case {"enum": list(values)}:
            return " | ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": inner}:
            return f"list of {_type(document, inner)}"
        case {"format": "date-time"}:
            return "time"
        case _:
            return str(schema.get("type", ""))
