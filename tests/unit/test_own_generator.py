"""A generator in a file answers the invocations of Lambda's runtime API."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from local_stack import own_generator
from tests.support.http_server import HttpServer, Reply, Request, json_reply

SOURCE = """
import os

def generate(event):
    if event == "crash":
        raise KeyError("no such thing")
    return {"content": {"event": event, "key": os.environ["KEY_OF_A_MODEL"]}}
"""


class RuntimeApi(HttpServer):
    """Lambda's runtime API."""

    def __init__(self) -> None:
        self.events: SimpleQueue[object] = SimpleQueue()
        self.answers: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        super().__init__(self._answer)

    def _answer(self, request: Request) -> Reply:
        if request.method == "GET":
            return json_reply(self.events.get(), Lambda_Runtime_Aws_Request_Id="r-1")
        self.answers.put((request.path.rpartition("/")[2], json.loads(request.body)))
        return Reply(202)

    def ask(self, event: object) -> tuple[str, Any]:
        """The kind of the answer to an event, and its document."""
        self.events.put(event)
        return self.answers.get(timeout=60)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a generator."""
    path = tmp_path / "writer.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def api(file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RuntimeApi]:
    monkeypatch.setenv("KEY_OF_A_MODEL", "k")
    environment = file.with_suffix(".json")
    own_generator.write_environment(environment)
    assert environment.stat().st_mode & 0o077 == 0
    with RuntimeApi() as api:
        variables = {"AWS_LAMBDA_RUNTIME_API": api.url.removeprefix("http://"), "PATH": os.environ["PATH"]}
        command = [sys.executable, "-P", own_generator.__file__, str(file), str(environment)]
        process = subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)
        yield api
        process.kill()
        process.wait()
        api.events.put("the end")  # for the request that is left


def test_events_are_answered_with_the_environment_of_the_command(api: RuntimeApi, file: Path) -> None:
    assert api.ask({"a": 1}) == ("response", {"content": {"event": {"a": 1}, "key": "k"}})
    assert api.ask("crash") == ("error", {"errorType": "KeyError", "errorMessage": "'no such thing'"})
    file.write_text("def generate(event):\n    return {1, 2}\n")
    assert api.ask({})[1]["errorType"] == "TypeError"
    file.write_text("def generate(event):\n    return [event, 'changed']\n")
    assert api.ask({}) == ("response", [{}, "changed"])
    file.write_text("def generate(event:\n")
    assert api.ask({})[1]["errorType"] == "SyntaxError"
