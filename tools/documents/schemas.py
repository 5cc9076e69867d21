"""Write the JSON Schemas of staged contents, and of the generator's event and answer, to `docs/schemas/`."""

import json
from pathlib import Path

from pydantic.json_schema import models_json_schema

from local_stack.builds import REPOSITORY
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.generation import GenerationEvent, GeneratorAnswer
from roadmap_content.contracts.items import ContentType

FOLDER = REPOSITORY / "docs" / "schemas"


def schema_file(content_type: ContentType) -> Path:
    """The file of a content type's schema."""
    return FOLDER / f"{content_type}.json"


def schema_document(content_type: ContentType) -> str:
    """The schema of a content type's staged content, as JSON."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= CONTENT_KINDS[content_type].content.model_json_schema()
    return json.dumps(schema, indent=2) + "\n"


GENERATOR = FOLDER / "generator.json"


def generator_document() -> str:
    """The schemas of the event and the answer of a generator that is a function of the team, as JSON."""
    _, schemas = models_json_schema([(GenerationEvent, "serialization"), (GeneratorAnswer, "validation")])
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "The event: #/$defs/GenerationEvent; the answer: #/$defs/GeneratorAnswer.",
    }
    return json.dumps(schema | schemas, indent=2) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in ContentType:
        schema_file(each).write_text(schema_document(each))
    GENERATOR.write_text(generator_document())
