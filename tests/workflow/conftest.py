"""Fixtures of the workflow tests: the whole local stack with the real template, one per test worker."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from local_stack.stack import LocalStack
from roadmap_command.main import app
from roadmap_command.target import Target
from tests.support.http_api import Api
from tests.support.machine import Machine


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A running stack whose state machine waits a hundredth of the time between retries."""
    # Not pytest's own directory: if root runs the tests, only root can read it, and PostgreSQL runs as
    # another user.
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-stack-") as directory,
        LocalStack.start(Path(directory), wait_scale=0.01, fsync=False) as stack,
    ):
        yield stack


@pytest.fixture(scope="session")
def target(stack: LocalStack) -> Iterator[Target]:
    """The target that the commands use."""
    target = Target.local(stack)
    yield target
    target.engine.dispose()


@pytest.fixture
def machine(stack: LocalStack, target: Target) -> Machine:
    """The state machine, with a separate task for the test."""
    return Machine(stack, target)


@pytest.fixture
def api(machine: Machine) -> Api:
    """The API, for the user of the test's task."""
    return machine.api()


@pytest.fixture
def roadmap(target: Target, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs a command; the local stack is the tests'."""
    monkeypatch.setattr(Target, "named", lambda *_: target)

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(app, arguments, input=stdin, catch_exceptions=False)

    return run
