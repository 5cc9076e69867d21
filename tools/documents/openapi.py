"""Write the OpenAPI document of the API, and the table of its operations: `python -m documents.openapi`."""

import importlib
import inspect
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Tag

from local_stack.builds import REPOSITORY
from roadmap_content import __version__
from roadmap_content.contracts.states import Role

FUNCTIONS = ("task_api", "operator_api")
"""The functions behind the API, in the order of their paths in the document."""

DOCUMENT = REPOSITORY / "docs" / "openapi.json"

PAGE = REPOSITORY / "docs" / "api.md"
"""Has the table of operations between two marks."""

BEGIN, END = "<!-- operations: written by `make openapi` -->\n", "<!-- end of operations -->\n"

CALLERS: Mapping[str, tuple[Role, ...]] = {
    "require_operator": (Role.OPERATOR,),
    "require_sight": (Role.VIEWER, Role.OPERATOR),
    "changes_for": (Role.OWNER, Role.OPERATOR),
}
"""The callers that a check of `Caller` permits. Without one of them, every caller is permitted."""

DESCRIPTION = """\
Get the status of content-generation tasks, and retry missing items: of one task, or of all tasks that a
filter selects.

Every request has a JWT in `Authorization: Bearer …`. An owner sees and changes their own tasks, a viewer sees
all tasks, and an operator sees and changes all tasks. API Gateway answers 429 above its rate limits; send the
request again later.
"""

TAGS = {
    "tasks": "Tasks: lists, status, items, attempts, retry and cancel.",
    "content": "What a learner reads: saved content, and the changes of a task.",
    "failures": "Current failures of many tasks, in groups.",
    "recoveries": "Jobs that retry many tasks.",
    "capacity": "The limits of generation, its stop switch, and the queue.",
    "erasure": "The removal of everything of this system that names a user.",
    "health": "The state of the system.",
    "caller": "The caller's identity.",
}

_METHODS = ("get", "post", "put", "delete")


def openapi_document() -> str:
    """The document, as JSON."""
    documents = [_document_of(name) for name in FUNCTIONS]
    whole = documents[0]
    for document in documents[1:]:
        whole["paths"] |= document["paths"]
        whole["components"]["schemas"] |= document["components"]["schemas"]
    whole["tags"] = [{"name": name, "description": text} for name, text in TAGS.items()]
    for operation in operations(whole):
        _complete(operation)
    schemas = dict(sorted(_used_schemas(whole).items()))
    whole["components"]["schemas"] = _plain(schemas)
    whole["paths"] = _plain(whole["paths"])
    _share(whole)
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All operations of a document."""
    for methods in document["paths"].values():
        for method in _METHODS:
            if method in methods:
                yield methods[method]


def permitted_callers() -> dict[str, tuple[Role, ...]]:
    """The callers that each operation permits, from the checks that its handler calls. An owner is permitted
    for tasks of their own.
    """
    permitted = {}
    for name in FUNCTIONS:
        for route in _routes(importlib.import_module(f"functions.{name}.app")):
            called = _called(route.func)
            checks = [callers for check, callers in CALLERS.items() if check in called]
            permitted[route.operation_id] = checks[0] if checks else tuple(Role)
    return permitted


def _called(function: Callable[..., Any]) -> set[str]:
    """The names that a handler uses, and those that the private functions use that it calls."""
    names = set(function.__code__.co_names)
    helpers = (function.__globals__.get(name) for name in names if name.startswith("_"))
    return names.union(*(helper.__code__.co_names for helper in helpers if inspect.isfunction(helper)))


def page_with_operations(page: str, document: dict[str, Any]) -> str:
    """The page with the table of the document's operations."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    permitted = permitted_callers()
    rows = ["| operation | permitted | purpose |", "|---|---|---|"]
    for tag in TAGS:
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag in operation["tags"]:
                    callers = ", ".join(permitted[operation["operationId"]])
                    rows.append(f"| `{method.upper()} {path}` | {callers} | {operation['summary']} |")
    return before + BEGIN + "".join(f"{row}\n" for row in rows) + END + after


def _document_of(name: str) -> dict[str, Any]:
    api = importlib.import_module(f"functions.{name}.app")
    for route in _routes(api):
        route.description = inspect.getdoc(route.func)  # Powertools does not read docstrings
    text: str = api.app.get_openapi_json_schema(
        title="Roadmap content",
        version=__version__,
        description=DESCRIPTION,
        tags=[Tag(name=name) for name in TAGS],
        security_schemes={"token": HTTPBearer(bearerFormat="JWT", description="A JWT of the product.")},
        security=[{"token": []}],
    )
    document: dict[str, Any] = json.loads(text)
    return document


def _routes(api: Any) -> list[Any]:  # noqa: ANN401 - the module of a handler
    """The routes of a function. Powertools has no public list."""
    return [*api.app._static_routes, *api.app._dynamic_routes]  # noqa: SLF001


def _complete(operation: dict[str, Any]) -> None:
    """Sort the responses, without the 422 response that Powertools adds to every operation."""
    responses = operation["responses"]
    if "HTTPValidationError" in json.dumps(responses.get("422", {})):
        del responses["422"]
    operation["responses"] = dict(sorted(responses.items()))
    operation["responses"].get("304", {}).pop(
        "content", None
    )  # Powertools documents a body for every response


def _used_schemas(document: dict[str, Any]) -> dict[str, Any]:
    """The schemas that an operation refers to, directly or through another schema."""
    schemas = document["components"]["schemas"]
    used: dict[str, Any] = {}
    open_ = list(references(document["paths"]))
    while open_:
        name = open_.pop()
        if name not in used:
            used[name] = schemas[name]
            open_ += references(schemas[name])
    return used


def _plain(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Schemas without the titles that pydantic derives from names, and with `null` among a value's types."""
    match node:
        case {"anyOf": [{"type": str(type_), **first}, {"type": "null"}], **rest} if "enum" not in first:
            return _plain({"type": [type_, "null"], **first, **rest})
        case dict():
            return {
                key: value if key == "example" else _plain(value)
                for key, value in node.items()
                if not (key == "title" and isinstance(value, str))
            }
        case list():
            return [_plain(each) for each in node]
    return node


def _share(document: dict[str, Any]) -> None:
    """Move the parameters and responses that several operations have to `components`."""
    for kind in ("parameters", "responses"):
        places: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
        for operation in operations(document):
            parts = operation.get(kind, {})
            for key in range(len(parts)) if isinstance(parts, list) else list(parts):
                places[json.dumps(parts[key])].append((parts, key))
        shared: dict[str, Any] = {}
        for text, found in places.items():
            part = json.loads(text)
            name = f"{part['in']}_{part['name']}" if kind == "parameters" else found[0][1]
            if len(found) > 1 and name not in shared:
                shared[name] = part
                for parts, key in found:
                    parts[key] = {"$ref": f"#/components/{kind}/{name}"}
        document["components"][kind] = dict(sorted(shared.items()))


def references(node: object) -> Iterator[str]:
    """The names of the schemas and shared parts to which a part of a document refers."""
    match node:
        case {"$ref": str(target), **rest}:
            yield target.rpartition("/")[2]
            yield from references(rest)
        case dict():
            for value in node.values():
                yield from references(value)
        case list():
            for value in node:
                yield from references(value)


def main() -> None:
    """Write both files."""
    document = openapi_document()
    DOCUMENT.write_text(document)
    PAGE.write_text(page_with_operations(PAGE.read_text(), json.loads(document)))


if __name__ == "__main__":
    main()
