"""Fixtures of the workflow tests: the whole local stack with the real template, one per test worker."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from local_stack.stack import LocalStack
from roadmap_command.main import app
from roadmap_command.target import Target
from tests.support.http_api import Api
from tests.support.machine import Machine
from tests.support.stacks import temporary_stack


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    with temporary_stack() as stack:
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
