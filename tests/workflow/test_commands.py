"""The `roadmap` command on the tests' stack."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from local_stack.errors import RefusedError
from roadmap_command.target import Target, patient_lambda_client
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.contracts.errors import ContentError, InvalidBundleError
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import TYPES, bundle_of, counts
from tests.support.machine import Machine

Roadmap = Callable[..., Result]


def test_invalid_and_unstaged_items_are_listed_before_a_run(machine: Machine, roadmap: Roadmap) -> None:
    ids = machine.concept_ids(2)
    bundle = bundle_of(ids, roadmap_id=machine.roadmap_id, task_id=machine.task_id)
    bundle["content"][0]["quiz"]["total_questions"] = 99
    del bundle["content"][1]["resources"]

    with pytest.raises(InvalidBundleError):
        roadmap("load", "-", "--strict", stdin=json.dumps(bundle))
    loaded = roadmap("load", "-", stdin=json.dumps(bundle))
    assert loaded.exit_code == 1
    assert f"quiz of {ids[0]}: content[0].quiz.value: total_questions is 99" in loaded.stderr
    assert f": {2 * TYPES - 2} items." in loaded.stderr

    ran = roadmap("run", machine.task_id)
    assert ran.exit_code == 1
    assert (
        f"1 of {2 * TYPES} missing items is not staged: "
        "it will be generated (offline, in English or Chinese)." in ran.stderr
    )
    assert "total_questions is 99" in ran.stdout  # on one line, because the output is piped
    assert [line.split()[1:9:2] for line in ran.stdout.splitlines() if "│ resources" in line] == [
        ["resources", "2", "2", "0"]
    ]
    shown = json.loads(roadmap("status", machine.task_id, "--json").stdout)
    assert {name: each["generated"] for name, each in shown["progress"].items()} == counts(resources=1)

    again = roadmap("load", "-", "--json", stdin=json.dumps(bundle))
    assert json.loads(again.stdout)["saved_already"] == 2 * TYPES - 2


def test_a_retry_can_be_limited_to_an_item_and_generate_a_saved_one_again(
    machine: Machine, roadmap: Roadmap
) -> None:
    ids = machine.load(2)
    for concept_id in ids:
        machine.stage(Item(concept_id, ContentType.QUIZ), b"not json")
    machine.run()
    task = machine.task_id

    assert roadmap("retry", task, f"{ids[0]}/quiz").exit_code == 1
    assert f"1 of {2 * TYPES} items are missing" in roadmap("status", task).stdout

    again = ("retry", task, f"{ids[0]}/tutorial", "--regenerate")
    preview = json.loads(roadmap(*again, "--dry-run", "--json").stdout)
    assert (preview["staged"]["tutorial"], preview["to_generate"]["tutorial"]) == (0, 1)
    assert "will be generated: 1" in roadmap(*again, "--dry-run").stdout
    with pytest.raises(ApiRefusedError, match="ChangedSince"):  # as the retry would be
        roadmap(*again, "--instruction", "add an example", "--revision", "former", "--dry-run")
    assert roadmap(*again).exit_code == 1  # the other concept's quiz is still missing
    assert roadmap("retry", task).exit_code == 0
    versions = machine.rows(
        "SELECT concept_id, content_version FROM tutorial_metadata WHERE roadmap_id = :id AND is_latest"
        " ORDER BY concept_id",
        id=machine.roadmap_id,
    )
    assert [row["content_version"] for row in versions] == [2, 1]


def test_the_history_of_an_item_is_explained_and_logged(machine: Machine, roadmap: Roadmap) -> None:
    ids = machine.concept_ids(2)
    bundle = bundle_of(ids, roadmap_id=machine.roadmap_id, task_id=machine.task_id)
    machine.load_bundle(bundle)
    item = Item(ids[0], ContentType.QUIZ)
    machine.stage(item, b"not json")
    machine.run()

    explained = roadmap("show", machine.task_id, f"{ids[0]}/quiz").stdout
    assert f"quiz of {ids[0]}" in explained
    assert "attempt 1: InvalidContent (save, permanent): not JSON" in explained
    assert "next: " in explained

    lines = json.loads(roadmap("logs", machine.task_id, f"{ids[0]}/quiz", "--json").stdout)
    (failed,) = (line for line in lines if line["message"] == "quiz_save_failed")
    named = {"task_id", "attempt", "roadmap_id", "concept_id", "content_type", "batch"}
    assert named <= failed.keys()
    assert all(line["task_id"] == machine.task_id for line in lines)
    assert "quiz_save_failed" in roadmap("logs", machine.task_id).stdout
    with pytest.raises(RefusedError, match="is not an item"):
        roadmap("show", machine.task_id, "c-1/video")


def test_an_operator_needs_no_access_to_the_database(
    machine: Machine, target: Target, roadmap: Roadmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop can call the API and AWS's own APIs, but cannot connect to the database of a stack on AWS."""
    ids = machine.load(2)
    machine.stage(Item(ids[0], ContentType.QUIZ), b"{")

    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("the command connects to the database")

    with monkeypatch.context() as context:
        context.setattr(target.engine, "connect", unreachable)
        context.setattr(target.engine, "begin", unreachable)
        assert roadmap("run", machine.task_id).exit_code == 1
        assert f"1 of {2 * TYPES} items are missing" in roadmap("status", machine.task_id).stdout
        for command in (
            ("show", machine.task_id),
            ("show", machine.task_id, f"{ids[0]}/quiz"),
            ("logs", machine.task_id),
            ("tasks",),
            ("failures",),
            ("recoveries",),
            ("reconcile", "--dry-run"),
        ):
            assert roadmap(*command).exit_code == 0, command
        assert roadmap("retry", machine.task_id).exit_code == 0
        assert "NotRedrivable" in roadmap_error(roadmap, "redrive", machine.task_id)


def roadmap_error(roadmap: Roadmap, *arguments: str) -> str:
    with pytest.raises(ContentError) as refused:
        roadmap(*arguments)
    return refused.value.code


def test_the_client_waits_for_a_long_invocation_and_does_not_repeat_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    config: Any = patient_lambda_client().meta.config
    assert config.read_timeout > 900, "Lambda's longest timeout"
    assert config.retries["total_max_attempts"] == 1
