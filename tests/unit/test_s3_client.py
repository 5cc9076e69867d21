"""The requests that the S3 client sends."""

from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from roadmap_content.platform.storage.bucket import Bucket


class NoBody:
    """An empty response body."""

    def stream(self) -> list[bytes]:
        return []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    return Bucket("content")


@pytest.fixture
def sent(bucket: Bucket) -> list[Any]:
    """The requests of the bucket's client. Each is answered without an object."""
    requests = []

    def answer(request: Any, **_: object) -> Any:
        requests.append(request)
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict({"Content-Length": "0"}), NoBody())

    bucket._client.meta.events.register("before-send.s3", answer)  # noqa: SLF001 - intercepts its requests
    return requests


def test_an_object_is_sent_at_once(bucket: Bucket, sent: list[Any]) -> None:
    bucket.put("key", b"body")
    (request,) = sent
    assert "Expect" not in request.headers


def test_requests_name_this_system(bucket: Bucket, sent: list[Any]) -> None:
    bucket.put("key", b"body")
    (request,) = sent
    assert request.headers["User-Agent"].startswith(b"roadmap-content/")


def test_an_object_is_written_with_a_checksum_and_read_without_another_one(
    bucket: Bucket, sent: list[Any]
) -> None:
    bucket.put("key", b"body")
    bucket._client.get_object(Bucket="content", Key="key")  # noqa: SLF001 - the response has no body to read
    written, read = (dict(request.headers) for request in sent)
    # A bucket with Object Lock refuses an object without a checksum.
    assert written["x-amz-sdk-checksum-algorithm"] == b"CRC32"
    assert not [name for name in read if "checksum" in name.lower()]
