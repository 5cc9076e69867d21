"""Check `events/`: one valid event per function."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from local_stack.template_file import Template
from roadmap_content.api.callers import caller_of
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.payloads import BatchRequest, Payload, parse
from roadmap_content.runs.installation.migrate import MigrateRequest
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest
from roadmap_content.runs.steps.finalize import FinalizeRequest
from roadmap_content.runs.steps.plan import PlanRequest

from .declared import functions_in
from .findings import Finding

CONTRACTS: Mapping[str, type[Payload]] = {
    "plan_batches": PlanRequest,
    "generate_content": BatchRequest,
    "save_batch": BatchRequest,
    "finalize_task": FinalizeRequest,
    "await_redrive": AwaitRedriveRequest,
    "reconcile_task": ReconcileRequest,
    "migrate_database": MigrateRequest,
}
"""The payload types of the functions that API Gateway does not invoke."""


def check_events(template: Template, folder: Path) -> Iterator[Finding]:
    """Check that every function has an event and accepts it."""
    names = {function.name for function in functions_in(template)}
    files = {path.stem for path in folder.glob("*.json")}
    for name in sorted(names ^ files):
        yield Finding(
            f"events/{name}.json", "it is missing" if name in names else "there is no such function"
        )
    readers: dict[str, Callable[[Any], object]] = {
        "authorize_request": _read_token_request,
        "check_links": lambda event: [(item["content_type"], item["content"]) for item in event["items"]],
        "console": lambda event: _require_route(event, template),
        "task_api": lambda event: _read_api_request(event, template),
        "operator_api": lambda event: _read_api_request(event, template),
    }
    for name in sorted(names & files):
        path = folder / f"{name}.json"
        try:
            event = json.loads(path.read_text())
            readers[name](event) if name in readers else parse(CONTRACTS[name], event)
        except KeyError as error:
            yield Finding(f"events/{path.name}", f"{error} is missing, here or in the contracts")
        except (ContentError, ValueError) as error:
            yield Finding(f"events/{path.name}", str(error))


def _read_token_request(event: Mapping[str, Any]) -> None:
    if event["type"] != "TOKEN":
        raise ValueError(f"type is {event['type']!r}, not TOKEN")
    for key in ("methodArn", "authorizationToken"):
        event[key]


def _require_route(event: Mapping[str, Any], template: Template) -> None:
    routes = {
        (route["Properties"]["Method"], route["Properties"]["Path"])
        for resource in template["Resources"].values()
        for route in resource.get("Properties", {}).get("Events", {}).values()
        if resource["Type"] == "AWS::Serverless::Function" and route["Type"] == "Api"
    }
    route = (event["httpMethod"], event["resource"])
    if route not in routes:
        raise ValueError(f"{' '.join(route)} is not a route of the API")


def _read_api_request(event: Mapping[str, Any], template: Template) -> None:
    _require_route(event, template)
    caller_of(event).reads_for((event["queryStringParameters"] or {}).get("user_id"))
