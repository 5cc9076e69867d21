"""Faults of S3."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import staged_key
from tests.faults.matrix.declaration import Fault, Step
from tests.faults.matrix.means import DENIED
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import injects
from tests.support.http_proxy import Forward, Script
from tests.support.http_server import Reply, Request

_GONE = Reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
_NO_BUCKET = Reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")
_SLOW_DOWN = Reply(503, b"<Error><Code>SlowDown</Code></Error>")

STORES = (Step.PLAN, Step.GENERATE, Step.SAVE, Step.FINALIZE)
"""The steps that use S3."""


@contextmanager
def _s3(play: Play, script: Script) -> Iterator[None]:
    """Answer the step's S3 requests. Finalize only reads lost batches, so Save gets the same fault."""
    lines = [play.line] + ([play.rig.lines[Step.SAVE]] if play.cell.step is Step.FINALIZE else [])
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


@injects(Fault.S3_DENIED, *STORES, what="403 AccessDenied to every request until the run is over")
def s3_denied(play: Play) -> Iterator[None]:
    """A bucket policy denies the request."""
    with _s3(play, lambda _request, _forward: DENIED):
        yield


@injects(Fault.S3_MISSING, Step.PLAN, what="404 NoSuchBucket to every request until the run is over")
def s3_without_bucket(play: Play) -> Iterator[None]:
    """The bucket does not exist."""
    with _s3(play, lambda _request, _forward: _NO_BUCKET):
        yield


@injects(Fault.S3_MISSING, Step.GENERATE, Step.FINALIZE, what="404 for the manifest until the run is over")
def s3_without_manifest(play: Play) -> Iterator[None]:
    """The manifest expired or was deleted by hand."""
    with _s3(play, lambda request, forward: _GONE if "/manifests/" in request.path else forward()):
        yield


@injects(Fault.S3_MISSING, Step.SAVE, what="404 for one staged tutorial until the run is over")
def s3_without_an_item(play: Play) -> Iterator[None]:
    """The item was deleted after Generate."""
    key = staged_key(play.roadmap_id, Item(play.ids[2], ContentType.TUTORIAL))
    with _s3(play, lambda request, forward: _GONE if request.path.endswith(key) else forward()):
        yield


@injects(Fault.S3_BUSY, *STORES, what="503 SlowDown to every request until the run is over")
def s3_busy(play: Play) -> Iterator[None]:
    """More requests than a prefix of the bucket serves."""
    with _s3(play, lambda _request, _forward: _SLOW_DOWN):
        yield


@injects(
    Fault.S3_HALF,
    *STORES[1:],
    what="the connection is lost in the middle of every object until the run is over",
)
def s3_half(play: Play) -> Iterator[None]:
    """A response with half of the body."""

    def halve(request: Request, forward: Forward) -> Reply:
        reply = forward()
        return reply._replace(cut_after=len(reply.body) // 2) if request.method == "GET" else reply

    with _s3(play, halve):
        yield
