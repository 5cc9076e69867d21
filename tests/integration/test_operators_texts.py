"""An owner's answers have no text that an operator wrote, but those that are meant for owners."""

from typing import Any

import pytest

from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import USER, bundle_of
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask

SECRET = "a note for operators"
ITEM = {"concept_id": "a"}
READS: dict[str, tuple[str, dict[str, str]]] = {
    "status": ("/tasks/t-1", {}),
    "list": ("/tasks", {}),
    "items": ("/tasks/t-1/items", {}),
    "item": ("/tasks/t-1/items/quiz", ITEM),
    "revisions": ("/tasks/t-1/items/quiz/revisions", ITEM),
    "content": ("/tasks/t-1/content/quiz", ITEM),
    "attempts": ("/tasks/t-1/attempts", {}),
    "changes": ("/tasks/t-1/changes", {}),
    "failures": ("/failures", {}),
}
"""Every read of a task that is open to owners."""


@pytest.fixture
def with_notes(pipeline: Pipeline, ask: Ask) -> Pipeline:
    """A task with failures and revisions, about which an operator has written wherever it is possible."""
    pipeline.load(bundle_of(["a", "b"]))
    pipeline.stage(Item("b", ContentType.QUIZ), b"{")
    pipeline.run()
    assert ask("POST", "/tasks/t-1/retry", {"reason": SECRET}, **OPERATOR).status == 202
    pipeline.execute("UPDATE quiz_metadata SET questions = '[]' WHERE concept_id = 'a'")
    revisions = ask("GET", "/tasks/t-1/items/quiz/revisions", ITEM, **OPERATOR).body["items"]
    former = revisions[-1]["revision_id"]
    path = f"/tasks/t-1/items/quiz/revisions/{former}/restore"
    assert ask("POST", path, ITEM | {"reason": SECRET}, **OPERATOR).status == 200
    for group in ask("GET", "/failures", **OPERATOR).body["items"]:
        body = {"state": "acknowledged", "note": SECRET}
        assert ask("PUT", f"/failures/{group['group_id']}", body=body, **OPERATOR).status == 200
    return pipeline


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_an_owner_reads_no_text_of_an_operator(with_notes: Pipeline, ask: Ask) -> None:
    """An operator reads each, so the texts are there."""
    seen_by_operators = set()
    for name, (path, query) in READS.items():
        owned = ask("GET", path, query | {"user_id": USER})
        assert owned.status == 200, (name, owned.body)
        assert not [text for text in texts(owned.body) if SECRET in text], name
        full = ask("GET", path, query, **OPERATOR)
        if any(SECRET in text for text in texts(full.body)):
            seen_by_operators.add(name)
    assert seen_by_operators == {"item", "revisions", "attempts", "failures"}
