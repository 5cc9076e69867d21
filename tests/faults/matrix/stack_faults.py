"""Faults on the local stack: of an invocation, of S3, and of an execution."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager

from local_stack.processes import becomes_true
from tests.faults.matrix.database_proxy import Session
from tests.faults.matrix.scripts import Hang, Meet, Played, Refuse
from tests.faults.matrix.stack_play import StackPlay
from tests.faults.matrix.steps import MACHINE, Step
from tests.support.http_server import Reply

StackFault = Callable[[StackPlay], AbstractContextManager[object]]


# An invocation of the step.


def unreachable(play: StackPlay) -> Refuse:
    """Every connection to the database is refused until the run is over."""
    return Refuse(play.line.database)


def timeout(play: StackPlay) -> Hang:
    """A statement is not transmitted until the function's time is up, once."""
    return Hang(play.line.database)


class _Kill(Played):
    """Kills the process at its first COMMIT, each time."""

    def on_commit(self, session: Session, number: int) -> None:
        """Kill it before the COMMIT."""
        if number == 0:
            self.struck.set()
            session.kill_client()


def killed(play: StackPlay) -> _Kill:
    """The process is killed at its first COMMIT, each time."""
    return _Kill(play.line.database)


THROTTLES = 12
DENIED = Reply(403, b"<Error><Code>AccessDenied</Code></Error>")


@contextmanager
def throttled(play: StackPlay) -> Iterator[None]:
    """No concurrency is left: for some invocations of a state, for all invocations of another function.

    A run waits for six hours, and a cell cannot: `tests/unit/test_limits.py` simulates a throttle that does
    not end.
    """
    functions, name = play.rig.functions, play.line.function

    def end() -> None:
        functions.delete_function_concurrency(FunctionName=name)

    def wait() -> None:
        assert becomes_true(lambda: play.throttles() >= THROTTLES, 600), "it was not throttled"
        end()

    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(wait) if play.step in MACHINE else None
            yield
            if waiting is not None:
                waiting.result()
    finally:
        end()


@contextmanager
def s3_denied(play: StackPlay) -> Iterator[None]:
    """A bucket policy denies the step's requests. Finalize only reads lost batches: Save is denied, too."""
    lines = [play.line]
    if play.step is Step.FINALIZE:
        play.stage_quiz()  # a valid one: Save does not come to read it
        lines.append(play.rig.lines[Step.SAVE])
    for line in lines:
        line.s3.play(lambda _request, _forward: DENIED)
    try:
        yield
    finally:
        for line in lines:
            line.s3.play()


# The execution.


@contextmanager
def stopped(play: StackPlay) -> Iterator[None]:
    """StopExecution in the step's first statement; the step goes on after the task is recorded."""

    def stop() -> None:
        play.client.stop_execution(executionArn=play.running())
        play.await_recorded()

    with play.rig.events(), Meet(play.line.database, stop):
        yield
