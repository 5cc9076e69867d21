"""The requests that the S3 client sends."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from roadmap_content.storage.bucket import Bucket


class NoBody:
    """An empty response body."""

    def stream(self) -> list[bytes]:
        """Return no data."""
        return []


def test_an_object_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    bucket = Bucket("content")
    sent = []

    def answer(request: Any, **_: object) -> Any:
        sent.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders(), NoBody())

    bucket._client.meta.events.register("before-send.s3", answer)  # noqa: SLF001 - intercepts its requests
    bucket.put("key", b"body")
    (request,) = sent
    assert "Expect" not in request.headers
