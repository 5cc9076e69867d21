"""The bucket: the S3 in memory responds like moto's, which boto3 reaches through its own serializers."""

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from moto import mock_aws
from urllib3.exceptions import SSLError

from roadmap_content.contracts.errors import StorageUnavailableError
from roadmap_content.platform.storage.bucket import Bucket, ObjectTooLargeError
from tests.support.memory_s3 import MemoryS3


@pytest.fixture(params=["in memory", "moto"])
def bucket(request: pytest.FixtureRequest, bucket_name: str) -> Iterator[Bucket]:
    if request.param == "moto":
        with mock_aws():
            boto3.client("s3").create_bucket(Bucket=bucket_name)
            yield Bucket(bucket_name)
    else:
        s3 = MemoryS3()
        s3.create_bucket(Bucket=bucket_name)
        yield Bucket(bucket_name, s3.client)


def test_a_missing_object_is_none(bucket: Bucket) -> None:
    assert bucket.get("a") is None
    assert bucket.get("a", part=range(3)) is None
    assert bucket.describe("a") is None
    assert not bucket.holds("a")
    bucket.delete("a")
    with pytest.raises(StorageUnavailableError, match="a: NoSuchKey"):
        bucket.copy("a", "b", {})


def test_an_object_is_read_with_its_metadata(bucket: Bucket) -> None:
    bucket.put("漢 %:/a", "é".encode(), {"reason": "why"})
    found = bucket.get("漢 %:/a")
    assert found == ("é".encode(), {"reason": "why"})
    bucket.put("漢 %:/a", b"")
    assert bucket.get("漢 %:/a") == (b"", {})


def test_a_range_is_read(bucket: Bucket) -> None:
    bucket.put("a", b"0123456789")
    assert bucket.get("a", part=range(2, 5)) == (b"234", {})
    assert bucket.get("a", part=range(8, 17)) == (b"89", {})


def test_a_large_object_is_not_read(bucket: Bucket) -> None:
    bucket.put("a", b"0123456789")
    with pytest.raises(ObjectTooLargeError) as raised:
        bucket.get("a", limit=9)
    assert (raised.value.size, raised.value.etag) == (10, '"781e5e245d69b566979b86e28d23f2c7"')
    assert bucket.get("a", limit=10) is not None


def test_an_object_with_a_broken_connection_is_not_available() -> None:
    """Of the errors while a body is read, botocore leaves this one to its caller."""
    client = boto3.client("s3", region_name="eu-central-1")

    class Broken(BytesIO):
        def read(self, *_: object) -> bytes:
            raise SSLError("DECRYPTION_FAILED_OR_BAD_RECORD_MAC")

    stubber = Stubber(client)
    answer = {"Body": StreamingBody(Broken(), 2), "ContentLength": 2, "Metadata": {}}
    stubber.add_response("get_object", answer)
    with stubber, pytest.raises(StorageUnavailableError, match="a: DECRYPTION_FAILED"):
        Bucket("content", client).get("a")


def test_an_object_is_copied_with_new_metadata(bucket: Bucket) -> None:
    bucket.put("a b", b"1", {"old": "1"})
    bucket.copy("a b", "c", {"new": "2"})
    assert bucket.get("c") == (b"1", {"new": "2"})
    bucket.delete("a b")
    assert not bucket.holds("a b")


def test_keys_are_listed_in_order_and_in_pages(bucket: Bucket) -> None:
    for key in ("b/2", "b/10", "b", "c", "b/é"):
        bucket.put(key, key.encode())
    assert bucket.keys("b/", "") == ["b/10", "b/2", "b/é"]
    assert bucket.keys("b/", "b/10") == ["b/2", "b/é"]
    assert bucket.entries("d") == []
    described = [bucket.describe(entry.key) for entry in bucket.entries("b/")]
    assert [(entry.key, entry.size) for entry in bucket.entries("b/")] == [
        (entry.key, entry.size) for entry in described if entry is not None
    ]
    times = [entry.stored_at for entry in bucket.entries("b/")]
    assert all(abs(one - other).total_seconds() < 600 for one, other in pairwise(times))


def test_versions_and_delete_markers_are_listed_and_deleted(bucket: Bucket) -> None:
    bucket._client.put_bucket_versioning(  # noqa: SLF001 - of the same S3
        Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"}
    )
    for body in (b"1", b"22"):
        bucket.put("a/b", body)
    bucket.put("b", b"")
    bucket.delete("a/b")
    assert (bucket.get("a/b"), bucket.keys("", ""), bucket.versions("c")) == (None, ["b"], ([], None))
    versions, _ = bucket.versions("a/")
    assert [(each.key, each.size) for each in versions] == [("a/b", 2), ("a/b", 1), ("a/b", 0)]
    assert [each.is_latest for each in versions] == [False, False, True]
    bucket.delete_versions(versions[1:])
    assert bucket.get("a/b") == (b"22", {})
    assert bucket.versions("a/") == ([versions[0]._replace(is_latest=True)], None)
    bucket.delete_versions(versions[:1])
    assert [each.key for each in bucket.versions("")[0]] == ["b"]


def test_a_missing_bucket_is_an_error(bucket: Bucket) -> None:
    missing = Bucket("missing", bucket._client)  # noqa: SLF001 - of the same S3
    with pytest.raises(StorageUnavailableError, match="NoSuchBucket"):
        missing.put("a", b"")
