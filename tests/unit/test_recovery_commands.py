"""`roadmap pause`, `resume` and `cancel --recovery` change a recovery through the API."""

import json
from typing import Any

import pytest

from local_stack.errors import RefusedError
from roadmap_content.client.http import ApiRefusedError, ApiUnavailableError, HttpAnswer
from tests.support.openapi import example
from tests.unit.conftest import Roadmap

STATES = {"pause": "paused", "resume": "running", "cancel": "cancelled"}


class Api:
    """Records each request. Refuses to change a recovery that has ended."""

    def __init__(self, *, ended: bool = False) -> None:
        self._ended = ended
        self.requests: list[tuple[str, str]] = []

    def send(self, method: str, path: str, *_: Any, **__: Any) -> HttpAnswer:
        self.requests.append((method, path))
        recovery_id, action = path.split("/")[-2:]
        if self._ended:
            return HttpAnswer(409, {"error": "RecoveryState", "message": "recovery rec-1 is completed"})
        counts = {"total": 40, "waiting": 30, "running": 2, "recovered": 8, "still_failing": 0, "refused": 0}
        changed = {"recovery_id": recovery_id, "state": STATES[action], "counts": counts}
        return HttpAnswer(200, example("RecoveryAnswer", **changed))


COMMANDS = [(name, "--recovery", "rec-1") for name in STATES]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@each_command
def test_a_recovery_is_changed_and_its_new_state_is_printed(
    command: tuple[str, ...], roadmap: Roadmap
) -> None:
    api = Api()
    result = roadmap(api, *command)
    assert api.requests == [("POST", f"/recoveries/rec-1/{command[0]}")]
    state = STATES[command[0]]
    assert result.stdout == f"recovery rec-1: {state}, 30 waiting and 2 running of 40 tasks\n"
    assert result.exit_code == 0


@each_command
def test_a_recovery_that_has_ended_is_refused(command: tuple[str, ...], roadmap: Roadmap) -> None:
    with pytest.raises(ApiRefusedError, match="409 RecoveryState: recovery rec-1 is completed"):
        roadmap(Api(ended=True), *command)


@pytest.mark.parametrize("arguments", [(), ("t-1", "--recovery", "rec-1")], ids=["neither", "both"])
def test_cancel_needs_either_a_task_or_a_recovery(arguments: tuple[str, ...], roadmap: Roadmap) -> None:
    api = Api()
    with pytest.raises(RefusedError, match="name a task, or a recovery"):
        roadmap(api, "cancel", *arguments)
    assert api.requests == []


@each_command
def test_a_reason_is_sent(command: tuple[str, ...], roadmap: Roadmap) -> None:
    sent: list[str] = []

    class Asked(Api):
        def send(self, *given: Any, **query: Any) -> HttpAnswer:
            sent.append(query["reason"])
            return super().send(*given, **query)

    assert roadmap(Asked(), *command, "--reason", "why").exit_code == 0
    assert sent == ["why"]


def test_an_answer_of_a_failed_api_is_shown_with_its_code(roadmap: Roadmap) -> None:
    class Failed:
        def send(self, *_: Any, **__: Any) -> HttpAnswer:
            return HttpAnswer(503, {"error": "DatabaseUnavailable", "message": "Service Unavailable"})

    with pytest.raises(ApiUnavailableError, match="503 DatabaseUnavailable: Service Unavailable"):
        roadmap(Failed(), "pause", "--recovery", "rec-1")


def test_an_undo_is_repeated_until_it_is_complete_and_lists_what_was_left_alone(
    roadmap: Roadmap,
) -> None:
    counts = {"recovery_id": "rec-1", "restored": 5, "not_replaced": 0, "left_alone": 1}
    left = {"concept_id": "c-1", "content_type": "quiz", "reason": "ChangedSince"}
    before = {"tasks_left": 1, "restored": 2, "not_replaced": 0, "left_alone": 0}
    answers = [
        example("RecoveryAnswer", undone=before),
        counts | {"complete": False, "tasks_left": 1},
        counts | {"complete": True, "tasks_left": 0},
        {
            "items": [
                example(
                    "RecoveryTask",
                    task_id="t-1",
                    undone={"restored": 5, "not_replaced": 0, "left_alone": [left]},
                ),
                example("RecoveryTask", undone=None),
            ],
            "next_cursor": None,
        },
    ]

    class Undoing:
        def __init__(self) -> None:
            self.requests: list[tuple[str, str]] = []

        def send(self, method: str, path: str, *_: Any, **__: Any) -> HttpAnswer:
            self.requests.append((method, path))
            return HttpAnswer(200, answers[len(self.requests) - 1])

    api = Undoing()
    result = roadmap(api, "undo", "--recovery", "rec-1", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["complete"], document["restored"]) == (True, 5)
    assert document["items"] == [{"task_id": "t-1"} | left]
    undo = ("POST", "/recoveries/rec-1/undo")
    first, last = ("GET", "/recoveries/rec-1"), ("GET", "/recoveries/rec-1/tasks")
    assert api.requests == [first, undo, undo, last]
    said = roadmap(Undoing(), "undo", "--recovery", "rec-1").stdout
    assert said.startswith("rec-1: 5 items restored (2 of them by an earlier undo), 0 had not")


def test_an_undo_of_an_unknown_recovery_promises_nothing(roadmap: Roadmap) -> None:
    class Unknown:
        def send(self, *_: Any, **__: Any) -> HttpAnswer:
            refusal = {"error": "RecoveryNotFound", "message": "there is none", "detail": "there is none"}
            return HttpAnswer(404, refusal)

    with pytest.raises(ApiRefusedError, match="there is none"):
        roadmap(Unknown(), "undo", "--recovery", "nope")


def test_a_regeneration_sends_its_conditions(roadmap: Roadmap) -> None:
    bodies = []

    class Previewing:
        def send(self, _method: str, _path: str, body: Any, **_: Any) -> HttpAnswer:
            bodies.append(body)
            preview = example("RecoveryPreview", items={"staged": {}, "to_generate": {"quiz": 3}})
            return HttpAnswer(200, preview)

    options: tuple[str, ...] = (
        "--model",
        "old",
        "--type",
        "quiz",
        "--before",
        "2026-11-01",
        "--dry-run",
        "--reason",
        "r",
    )
    options += ("--error", "Check.WrongKey")
    result = roadmap(Previewing(), "regenerate", *options)
    assert result.exit_code == 0
    assert "3 to generate" in result.stdout
    (body,) = bodies
    assert body["regenerate"] == {
        "content_type": "quiz", "model_id": "old", "generated_before": "2026-11-01T00:00:00",
        "error_code": "Check.WrongKey",
    }  # fmt: skip
    assert body["dry_run"] is True
