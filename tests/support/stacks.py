"""Local stacks for tests."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local_stack.stack import LocalStack


@contextmanager
def temporary_stack(
    parameters: Mapping[str, str] | None = None,
    *,
    generator: Path | None = None,
) -> Iterator[LocalStack]:
    """A stack with a state machine that waits a hundredth of the time between retries."""
    # Not pytest's own directory: if root runs the tests, only root can read it, and PostgreSQL runs as
    # another user.
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-stack-") as directory,
        LocalStack.start(
            Path(directory), parameters=parameters, wait_scale=0.01, fsync=False, generator=generator
        ) as stack,
    ):
        yield stack
