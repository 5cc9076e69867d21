"""The whole stack on this machine: the real template, state machine and handlers. One for every worker."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.deploy import delete_stack
from local_stack.stack import LocalStack
from roadmap_command.api_client import Api
from roadmap_command.target import Target
from tests.workflow.machine import Machine
from tests.workflow.probing import Probe


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A running stack. Its state machine waits a hundredth of the time between retries."""
    # Not pytest's own directory: that is root's alone where root runs the tests, and PostgreSQL is not root.
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-stack-") as directory,
        LocalStack.start(Path(directory), wait_scale=0.01, fsync=False) as stack,
    ):
        yield stack


@pytest.fixture(scope="session")
def probe(stack: LocalStack) -> Iterator[Probe]:
    """The probe, beside the system."""
    yield Probe(stack.cloud)
    delete_stack(stack.client("cloudformation"), "probe")


@pytest.fixture(scope="session")
def target(stack: LocalStack) -> Iterator[Target]:
    """What the commands would work on."""
    target = Target.local(stack)
    yield target
    target.engine.dispose()


@pytest.fixture
def machine(stack: LocalStack, target: Target) -> Machine:
    """The state machine, for a task of the test's own."""
    return Machine(stack, target)


@pytest.fixture
def api(machine: Machine) -> Api:
    """The API, for the user that the test's task belongs to."""
    return machine.api()
