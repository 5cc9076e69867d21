"""Faults of StartExecution, which the API calls."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from local_stack.processes import becomes_true
from tests.faults.matrix.clients import client_at, kill_client_at
from tests.faults.matrix.declaration import Fault, Step
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import INJECTORS, Injector
from tests.support.http_proxy import Forward
from tests.support.http_server import Reply, Request, json_reply


def starts(fault: Fault, what: str) -> Callable[[Callable[[Play, Request, Forward], Reply | None]], None]:
    """Register a fault of StartExecution."""

    def register(answer: Callable[[Play, Request, Forward], Reply | None]) -> None:
        @contextmanager
        def inject(play: Play) -> Iterator[None]:
            struck = threading.Event()

            def script(request: Request, forward: Forward) -> Reply | None:
                if not is_start(request):
                    return forward()
                struck.set()
                return answer(play, request, forward)

            play.line.executions.play(script)
            try:
                yield
            finally:
                play.line.executions.play()
            assert struck.is_set(), "StartExecution was not called"

        INJECTORS[fault, Step.START] = Injector(what, inject)

    return register


def is_start(request: Request) -> bool:
    """Whether it is StartExecution, which a header names."""
    return bool(request.headers["X-Amz-Target"].endswith(".StartExecution"))


def _error(code: str) -> Reply:
    return json_reply({"__type": code, "message": "no"}, 400)


@starts(Fault.EXCEPTION, "it is answered StateMachineDoesNotExist")
def _refused(_play: Play, _request: Request, _forward: Forward) -> Reply | None:
    return _error("StateMachineDoesNotExist")


@starts(Fault.TIMEOUT, "it is not answered until the function's time is up")
def _swallowed(play: Play, request: Request, _forward: Forward) -> Reply | None:
    assert becomes_true(lambda: client_at(request.client_port) is None, 600)
    return None


@starts(Fault.KILLED_BEFORE, "the process is killed before the call comes through")
def _killed_before(_play: Play, request: Request, _forward: Forward) -> Reply | None:
    kill_client_at(request.client_port)
    return None


@starts(Fault.KILLED_AFTER, "the process is killed when the execution has started")
def _killed_after(_play: Play, request: Request, forward: Forward) -> Reply | None:
    forward()
    kill_client_at(request.client_port)
    return None


@starts(Fault.THROTTLED, "ThrottlingException to each try")
def _throttled(_play: Play, _request: Request, _forward: Forward) -> Reply | None:
    return _error("ThrottlingException")


@starts(Fault.TWICE_AT_ONCE, "it is delivered twice, one beside the other")
def _delivered_twice(_play: Play, _request: Request, forward: Forward) -> Reply | None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: forward(), range(2))
    assert json.loads(first.body)["executionArn"] == json.loads(second.body)["executionArn"]
    return first


@starts(Fault.AGAIN_LATER, "it is delivered again, an hour after the task was healed")
def _delivered_later(play: Play, _request: Request, forward: Forward) -> Reply | None:
    play.repeat = lambda: json.loads(forward().body).get("__type", "the same execution")
    return forward()
