"""`roadmap failures`, of one group and with `--state`, on the functions of the API."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from roadmap_command.main import app
from roadmap_content.client.http import HttpAnswer
from tests.integration.conftest import Send
from tests.integration.failure_groups.test_failure_groups import heal, outage, send
from tests.support.pipeline import Pipeline
from tests.unit.conftest import stand_in

__all__ = ["send"]

Roadmap = Callable[..., Result]


@pytest.fixture
def roadmap(send: Send, monkeypatch: pytest.MonkeyPatch) -> Roadmap:
    """Runs a command as an operator."""

    class Api:
        def send(self, method: str, path: str, document: object = None, **query: Any) -> HttpAnswer:
            reply = send(method, path, document, query)
            return HttpAnswer(reply.status, reply.body)

    stand_in(Api(), monkeypatch.setattr)
    return lambda *arguments: CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_the_life_of_a_group_by_command(pipeline: Pipeline, roadmap: Roadmap, send: Send) -> None:
    def groups(*options: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(roadmap("failures", "--json", *options).stdout)["items"]
        return found

    ringing = "--state", "new", "--state", "regressed"
    outage(pipeline, 1)
    (group,) = groups(*ringing)
    shown = roadmap("failures", group["group_id"], "--acknowledge", "the [bold]model[/bold] is down").stdout
    assert shown.startswith("acknowledged: 1 item of 1 task  1 quiz")
    assert "operator:op: acknowledged: the [bold]model[/bold] is down" in shown
    assert groups(*ringing) == []
    heal(pipeline, 1)
    assert roadmap("failures", group["group_id"]).stdout.startswith("resolved: 0 items of 0 tasks")
    outage(pipeline, 2)
    assert [each["state"] for each in groups(*ringing)] == ["regressed"]
    assert "regressed  1 item of 1 task" in roadmap("failures").stdout

    ignored = roadmap("failures", group["group_id"], "--ignore", "known", "--until-tasks", "2").stdout
    assert "operator:op: ignored until 2 tasks: known" in ignored
    assert groups(*ringing) == []
    outage(pipeline, 3)
    assert [each["state"] for each in groups(*ringing)] == ["new"]
