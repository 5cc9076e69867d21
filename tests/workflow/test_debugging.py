"""The instructions of `CONTRIBUTING.md` for debugging one handler, run as printed."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest
from typer.testing import Result

from local_stack.builds import REPOSITORY
from local_stack.stack import LocalStack

pytestmark = pytest.mark.nightly

SECTION = re.search(
    r"^## Debug one handler in an IDE$(.*?)^## ",
    (REPOSITORY / "CONTRIBUTING.md").read_text(),
    re.MULTILINE | re.DOTALL,
)


def block(language: str) -> str:
    """The only block of the section in a language."""
    assert SECTION is not None
    (found,) = re.findall(rf"^ +```{language}\n(.*?)^ +```$", SECTION[1], re.MULTILINE | re.DOTALL)
    return textwrap.dedent(found)


def test_the_handler_runs_in_the_environment_that_the_command_prints(
    stack: LocalStack, roadmap: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStack, "attach", lambda *_: stack)
    monkeypatch.chdir(REPOSITORY)
    lines = block("console").replace("&& roadmap", "\n$ roadmap").splitlines()
    _setup, _up, *commands = [line.removeprefix("$ ") for line in lines]
    assert commands[-1].endswith(" > .local/save_batch.env")
    for command in commands:
        words = shlex.split(command.partition(" > ")[0])
        assert words[0] == "roadmap"
        result = roadmap(*words[1:])
        assert result.exit_code == 0, command
    environment = dict(line.split("=", 1) for line in result.stdout.splitlines())
    ran = subprocess.run(
        [sys.executable, "-c", block("python")],
        env={"PATH": os.defpath, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    batch = json.loads((REPOSITORY / "events/save_batch.json").read_text())["batch"]
    assert f"'saved': {sum(batch['items'].values())}, 'failed': 0" in ran.stdout.splitlines()[-1]
