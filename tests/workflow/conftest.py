"""The whole stack on this machine: the real template, state machine and handlers. One for every worker."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import LocalStack


@pytest.fixture(scope="session")
def stack() -> Iterator[LocalStack]:
    """A running stack. Its state machine waits a hundredth of the time between retries."""
    # Not pytest's own directory: that is root's alone where root runs the tests, and PostgreSQL is not root.
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-stack-") as directory,
        LocalStack.start(Path(directory), wait_scale=0.01, fsync=False) as stack,
    ):
        yield stack
