"""An event that its function would not take is found; so is one that is missing."""

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
    "save_batch": "plan",
    "task_api": "requestContext",
}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A copy of the events."""
    return Path(shutil.copytree(REPOSITORY / "events", tmp_path / "events"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_events_are_what_their_functions_take(template: Template) -> None:
    assert list(check_events(template, REPOSITORY / "events")) == []


@pytest.mark.parametrize(("name", "key"), NEEDED.items())
def test_a_part_that_is_missing_is_found(template: Template, events: Path, name: str, key: str) -> None:
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
        ("task_api", {"queryStringParameters": {}}),
    ],
)
def test_a_part_that_is_wrong_is_found(
    template: Template, events: Path, name: str, changes: dict[str, Any]
) -> None:
    change(events / f"{name}.json", **changes)
    assert [finding.place for finding in check_events(template, events)] == [f"events/{name}.json"]


def test_what_is_not_json_is_found(template: Template, events: Path) -> None:
    (events / "save_batch.json").write_text("{")
    assert [finding.place for finding in check_events(template, events)] == ["events/save_batch.json"]


def test_an_event_that_is_missing_and_one_too_many_are_found(template: Template, events: Path) -> None:
    (events / "save_batch.json").rename(events / "save_batches.json")
    assert {str(finding) for finding in check_events(template, events)} == {
        "events/save_batch.json: it is missing",
        "events/save_batches.json: there is no such function",
    }
