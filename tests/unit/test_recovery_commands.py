"""`roadmap pause`, `resume` and `cancel --recovery` change a recovery through the API."""

import json
import shlex

import pytest

from local_stack.errors import RefusedError
from roadmap_content.client.http import ApiRefusedError
from tests.support.openapi import example
from tests.unit.conftest import Api, Roadmap

STATES = {"pause": "paused", "resume": "running", "cancel": "cancelled"}


COMMANDS = [(name, "--recovery", "rec-1") for name in STATES]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@each_command
def test_a_recovery_is_changed_and_its_new_state_is_printed(
    command: tuple[str, ...], roadmap: Roadmap
) -> None:
    state = STATES[command[0]]
    counts = {"total": 40, "waiting": 30, "running": 2, "recovered": 8, "still_failing": 0, "refused": 0}
    api = Api(example("RecoveryAnswer", recovery_id="rec-1", state=state, counts=counts))
    for options, query in (((), {}), (("--reason", "why"), {"reason": "why"})):
        result = roadmap(api, *command, *options)
        assert api.sent[-1] == ("POST", f"/recoveries/rec-1/{command[0]}", None, query)
        assert result.stdout == f"recovery rec-1: {state}, 30 waiting and 2 running of 40 tasks\n"
        assert result.exit_code == 0


def test_a_recovery_is_followed_in_whole_lines(roadmap: Roadmap) -> None:
    """Regression: in a pipe, one line was cut at 80 characters, and the table began in it."""
    counts = {"total": 40, "waiting": 0, "running": 0, "recovered": 8, "still_failing": 31, "refused": 1}
    ended = example("RecoveryAnswer", state="completed", ended_at="2026-12-03T06:00:00Z", counts=counts)
    api = Api(example("RecoveryPreview"), ended)
    result = roadmap(api, "heal", "--reason", "why", "--yes")
    assert result.stderr.endswith("40/40 ended: 0 running, 8 recovered, 31 still failing, 1 refused\n")


def test_a_recovery_says_what_comes_next(roadmap: Roadmap) -> None:
    """Regression: a `heal` that its breaker had paused ended with a table; no command had the estimate."""
    counts = {"total": 40, "waiting": 30, "running": 2, "recovered": 4, "still_failing": 4, "refused": 0}
    paused = example("RecoveryAnswer", recovery_id="rec-1", state="paused_by_breaker", counts=counts)
    paused |= {"ended_at": None, "stop_reason": "4 of the last 8 tasks failed"}
    said = roadmap(Api(example("RecoveryPreview"), paused), "heal", "--reason", "why", "--yes").stderr
    assert said.splitlines()[-2:] == [
        "4 of the last 8 tasks failed",
        "next: roadmap resume --recovery rec-1, or roadmap cancel --recovery rec-1",
    ]
    progress = {"ended": [], "least_seconds": 61, "most_seconds": 600}
    running = paused | {"state": "running", "stop_reason": None, "progress": progress}
    said = roadmap(Api(running, {"items": [], "next_cursor": None}), "recoveries", "rec-1").stderr
    assert said.endswith(
        "8/40 running: 2 running, 4 recovered, 4 still failing, 0 refused; about 2 to 10 minutes left\n"
    )


@pytest.mark.parametrize(("options", "is_named"), [((), True), (("--status", "cancelled"), False)])
def test_a_filter_that_selects_no_task_leads_to_the_list(
    options: tuple[str, ...], is_named: bool, roadmap: Roadmap
) -> None:
    """Regression: `--status cancelled` got the advice to select the status `cancelled`."""
    api = Api({"error": "NothingMatches", "message": "the filter selects no task"}, status=422)
    with pytest.raises(ApiRefusedError, match=r"list them with: .* tasks") as refused:
        roadmap(api, "heal", "--reason", "why", *options)
    assert ("--status cancelled" in str(refused.value)) is is_named


@pytest.mark.parametrize("arguments", [(), ("t-1", "--recovery", "rec-1")], ids=["neither", "both"])
def test_cancel_needs_either_a_task_or_a_recovery(arguments: tuple[str, ...], roadmap: Roadmap) -> None:
    api = Api({})
    with pytest.raises(RefusedError, match="name a task, or a recovery"):
        roadmap(api, "cancel", *arguments)
    assert api.sent == []


def test_an_undo_is_repeated_until_it_is_complete_and_lists_what_was_left_alone(
    roadmap: Roadmap,
) -> None:
    counts = {"recovery_id": "rec-1", "restored": 5, "not_replaced": 0, "left_alone": 1}
    left = {"concept_id": "c-1", "content_type": "quiz", "reason": "ChangedSince"}
    answers = [
        counts | {"complete": False, "tasks_left": 1, "restored": 2},
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

    api = Api(*answers)
    result = roadmap(api, "undo", "--recovery", "rec-1", "--json", "--yes")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["complete"], document["restored"]) == (True, 5)
    assert document["items"] == [{"task_id": "t-1"} | left]
    undo = ("POST", "/recoveries/rec-1/undo")
    assert [each[:2] for each in api.sent] == [undo, undo, undo, ("GET", "/recoveries/rec-1/tasks")]
    assert [each.query for each in api.sent] == [{"dry_run": "true"}, {}, {}, {"limit": "200"}]
    said = roadmap(Api(*answers), "undo", "--recovery", "rec-1", "--yes").stdout
    assert said.startswith("rec-1: 5 items restored (2 of them by an earlier undo), 0 had not")


@pytest.mark.parametrize("options", [(), ("--json",), ("--dry-run",)])
def test_an_undo_is_previewed_and_confirmed(roadmap: Roadmap, options: tuple[str, ...]) -> None:
    api = Api(example("UndoAnswer", tasks_left=7, complete=False))
    if options == ("--dry-run",):
        assert (
            "replaced in 7 tasks is restored" in roadmap(api, "undo", "--recovery", "rec-1", *options).stdout
        )
    else:
        with pytest.raises(RefusedError, match="nothing was restored"):
            roadmap(api, "undo", "--recovery", "rec-1", *options)
    assert [each.query for each in api.sent] == [{"dry_run": "true"}]


@pytest.mark.parametrize("options", [(), ("--yes",), ("--dry-run",)])
def test_an_undo_that_the_api_refuses_is_refused_before_its_preview(
    roadmap: Roadmap, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: "what it replaced in 7 tasks is restored", and "The rest continues", of a `heal`."""
    refusal = "recovery rec-1 has replaced no saved items"
    api = Api({"error": "RecoveryState", "message": refusal}, status=409)
    with pytest.raises(ApiRefusedError, match=refusal):
        roadmap(api, "undo", "--recovery", "rec-1", *options)
    assert "rest" not in "".join(capsys.readouterr())


def test_a_regeneration_sends_its_conditions(roadmap: Roadmap) -> None:
    api = Api(example("RecoveryPreview", items={"staged": {}, "to_generate": {"quiz": 3}}))
    options = shlex.split(
        "--model old --type quiz --before 2026-11-01 --dry-run --reason r --error Check.WrongKey"
    )
    result = roadmap(api, "regenerate", *options)
    assert result.exit_code == 0
    assert "3 to generate" in result.stdout
    body = api.sent[-1].document
    assert body["regenerate"] == {
        "content_type": "quiz", "model_id": "old", "generated_before": "2026-11-01T00:00:00",
        "error_code": "Check.WrongKey",
    }  # fmt: skip
    assert body["dry_run"] is True
