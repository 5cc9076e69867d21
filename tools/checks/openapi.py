"""Print the OpenAPI document of the API: those of its functions, in one."""

import importlib
import json
import sys
from typing import Any

from roadmap_content import __version__

FUNCTIONS = ("task_api", "recovery_api")
"""The functions behind the API, in the order of their paths in the document."""


def openapi_document() -> str:
    """The document, as JSON."""
    documents = [_document_of(name) for name in FUNCTIONS]
    whole = documents[0]
    for document in documents[1:]:
        whole["paths"] |= document["paths"]
        whole["components"]["schemas"] |= document["components"]["schemas"]
    whole["components"]["schemas"] = dict(sorted(whole["components"]["schemas"].items()))
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _document_of(name: str) -> dict[str, Any]:
    api = importlib.import_module(f"functions.{name}.app")
    text: str = api.app.get_openapi_json_schema(
        title="Roadmap content",
        version=__version__,
        description="Get the status of content-generation tasks, and retry missing items: of one task, or of "
        "all tasks that a filter selects.",
    )
    document: dict[str, Any] = json.loads(text)
    return document


if __name__ == "__main__":
    sys.stdout.write(openapi_document())
