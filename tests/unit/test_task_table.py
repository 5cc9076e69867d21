"""`roadmap tasks` as a table."""

from typing import Any

import pytest

from roadmap_command import main
from roadmap_command.commands import operate

FAILED = {
    "task_id": "t-1",
    "status": "failed",
    "needs_person": False,
    "progress": {"missing": 1, "total": 3},
    "top_reason": {"error_code": "InvalidContent", "reason": "a NUL character"},
    "title": "A roadmap",
    "updated_at": "2026-11-29T17:05:09Z",
}
AT_WORK = FAILED | {"task_id": "t-2", "status": "processing", "progress": None, "top_reason": None}


def test_a_task_at_work_has_its_last_change_and_a_failed_one_its_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Nothing:
        @classmethod
        def named(cls, _stack: str | None) -> "Nothing":
            return cls()

        def operator_api(self) -> None:
            """Nothing is sent."""

    def pages(*_: object, **__: object) -> Any:
        return [FAILED, AT_WORK], {"total": 2, "total_is_exact": True}

    monkeypatch.setattr(operate, "Target", Nothing)
    monkeypatch.setattr(operate, "pages", pages)
    main.app(("tasks",), standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert "t-1\tfailed\t1/3\tInvalidContent: a NUL character\tA roadmap" in lines
    assert "t-2\tprocessing\t\tupdated 2026-11-29T17:05Z\tA roadmap" in lines
