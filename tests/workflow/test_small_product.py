"""A product of 100 lines: its course fills itself, and loses and repeats nothing when a connection breaks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from local_stack.builds import REPOSITORY
from local_stack.stack import LocalStack
from roadmap_content.client import Client
from roadmap_content.items import ContentType
from tests.workflow.small_product import CONCEPTS, USER
from tests.workflow.test_integrating import command, enter_environment

TASK = "t-small"
PROGRAM = Path(__file__).with_name("small_product.py")

Run = Callable[..., dict[str, Any]]


class Unreliable(BaseHTTPRequestHandler):
    """Passes requests on. Cuts the answer of the first, and then of every third request for changes."""

    upstream = ""
    requests = count(1)
    cut = 0

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        request = Request(self.upstream + self.path, body, headers, method=self.command)
        try:
            answer = urlopen(request, timeout=60)
        except HTTPError as error:
            answer = error
        with answer:
            content = answer.read()
        self.send_response(answer.status)
        for name in ("Content-Type", "Retry-After"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if "/changes" in self.path and next(Unreliable.requests) % 3 == 1:
            content = content[: len(content) // 2]
            Unreliable.cut += 1
        self.wfile.write(content)

    do_GET = do_POST = pass_on  # noqa: N815 - the names of http.server

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def run(stack: LocalStack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs one step of the product as a process; returns what it remembers."""
    monkeypatch.setattr(LocalStack, "attach", lambda *_: stack)
    enter_environment(monkeypatch)
    script = tmp_path / "roadmap"
    script.write_text(f"#!/bin/sh\necho '{command('token', USER).strip()}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with ThreadingHTTPServer(("127.0.0.1", 0), Unreliable) as server:
        Unreliable.upstream = os.environ["ROADMAP_API_URL"]
        monkeypatch.setenv("ROADMAP_API_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "layers/common"))
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def step(*arguments: str) -> dict[str, Any]:
            subprocess.run([sys.executable, PROGRAM, TASK, *arguments], cwd=tmp_path, check=True)
            memory = tmp_path / "course.json"
            found: dict[str, Any] = json.loads(memory.read_text()) if memory.exists() else {}
            return found

        yield step
        server.shutdown()


def test_a_course_fills_itself_and_a_lesson_is_regenerated_and_brought_back(run: Run) -> None:
    run("create")
    interrupted = run("follow", "7")  # the process ends in the middle
    assert 0 < len(interrupted["lessons"]) < len(CONCEPTS) * len(ContentType)
    course = run("follow")
    assert course["seen"][:7] == interrupted["seen"]
    assert course["lessons"].keys() == {f"{concept} {kind}" for concept in CONCEPTS for kind in ContentType}
    assert Unreliable.cut > 0

    quiz = f"{CONCEPTS[0]} quiz"
    before = course["lessons"][quiz]
    run("again", CONCEPTS[0])
    regenerated = run("follow")
    assert regenerated["lessons"][quiz] != before
    run("back", CONCEPTS[0])
    restored = run("follow")
    assert restored["lessons"][quiz]["questions"] == before["questions"]
    assert {**restored["lessons"], quiz: before} == course["lessons"]

    seen = restored["seen"]
    assert len(seen) == len(set(seen))
    client = Client.from_environment(token=lambda user: command("token", user).strip())
    changes = list(client.changes(TASK, USER))  # all at once
    assert seen == [change.id for change in changes]
    types = [change.type for change in changes]
    first_run = types[: types.index("Task Finalized")]
    # The lessons of one batch could be read before those of the next one were saved.
    assert first_run.index("Batch Saved") < len(first_run) - first_run[::-1].index("Item Saved") - 1
