"""Faults on the local stack: of an invocation, of an execution, and of StartExecution."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import wraps

from sqlalchemy import text

from local_stack.processes import becomes_true
from tests.faults.matrix.clients import client_at, kill_client_at
from tests.faults.matrix.database_proxy import Session
from tests.faults.matrix.scripts import Gather, Hang, Played, Refuse
from tests.faults.matrix.stack_play import StackPlay
from tests.faults.matrix.steps import MACHINE, Step
from tests.support.http_proxy import Forward
from tests.support.http_server import Reply, Request, json_reply

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


@contextmanager
def throttled(play: StackPlay) -> Iterator[None]:
    """No concurrency is left: for some invocations of a state, for all invocations of another function.

    A run waits for six hours, and a cell cannot: `tests/unit/test_limits.py` simulates a throttle that does
    not end, and `timed_out` is its result.
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
def stalled(play: StackPlay) -> Iterator[None]:
    """SIGSTOP to the session's server process in the first statement: it neither refuses nor answers."""
    pids: list[int] = []

    def stop() -> None:
        sessions = text("SELECT pid FROM pg_stat_activity WHERE usename = :role")
        with play.rig.administering() as connection:
            pids.extend(connection.scalars(sessions, {"role": play.line.role}))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)

    try:
        with Gather(play.line.database, on_all=stop):
            yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# The execution.


@contextmanager
def _ended_at_work(play: StackPlay, end: Callable[[], object]) -> Iterator[None]:
    """End the execution in the step's first statement; the step goes on after the task is recorded."""

    def end_and_wait() -> None:
        end()
        play.await_recorded()

    with play.rig.events(), Gather(play.line.database, on_all=end_and_wait):
        yield


def stopped(play: StackPlay) -> AbstractContextManager[None]:
    """StopExecution while the step runs."""
    return _ended_at_work(play, lambda: play.client.stop_execution(executionArn=play.running()))


def timed_out(play: StackPlay) -> AbstractContextManager[None]:
    """TimeoutSeconds of the execution is over while the step runs."""
    return _ended_at_work(play, lambda: play.rig.time_out(play.running()))


@contextmanager
def redriven_beside_a_retry(play: StackPlay) -> Iterator[None]:
    """StopExecution; then a retry and a redrive that have both read the task before either claims."""
    with stopped(play):
        yield
    play.rig.await_quiet()
    queries: list[dict[str, str]] = [{}, {"force_checkpoint": "true"}]
    with Gather(play.rig.lines[Step.RETRY].database, 2, at_commit=True), ThreadPoolExecutor(2) as pool:
        for answer in sorted(pool.map(lambda query: play.retry(**query), queries)):
            play.also(answer)


# Sizes.


@contextmanager
def large_handover(play: StackPlay) -> Iterator[None]:
    """The output of FanOut is above the limit, here lowered to 100 bytes (States.DataLimitExceeded).

    Nothing that it hands over comes near to 256 KiB (`tests/unit/test_limits.py`). The limit is emulated from
    documentation.
    """
    with play.rig.map_output_limited_to(100):
        yield
    assert play.handed_over()["error"]["Error"] == "States.DataLimitExceeded"


@contextmanager
def large_event(play: StackPlay) -> Iterator[None]:
    """An event with a cause as long as Step Functions allows, NUL included."""
    play.event["detail"] |= {"error": "Large", "cause": "\x00" + "x" * 32_767}
    yield


# StartExecution, which the API calls.

Answer = Callable[[StackPlay, Request, Forward], Reply | None]


def _start(answer: Answer) -> StackFault:
    """Answer StartExecution, or let something happen before it comes through."""

    @contextmanager
    def fault(play: StackPlay) -> Iterator[None]:
        struck = threading.Event()

        def script(request: Request, forward: Forward) -> Reply | None:
            if not request.headers["X-Amz-Target"].endswith(".StartExecution"):
                return forward()
            struck.set()
            return answer(play, request, forward)

        play.line.executions.play(script)
        try:
            yield
        finally:
            play.line.executions.play()
        assert struck.is_set(), "StartExecution was not called"

    return wraps(answer)(fault)


@_start
def start_refused(_play: StackPlay, _request: Request, _forward: Forward) -> Reply | None:
    """It is answered StateMachineDoesNotExist."""
    return json_reply({"__type": "StateMachineDoesNotExist", "message": "no"}, 400)


@_start
def start_unanswered(_play: StackPlay, request: Request, _forward: Forward) -> Reply | None:
    """It is not answered until the function's time is up."""
    assert becomes_true(lambda: client_at(request.client_port) is None, 600)
    return None


@_start
def killed_before_start(_play: StackPlay, request: Request, _forward: Forward) -> Reply | None:
    """The process is killed before the call comes through."""
    kill_client_at(request.client_port)
    return None


@_start
def killed_after_start(_play: StackPlay, request: Request, forward: Forward) -> Reply | None:
    """The process is killed when the execution has started."""
    forward()
    kill_client_at(request.client_port)
    return None


@_start
def cancelled_before_start(play: StackPlay, _request: Request, forward: Forward) -> Reply | None:
    """The product cancels the task between the claim and the start."""
    play.execute(
        "UPDATE roadmap_tasks SET status = 'cancelled', error_message = 'Cancelled by the user',"
        " completed_at = content_now(), updated_at = content_now() WHERE task_id = :id",
        id=play.task_id,
    )
    return forward()
