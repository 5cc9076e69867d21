"""A product of 100 lines: its course fills itself, and loses and repeats nothing when a connection breaks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.stack import LocalStack
from roadmap_content.api.client import Client
from roadmap_content.contracts.items import ContentType
from tests.support.http_proxy import Forward, HttpProxy
from tests.support.http_server import Reply, Request
from tests.workflow.small_product import CONCEPTS, USER
from tests.workflow.test_integrating import command, enter_environment

TASK = "t-small"
PROGRAM = Path(__file__).with_name("small_product.py")

Run = Callable[..., dict[str, Any]]


class Unreliable(HttpProxy):
    """Passes requests on. Cuts the answer of the first, and then of every third request for changes."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._changes = count(1)
        self.cut = 0
        self.play(self._cut)

    def _cut(self, request: Request, forward: Forward) -> Reply:
        reply = forward()
        if "/changes" not in request.target or next(self._changes) % 3 != 1:
            return reply
        self.cut += 1
        return reply._replace(cut_after=len(reply.body) // 2)


@pytest.fixture
def api(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unreliable]:
    """The API, in the environment of the product."""
    monkeypatch.setattr(LocalStack, "attach", lambda *_: stack)
    enter_environment(monkeypatch)
    with Unreliable(os.environ["ROADMAP_API_URL"]) as proxy:
        monkeypatch.setenv("ROADMAP_API_URL", proxy.url)
        yield proxy


@pytest.fixture
def run(api: Unreliable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs one step of the product as a process; returns its memory."""
    script = tmp_path / "roadmap"
    script.write_text(f"#!/bin/sh\necho '{command('token', USER).strip()}'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "layers/common"))

    def step(*arguments: str) -> dict[str, Any]:
        subprocess.run([sys.executable, PROGRAM, TASK, *arguments], cwd=tmp_path, check=True)
        memory = tmp_path / "course.json"
        found: dict[str, Any] = json.loads(memory.read_text()) if memory.exists() else {}
        return found

    return step


def test_a_course_fills_itself_and_a_lesson_is_regenerated_and_brought_back(
    api: Unreliable, run: Run
) -> None:
    run("create")
    interrupted = run("follow", "7")  # the process ends in the middle
    assert 0 < len(interrupted["lessons"]) < len(CONCEPTS) * len(ContentType)
    course = run("follow")
    assert course["seen"][:7] == interrupted["seen"]
    assert course["lessons"].keys() == {f"{concept} {kind}" for concept in CONCEPTS for kind in ContentType}
    assert api.cut > 0

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
