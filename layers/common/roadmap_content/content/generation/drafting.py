"""The schema of a draft that a model must fill in, and the checks of its output."""

from typing import Any

from pydantic import ValidationError

from ...contracts.documents import Document, unstorable
from ...contracts.errors import InvalidContentError
from ...contracts.items import ContentType
from ...contracts.payloads import first_fault
from ..kind import Draft
from ..registry import CONTENT_KINDS


def schema_of(content_type: ContentType) -> Document:
    """The JSON schema of a content type's draft, from its pydantic model.

    References are inlined, and the root has only `type`, `properties` and `required`, because models differ
    in their support for JSON Schema.
    """
    schema = CONTENT_KINDS[content_type].draft.model_json_schema()
    root = _inlined(schema, schema.get("$defs", {}))
    return {key: root[key] for key in ("type", "properties", "required")}


# From the documentation of structured outputs: every object is closed, and these keywords are not accepted.
_NOT_STRICT = frozenset({"minLength", "maxLength", "pattern", "minimum", "maximum", "maxItems"})


def strict_schema(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """A schema in the subset that a strict tool accepts. `read_draft` checks the rest."""
    match node:
        case {"type": "object", "properties": dict(properties)}:
            strict = {name: strict_schema(schema) for name, schema in properties.items()}
            return node | {"properties": strict, "additionalProperties": False}
        case dict():
            return {
                key: min(value, 1) if key == "minItems" else strict_schema(value)
                for key, value in node.items()
                if key not in _NOT_STRICT
            }
        case _:
            return node


def _inlined(node: Any, definitions: Document) -> Any:  # noqa: ANN401 - any part of a schema
    match node:
        case {"$ref": str(reference)}:
            return _inlined(definitions[reference.removeprefix("#/$defs/")], definitions)
        case dict():
            return {key: _inlined(value, definitions) for key, value in node.items()}
        case list():
            return [_inlined(value, definitions) for value in node]
    return node


def read_draft(content_type: ContentType, output: object) -> Draft:
    """Validate a model's output as a draft.

    Raises:
        InvalidContentError: the output is not a draft, or a learner could not use it. The message names the
            first fault and its path, so that the model can correct it.
    """
    if fault := unstorable(output):
        raise InvalidContentError(fault)
    try:
        draft = CONTENT_KINDS[content_type].draft.model_validate(output)
    except ValidationError as error:
        raise InvalidContentError(first_fault(error)) from error
    if fault := draft.fault():
        raise InvalidContentError(fault)
    return draft
