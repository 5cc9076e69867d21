"""Write the JSON Schema of each content type's staged content to `docs/schemas/`, from the code's models."""

import json
from pathlib import Path

from local_stack.builds import REPOSITORY
from roadmap_content.content.registry import CONTENT_KINDS
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


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in ContentType:
        schema_file(each).write_text(schema_document(each))
