"""`roadmap tasks` as a table."""

from tests.support.openapi import example
from tests.unit.conftest import Api, Roadmap

FAILED = example(
    "TaskRow",
    task_id="t-1",
    title="A roadmap",
    status="failed",
    erased=False,
    turn={"who": "person", "at": None, "why": "Retry it."},
    progress={"missing": 1, "failed": 1, "saved": 2, "total": 3},
    top_reason=example("TopReason", error_code="InvalidContent", reason="a NUL character"),
)
AGAIN = {"who": "automatic", "at": "2026-12-02T09:17:00Z", "why": "The sweep starts the next attempt."}
AT_WORK = FAILED | {
    "task_id": "t-2",
    "status": "processing",
    "progress": None,
    "top_reason": None,
    "turn": AGAIN,
}


def test_a_task_at_work_has_its_last_change_and_a_failed_one_its_reason(roadmap: Roadmap) -> None:
    page = {"next_cursor": "next", "total": 9, "total_is_exact": False}
    api = Api(page | {"items": [FAILED]}, page | {"items": [AT_WORK]})
    shown = roadmap(api, "tasks", "--limit", "2", "--status", "failed")
    lines = shown.stdout.splitlines()
    assert "t-1\tfailed\tperson\t1/3\tInvalidContent: a NUL character\tA roadmap" in lines
    assert "t-2\tin progress\tautomatic 2026-12-02T09:17:00Z\t\tupdated 2026-11-25T02:41Z\tA roadmap" in lines
    assert len(lines) == 3  # nothing but rows, for another program
    assert shown.stderr == "2 of about 9 tasks\n"
    assert [each.query for each in api.sent] == [
        {"status": "failed", "limit": "2"},
        {"status": "failed", "limit": "2", "cursor": "next"},
    ]


def test_each_option_of_a_filter_is_a_parameter_of_the_request(roadmap: Roadmap) -> None:
    api = Api({"items": [], "next_cursor": None, "total": 0, "total_is_exact": True})
    options = ("-q", "loops", "--group", "g", "--error", "E", "--type", "quiz", "--user", "u")
    roadmap(api, "tasks", *options, "--status", "failed", "--status", "partial_failure")
    assert api.sent[0].query == {
        "q": "loops",
        "group_id": "g",
        "error_code": "E",
        "content_type": "quiz",
        "user_id": "u",
        "status": ["failed", "partial_failure"],
        "limit": "50",
    }
