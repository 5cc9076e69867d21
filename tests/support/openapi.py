"""Reading docs/openapi.json."""

import json
from collections.abc import Mapping
from typing import Any

from documents.openapi import DOCUMENT as FILE

DOCUMENT: dict[str, Any] = json.loads(FILE.read_text())


def example(model: str, **changed: Any) -> dict[str, Any]:
    """A valid value of a model of the document, with these fields."""
    value: dict[str, Any] = value_of(DOCUMENT, DOCUMENT["components"]["schemas"][model])
    return value | changed


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The component that a part of a document refers to, also if its value may be null."""
    match part:
        case {"$ref": str(target)}:
            _, components, kind, name = target.split("/")
            return dict(document[components][kind][name])
        case {"anyOf": [first, {"type": "null"}]}:
            return resolved(document, first)
    return part


def value_of(document: dict[str, Any], schema: Mapping[str, Any]) -> Any:
    """A value that is valid by a schema of a document."""
    match schema:
        case {"$ref": _}:
            return value_of(document, resolved(document, dict(schema)))
        case {"enum": [value, *_]} | {"const": value}:
            return value
        case {"anyOf": [first, *_]}:
            return value_of(document, first)
        case {"properties": dict(properties)}:
            return {name: value_of(document, field) for name, field in properties.items()}
        case {"propertyNames": dict(names), "additionalProperties": dict(each)}:
            return {key: value_of(document, each) for key in resolved(document, names)["enum"]}
        case {"prefixItems": list(several)}:
            return [value_of(document, each) for each in several]
        case {"items": dict(each)}:
            return [value_of(document, each)]
        case {"format": "date-time"}:
            return "2026-11-25T02:41:07Z"
        case {"type": [str(first), "null"]} | {"type": str(first)}:
            return {"integer": 1, "number": 1.5, "boolean": True, "string": "text", "object": {}}[first]
    raise AssertionError(f"a schema of an unknown form: {schema}")
