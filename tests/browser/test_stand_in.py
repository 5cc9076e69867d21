"""The simulated API answers in the documented format, so a view that works with it works with the API."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from roadmap_content.contracts.items import ContentType
from tests.browser.fake_api import respond
from tests.browser.fake_data import SCENARIOS, Model, task_id
from tests.support.openapi import resolved

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
FILTER = {"filter": {"status": ["failed"]}, "reason": "why", "rate_per_minute": 60, "dry_run": True}

REQUESTS: list[tuple[str, str, dict[str, list[str]], dict[str, Any]]] = [
    ("GET", "/tasks", {"limit": ["50"]}, {}),
    *[("GET", f"/tasks/{task_id(number)}", {}, {}) for number in range(7)],
    *[("GET", f"/tasks/{task_id(number)}/items", {}, {}) for number in (0, 3, 6)],
    ("GET", f"/tasks/{task_id(0)}/items", {"states_only": ["true"]}, {}),
    *[("GET", f"/tasks/{task_id(0)}/items/{name}", {"concept_id": ["c-0"]}, {}) for name in ContentType],
    *[("GET", f"/tasks/{task_id(0)}/content/{name}", {"concept_id": ["c-1"]}, {}) for name in ContentType],
    ("GET", f"/tasks/{task_id(0)}/changes", {}, {}),
    ("GET", f"/tasks/{task_id(0)}/attempts", {}, {}),
    ("POST", f"/tasks/{task_id(0)}/retry", {}, {}),
    ("POST", f"/tasks/{task_id(2)}/retry", {"force_checkpoint": ["true"]}, {}),
    ("POST", f"/tasks/{task_id(4)}/retry", {}, {}),
    ("POST", f"/tasks/{task_id(0)}/cancel", {}, {}),
    ("GET", "/tasks/nobody", {}, {}),
    ("GET", "/failures", {}, {}),
    ("GET", "/failures/g1", {}, {}),
    ("PUT", "/failures/g1", {}, {"state": "acknowledged", "note": "n"}),
    ("GET", "/health", {}, {}),
    ("GET", "/recoveries", {}, {}),
    ("POST", "/recoveries", {}, FILTER),
    ("POST", "/recoveries", {}, FILTER | {"dry_run": False}),
    *[("GET", f"/recoveries/rec-{number}", {}, {}) for number in range(4)],
    ("GET", "/recoveries/rec-0/tasks", {}, {}),
    *[("POST", f"/recoveries/rec-0/{action}", {}, {}) for action in ("pause", "resume", "cancel")],
]


@pytest.mark.parametrize("subject", ["operator", "owner", "hostile"])
@pytest.mark.parametrize(
    ("method", "path", "query", "body"), REQUESTS, ids=[" ".join(each[:2]) for each in REQUESTS]
)
def test_an_answer_has_the_documented_shape(
    subject: str, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]
) -> None:
    status, answer = respond(Model(subject), method, path.strip("/").split("/"), query, body)
    operation = next(
        methods[method.lower()]
        for template, methods in DOCUMENT["paths"].items()
        if _fits(template.removeprefix("/api/v1"), path) and method.lower() in methods
    )
    response = resolved(DOCUMENT, operation["responses"][str(status)])
    schema = response["content"]["application/json"]["schema"]
    faults = Draft202012Validator(schema | {"components": DOCUMENT["components"]}).iter_errors(answer)
    assert [f"{fault.json_path}: {fault.message}" for fault in faults] == []


def test_every_scenario_is_of_a_known_role() -> None:
    assert {role for scenario in SCENARIOS.values() for role in scenario.roles} == {
        "owner",
        "viewer",
        "operator",
    }


def _fits(template: str, path: str) -> bool:
    pairs = list(zip(template.split("/"), path.split("/"), strict=False))
    return template.count("/") == path.count("/") and all(
        wanted.startswith("{") or wanted == given for wanted, given in pairs
    )
