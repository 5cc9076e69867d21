"""`roadmap tasks` as a table."""

from roadmap_content.client.http import HttpAnswer
from tests.support.openapi import example
from tests.unit.conftest import Roadmap

FAILED = example(
    "TaskRow",
    task_id="t-1",
    title="A roadmap",
    status="failed",
    needs_person=False,
    progress={"missing": 1, "failed": 1, "saved": 2, "total": 3},
    top_reason=example("TopReason", error_code="InvalidContent", reason="a NUL character"),
)
AT_WORK = FAILED | {"task_id": "t-2", "status": "processing", "progress": None, "top_reason": None}


class Api:
    """Has a row on each page."""

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []

    def send(self, *_: object, **query: str) -> HttpAnswer:
        self.queries.append(query)
        first = "cursor" not in query
        page = {"items": [FAILED if first else AT_WORK], "next_cursor": "next", "total": 9}
        return HttpAnswer(200, page | {"total_is_exact": False})


def test_a_task_at_work_has_its_last_change_and_a_failed_one_its_reason(roadmap: Roadmap) -> None:
    api = Api()
    shown = roadmap(api, "tasks", "--limit", "2", "--status", "failed")
    lines = shown.stdout.splitlines()
    assert "t-1\tfailed\t1/3\tInvalidContent: a NUL character\tA roadmap" in lines
    assert "t-2\tprocessing\t\tupdated 2026-11-25T02:41Z\tA roadmap" in lines
    assert len(lines) == 3  # nothing but rows, for another program
    assert shown.stderr == "2 of about 9 tasks\n"
    assert api.queries == [
        {"status": "failed", "limit": "2"},
        {"status": "failed", "limit": "2", "cursor": "next"},
    ]
