"""The first day's beliefs that the local stack can answer. Redrive is emulated from documentation there."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, select, text

from first_day import __main__ as command
from local_stack.stack import LocalStack
from roadmap_command.target import Target

pytestmark = pytest.mark.nightly
NO_GENERATOR = "Generator is offline (here: roadmap up --generator FILE.py)"  # test_own_generator.py tries it


def left_by_trials(target: Target) -> list[str]:
    """The rows and the objects of trials."""
    metadata = MetaData()
    metadata.reflect(target.engine)
    with target.engine.connect() as connection:
        rows = [str(row) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    versions: Any = target.s3.list_object_versions(Bucket=target.bucket.name)
    keys = [each["Key"] for kind in ("Versions", "DeleteMarkers") for each in versions.get(kind, [])]
    return [each for each in (*rows, *keys) if "first-day-" in each]


def test_the_first_day_runs_whole_on_the_local_stack_and_leaves_nothing(
    stack: LocalStack, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local = command.on_local_stack(stack, tmp_path / "todo.json")
    monkeypatch.setattr(command, "stack_named", lambda _: local)
    with pytest.raises(SystemExit) as ended:
        command.first_day("local")
    results = json.loads(Path("first-day-local.json").read_text())
    answered = {name for name in results if not command.BY_NAME[name].only_aws} - {"generator"}
    assert {name for name, each in results.items() if each["verdict"] == "held"} == answered, results
    for name, each in results.items():
        if name in answered:
            continue
        only_aws = command.BY_NAME[name].only_aws
        reason = f"only AWS can answer: {only_aws}" if only_aws else NO_GENERATOR
        assert (each["verdict"], each["said"]) == ("not tried", reason)
    assert ended.value.code == 0

    # The list keeps the trial of `end_event` until no step of the stopped run can be at work.
    assert len(local.left) == 1
    hour_ago = (
        "UPDATE content_attempts SET ended_at = ended_at - interval '1 hour' WHERE user_id LIKE 'first-day-%'"
    )
    with target.engine.begin() as connection:
        connection.execute(text(hour_ago))
    assert command.remove_all(local) == []
    assert left_by_trials(target) == []
