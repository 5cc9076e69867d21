"""Faults of the product's check of contents, which Save asks. After the fault, it accepts everything."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.faults.matrix.stack_play import StackPlay
from tests.support.http_server import HttpServer, Reply, Request, json_reply

CHECK_SECONDS = 1
SAVE_SECONDS = 8
"""The timeout of Save, in seconds: time for the check, and to record the contents that it could not check."""

MOST_ITEMS = 5
"""The items of the largest request, in place of Lambda's 6 MB."""


Check = Callable[[list[Any]], Reply | None]
"""Answers about items; `None` closes the connection."""


def accept(items: list[Any]) -> Reply | None:
    """Every item may be saved."""
    return json_reply({"verdicts": [{"verdict": "accept"}] * len(items)})


class CheckServer(HttpServer):
    """A Lambda endpoint with one function, the check: `Invoke`, emulated from documentation."""

    def __init__(self) -> None:
        self.check: Check = accept
        super().__init__(self._invoke)

    def _invoke(self, request: Request) -> Reply | None:
        return self.check(json.loads(request.body)["items"])


@contextmanager
def _check(play: StackPlay, check: Check) -> Iterator[None]:
    """Give Save a check with a fault. It stays until the end of the cell."""
    server = play.resources.enter_context(CheckServer())
    changes = {
        "CONTENT_CHECK_FUNCTION": "check",
        "CONTENT_CHECK_SCOPE": "all",
        "CONTENT_CHECK_SECONDS": str(CHECK_SECONDS),
        "AWS_ENDPOINT_URL_LAMBDA": server.url,
    }
    play.resources.enter_context(play.rig.reconfigured(play.line, SAVE_SECONDS, changes))
    struck = threading.Event()

    def answer(items: list[Any]) -> Reply | None:
        struck.set()
        return check(items)

    server.check = answer
    try:
        yield
    finally:
        server.check = accept
    assert struck.is_set(), "the check was not asked"


@contextmanager
def check_slow(play: StackPlay) -> Iterator[None]:
    """The check waits for a service of its own."""
    over = threading.Event()

    def wait(_items: list[Any]) -> None:
        over.wait()

    with _check(play, wait):
        try:
            yield
        finally:
            over.set()


@contextmanager
def check_crashes(play: StackPlay) -> Iterator[None]:
    """A bad release of the check."""
    error = {"errorType": "KeyError", "errorMessage": "'key'"}
    failure = json_reply(error, X_Amz_Function_Error="Unhandled")
    with _check(play, lambda _: failure):
        yield


@contextmanager
def check_wrong(play: StackPlay) -> Iterator[None]:
    """The check skips an item."""
    with _check(play, lambda items: accept(items[1:])):
        yield


@contextmanager
def check_too_large(play: StackPlay) -> Iterator[None]:
    """The contents of a batch are larger than a request to Lambda may be."""
    error = {"Type": "User", "message": "Request must be smaller than 6291456 bytes"}
    too_large = json_reply(error, 413, X_Amzn_ErrorType="RequestTooLargeException")
    with _check(play, lambda items: too_large if len(items) > MOST_ITEMS else accept(items)):
        yield
