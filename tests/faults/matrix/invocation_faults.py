"""Faults of an invocation: errors, timeouts, killed processes, throttling, repetitions."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import text

from local_stack.processes import becomes_true
from tests.faults.matrix.database_proxy import Session
from tests.faults.matrix.declaration import MACHINE, Fault, Step
from tests.faults.matrix.means import (
    answering,
)
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import COMMITS, DATABASE, SEVERAL, injects
from tests.faults.matrix.scripts import Count, Gather, Hang, StrikeCommit


@injects(Fault.EXCEPTION, *DATABASE, what="the step's role has lost its rights: an unhandled error")
def exception(play: Play) -> Iterator[None]:
    """A migration revoked a permission."""
    table = {Step.SAVE: "roadmap_metadata", Step.GENERATE: "content_failures"}.get(
        play.cell.step, "roadmap_tasks"
    )
    role = play.line.role
    with play.rig.administering() as connection:
        connection.execute(text(f"REVOKE ALL ON {table} FROM {role}"))
        try:
            with answering(play, "42501"):
                yield
        finally:
            connection.execute(text(f"GRANT ALL ON {table} TO {role}"))


@injects(
    Fault.TIMEOUT, *DATABASE, what="a statement is not transmitted until the function's time is up, once"
)
def timeout(play: Play) -> Iterator[None]:
    """The network drops all packets."""
    with Hang(play.line.database):
        yield


def _kill(session: Session) -> None:
    session.kill_client()


@injects(Fault.KILLED_BEFORE, *DATABASE, what="the process is killed at its first COMMIT, each time")
def killed_before(play: Play) -> Iterator[None]:
    """Nothing is committed."""
    with StrikeCommit(play.line.database, _kill, 0, after=False, once=False):
        yield


@injects(Fault.KILLED_BETWEEN, *SEVERAL, what="the process is killed at its second COMMIT, each time")
def killed_between(play: Play) -> Iterator[None]:
    """Only the first transaction is committed."""
    with StrikeCommit(play.line.database, _kill, 1, after=False, once=False):
        yield


@injects(Fault.KILLED_AFTER, *DATABASE, what="the process is killed when its last COMMIT is done, each time")
def killed_after(play: Play) -> Iterator[None]:
    """Everything is committed, but there is no response."""
    last = COMMITS[play.cell.step] - 1
    with StrikeCommit(play.line.database, _kill, last, after=True, once=False):
        yield


@contextmanager
def _without_concurrency(play: Play) -> Iterator[Callable[[], None]]:
    """Leave the step's function no concurrency; yields a function that ends it before the block does."""
    functions, name = play.rig.functions, play.line.function

    def end() -> None:
        functions.delete_function_concurrency(FunctionName=name)

    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield end
    finally:
        end()


@injects(
    Fault.THROTTLED,
    *(step for step in DATABASE if step not in MACHINE),
    what="no concurrency is left: 429 to each invocation",
)
def throttled(play: Play) -> Iterator[None]:
    """Reserved concurrency of 0."""
    with _without_concurrency(play):
        yield


THROTTLES = 12


@injects(
    Fault.THROTTLED,
    *MACHINE,
    what=f"no concurrency is left: 429 to {THROTTLES} invocations, and then there is",
)
def throttled_for_a_while(play: Play) -> Iterator[None]:
    """A run waits for six hours, and a cell cannot: `tests/unit/test_limits.py` simulates a throttle that
    does not end, and `timed_out` is its result.
    """

    def wait() -> None:
        assert becomes_true(lambda: play.throttles() >= THROTTLES, 600), "it was not throttled"
        end()

    with _without_concurrency(play) as end, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        yield
        waiting.result()


@injects(Fault.TWICE_AT_ONCE, *DATABASE, what="the same invocation a second time while the first runs")
def twice_at_once(play: Play) -> Iterator[None]:
    """Both have started before either continues."""
    step = play.cell.step
    said: list[str] = []

    def again() -> None:
        said.append(play.retry() if step is Step.RETRY else play.invoke(step, play.event_of(step)))

    second = threading.Thread(target=again)
    # Two retries must both have read before either claims; otherwise the second would be refused (409).
    with Gather(play.line.database, 2, on_first=second.start, at_commit=step is Step.RETRY):
        yield
        second.join()
    play.also(said[0])


@injects(Fault.AGAIN_LATER, *DATABASE, what="the same invocation again, an hour after the task was healed")
def again_later(play: Play) -> Iterator[None]:
    """The repetition is run later, by `Play.play`."""
    step = play.cell.step
    with Count(play.line.database) as count:
        yield
    if step in SEVERAL:
        assert count.commits == COMMITS[step], f"{step} has {count.commits} transactions: correct COMMITS"
    if step is Step.RETRY:
        play.repeat = play.retry
    else:
        event = play.event_of(step)
        play.repeat = lambda: play.invoke(step, event)
