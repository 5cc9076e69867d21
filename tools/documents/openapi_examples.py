"""The examples of the OpenAPI document: one for each model of a body, composed from its schema."""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_AT = "2026-11-25T02:41:07Z"
_ARN = "arn:aws:states:eu-central-1:123456789012:execution:save-content:task-7f3a-2-5c1f"
_ROADMAP = "prompt-engineering-9b2c8d4e"
_CONCEPT = f"{_ROADMAP}:c-1-1-2"
_CURSOR = "WyJjaGFuZ2VzIHRhc2stN2YzYSIsIDQyXQ"
_REMEDY = "The next attempt moves the invalid content to rejected/ and generates the item again."
_MESSAGE = "task task-7f3a is being worked on by attempt 2"

_VALUES: Mapping[str, object] = {
    "actor": "operator:op-1",
    "attempt": 2,
    "budget": 2_000_000,
    "by_hour": [["2026-11-25T02:00:00Z", 682]],
    "complete": True,
    "concept_id": _CONCEPT,
    "current_step": "content_generation",
    "cursor": _CURSOR,
    "detail": _MESSAGE,
    "error": "ClaimRefused",
    "error_code": "InvalidContent",
    "error_message": "1 of 90 items is missing",
    "content_link": None,
    "execution_arn": _ARN,
    "estimated_tokens": 2_150,
    "execution_url": None,
    "expires_at": _AT,
    "fingerprint": "9a0364b9e99bb480",
    "generated": 1,
    "generator": "bedrock",
    "group_id": "1f0c6c8e2f3a4b5d",
    "id": "5d1c7f0a-0f0e-4a5e-9d52-0c9a5b8f6f11",
    "key": f"rejected/{_ROADMAP}/quiz/c-1-1-2.json",
    "message": _MESSAGE,
    "missing": 1,
    "model_id": "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "module": "Prompts",
    "name": "Few-shot examples",
    "next_action_text": _REMEDY,
    "next_cursor": _CURSOR,
    "outcome": "partial_failure",
    "prompt_version": "en/quiz@3b0f6c1d92aa",
    "reason": "questions[3].options: List should have at least 2 items",
    "reason_of": [[5, 0]],
    "queue_key": "user:user-1",
    "recovery_id": "rec-0b1f5a2c9d3e4f60",
    "release": "3f9c2ab",
    "remedy_text": _REMEDY,
    "roadmap_id": _ROADMAP,
    "retry": True,
    "runbook": "docs/runbook.md#dead-letters",
    "saved": 29,
    "schema_revision": "0028",
    "stage": "Foundations",
    "states": "SSSSSF",
    "status": "partial_failure",
    "step": "ended",
    "stop_reason": None,
    "stopped_reason": None,
    "stopped_execution": _ARN,
    "task_id": "task-7f3a",
    "tasks_estimated": ["completed"],
    "tasks_left": 0,
    "text": "Events that were not handled: 2. The sweep does their work; read the queue.",
    "title": "Prompt engineering",
    "total": 30,
    "type": "Item Saved",
    "user_id": "user-1",
    "version": 1,
    "what": "dead_letters",
}
"""The values of fields by their names, where the type alone would not show the content."""


def example_of(schema: Schema, schemas: Mapping[str, Schema], name: str = "") -> Any:  # noqa: ANN401 - JSON
    """A value that is valid by `schema`, which belongs to the field `name`."""
    match schema:
        case {"$ref": str(target)}:
            return example_of(schemas[target.rpartition("/")[2]], schemas, name)
        case {"example": value} | {"enum": [value, *_]} | {"const": value}:
            return value
        case {"anyOf": [first, *_]}:
            return example_of(first, schemas, name)
        case {"properties": dict(properties)}:
            return {field: example_of(each, schemas, field) for field, each in properties.items()}
        case {"type": "object", "propertyNames": dict(keys), "additionalProperties": dict(each)}:
            return {key: example_of(each, schemas) for key in _names(keys, schemas)}
        case {"type": "object", "additionalProperties": {"type": "integer"}}:
            return {"completed": 1}
    if name in _VALUES:
        return _VALUES[name]
    match schema:
        case {"type": "array", "prefixItems": list(several)}:
            return [example_of(each, schemas) for each in several]
        case {"type": "array", "items": dict(each)}:
            return [example_of(each, schemas, name)]
        case {"format": "date-time"}:
            return _AT
    return {"integer": 1, "number": 1.5, "boolean": False, "string": name or _CONCEPT, "object": {}}[
        schema["type"]
    ]


def _names(keys: Schema, schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield from schemas[keys["$ref"].rpartition("/")[2]]["enum"]
