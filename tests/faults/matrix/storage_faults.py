"""Faults of S3."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import staged_key
from tests.faults.matrix.stack_play import StackPlay
from tests.faults.matrix.steps import Step
from tests.support.http_proxy import Forward, Script
from tests.support.http_server import Reply, Request

_DENIED = Reply(403, b"<Error><Code>AccessDenied</Code></Error>")
_GONE = Reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
_NO_BUCKET = Reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")
_SLOW_DOWN = Reply(503, b"<Error><Code>SlowDown</Code></Error>")


@contextmanager
def _s3(play: StackPlay, script: Script) -> Iterator[None]:
    """Answer the step's S3 requests. Finalize only reads lost batches, so Save gets the same fault."""
    if play.step is Step.FINALIZE:
        play.stage_quiz()  # a valid one: Save does not come to read it
    lines = [play.line] + ([play.rig.lines[Step.SAVE]] if play.step is Step.FINALIZE else [])
    struck = threading.Event()

    def answer(request: Request, forward: Forward) -> Reply | None:
        reply = script(request, forward)
        struck.set()
        return reply

    for line in lines:
        line.s3.play(answer)
    try:
        yield
    finally:
        for line in lines:
            line.s3.play()
    assert struck.is_set(), "the step sent no request to S3"


@contextmanager
def s3_denied(play: StackPlay) -> Iterator[None]:
    """A bucket policy denies the request."""
    with _s3(play, lambda _request, _forward: _DENIED):
        yield


@contextmanager
def s3_without_bucket(play: StackPlay) -> Iterator[None]:
    """The bucket does not exist."""
    with _s3(play, lambda _request, _forward: _NO_BUCKET):
        yield


@contextmanager
def s3_without_manifest(play: StackPlay) -> Iterator[None]:
    """The manifest expired or was deleted by hand."""
    with _s3(play, lambda request, forward: _GONE if "/manifests/" in request.path else forward()):
        yield


@contextmanager
def s3_without_an_item(play: StackPlay) -> Iterator[None]:
    """The item was deleted after Generate."""
    key = staged_key(play.roadmap_id, Item(play.ids[2], ContentType.TUTORIAL))
    with _s3(play, lambda request, forward: _GONE if request.path.endswith(key) else forward()):
        yield


@contextmanager
def s3_busy(play: StackPlay) -> Iterator[None]:
    """More requests than a prefix of the bucket serves."""
    with _s3(play, lambda _request, _forward: _SLOW_DOWN):
        yield


@contextmanager
def s3_half(play: StackPlay) -> Iterator[None]:
    """A response with half of the body."""

    def halve(request: Request, forward: Forward) -> Reply:
        reply = forward()
        return reply._replace(cut_after=len(reply.body) // 2) if request.method == "GET" else reply

    with _s3(play, halve):
        yield
