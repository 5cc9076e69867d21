"""Write the console's types of the API from its OpenAPI document: `console/types.d.ts`."""

import json
from collections.abc import Mapping
from typing import Any

from local_stack.builds import REPOSITORY

from .openapi import DOCUMENT, operations, references

FILE = REPOSITORY / "console" / "types.d.ts"

_KINDS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def declarations(document: dict[str, Any]) -> str:
    """A declaration for each schema. An answer has all of its fields; a request may leave some out."""
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    bodies = [operation["requestBody"] for operation in operations(document) if "requestBody" in operation]
    requested = set(references(bodies))
    while further := {name for known in requested for name in references(schemas[known])} - requested:
        requested |= further
    parts = ["// The types of the API's answers and requests. Written by `make openapi`.\n"]
    for name, schema in schemas.items():
        parts.append(_declaration(name, schema, optional=name in requested))
    return "\n".join(parts)


def _declaration(name: str, schema: Mapping[str, Any], *, optional: bool) -> str:
    if "properties" not in schema:
        return f"export type {name} = {_type(schema)};\n"
    required = schema.get("required", ())
    fields = "".join(
        f"  {field}{'?' if optional and field not in required else ''}: {_type(part)};\n"
        for field, part in schema["properties"].items()
    )
    return f"export interface {name} {{\n{fields}}}\n"


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "enum" in schema:
        return " | ".join(map(json.dumps, schema["enum"]))
    kinds = schema.get("type", "any")
    return " | ".join(_of_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds))


def _of_kind(kind: str, schema: Mapping[str, Any]) -> str:
    match kind:
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(map(_type, schema['prefixItems']))}]"
        case "array":
            return f"({_type(schema['items'])})[]"
        case "object":
            values = schema.get("additionalProperties")
            return f"Record<string, {_type(values) if isinstance(values, Mapping) else 'any'}>"
        case _:
            return _KINDS.get(kind, "any")


if __name__ == "__main__":
    FILE.write_text(declarations(json.loads(DOCUMENT.read_text())))
