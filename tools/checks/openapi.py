"""Print the OpenAPI document of the API."""

import importlib
import sys

from roadmap_content import __version__


def openapi_document() -> str:
    """The document, as JSON."""
    api = importlib.import_module("functions.task_api.app")
    document: str = api.app.get_openapi_json_schema(
        title="Roadmap content",
        version=__version__,
        description="Get the status of content-generation tasks and retry missing items.",
    )
    return document + "\n"


if __name__ == "__main__":
    sys.stdout.write(openapi_document())
