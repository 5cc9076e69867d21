"""The check of example events detects invalid and missing events."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from checks.template.events import check_events
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template

NEEDED = {
    "authorize_request": "authorizationToken",
    "await_redrive": "outcome",
    "finalize_task": "execution",
    "generate_content": "batch",
    "plan_batches": "input",
    "recovery_api": "requestContext",
    "save_batch": "plan",
    "task_api": "requestContext",
}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A copy of the events."""
    return Path(shutil.copytree(REPOSITORY / "events", tmp_path / "events"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_events_of_the_repository_are_valid(template: Template) -> None:
    assert list(check_events(template, REPOSITORY / "events")) == []


@pytest.mark.parametrize(("name", "key"), NEEDED.items())
def test_a_missing_key_is_detected(template: Template, events: Path, name: str, key: str) -> None:
    path = events / f"{name}.json"
    event = json.loads(path.read_text())
    del event[key]
    path.write_text(json.dumps(event))
    assert [finding.place for finding in check_events(template, events)] == [f"events/{name}.json"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("reconcile_task", {"detail": {"status": "FAILED"}}),
        ("migrate_database", {"dry_run": "perhaps"}),
        ("authorize_request", {"type": "REQUEST"}),
        ("task_api", {"resource": "/api/v2/tasks/{task_id}/retry"}),
        ("task_api", {"queryStringParameters": {"user_id": "somebody else"}}),
        ("task_api", {"requestContext": {"authorizer": {}}}),
        ("recovery_api", {"requestContext": {"authorizer": {}}}),
        ("recovery_api", {"resource": "/api/v1/recoveries/{id}/restart"}),
        ("console", {"resource": "/"}),
    ],
)
def test_an_invalid_value_is_detected(
    template: Template, events: Path, name: str, changes: dict[str, Any]
) -> None:
    change(events / f"{name}.json", **changes)
    assert [finding.place for finding in check_events(template, events)] == [f"events/{name}.json"]


def test_invalid_json_is_detected(template: Template, events: Path) -> None:
    (events / "save_batch.json").write_text("{")
    assert [finding.place for finding in check_events(template, events)] == ["events/save_batch.json"]


def test_a_missing_event_and_an_unknown_event_are_detected(template: Template, events: Path) -> None:
    (events / "save_batch.json").rename(events / "save_batches.json")
    assert {str(finding) for finding in check_events(template, events)} == {
        "events/save_batch.json: it is missing",
        "events/save_batches.json: there is no such function",
    }
