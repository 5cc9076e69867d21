"""An in-memory S3 client.

It has the methods, errors and response shapes of boto3's client that this system uses, without its 4 ms per
call. `tests/integration/test_bucket.py` runs the same requests against it and against moto; the tests of the
local cloud use HTTP.
"""

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _Object(NamedTuple):
    body: bytes
    metadata: Mapping[str, str]
    etag: str
    stored_at: datetime


class MemoryS3:
    """Buckets and their objects. Safe for use by several threads."""

    meta = SimpleNamespace(endpoint_url="https://s3.amazonaws.com")

    def __init__(self) -> None:
        self._buckets: dict[str, dict[str, _Object]] = {}
        self._lock = threading.Lock()

    @property
    def client(self) -> "S3Client":
        """This object, typed as boto3's client."""
        return cast("S3Client", self)

    def create_bucket(self, *, Bucket: str) -> None:  # noqa: N803 - boto3's names, here and below
        """Create an empty bucket, also in place of an existing one."""
        self._buckets[Bucket] = {}

    def saved(self) -> dict[str, dict[str, _Object]]:
        return {name: dict(objects) for name, objects in self._buckets.items()}

    def restore(self, saved: Mapping[str, Mapping[str, _Object]]) -> None:
        """Give every bucket its saved objects again."""
        self._buckets = {name: dict(objects) for name, objects in saved.items()}

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        Metadata: Mapping[str, str] | None = None,  # noqa: N803
        ContentType: str = "",  # noqa: N803
    ) -> None:
        # S3 and boto3 refuse these.
        assert len(Key.encode()) <= 1024, f"the key has more than 1,024 bytes: {Key}"
        assert all(value.isascii() for value in (Metadata or {}).values()), f"metadata of {Key} is not ASCII"
        etag = f'"{hashlib.md5(Body, usedforsecurity=False).hexdigest()}"'
        with self._lock:
            objects = self._bucket(Bucket, "PutObject")
            objects[Key] = _Object(Body, dict(Metadata or {}), etag, datetime.now(UTC))

    def get_object(self, *, Bucket: str, Key: str, Range: str | None = None) -> dict[str, Any]:  # noqa: N803
        found = self._find(Bucket, Key, "GetObject")
        body = found.body
        if Range is not None:
            first, last = Range.removeprefix("bytes=").split("-")
            body = body[int(first) : int(last) + 1]
        return {
            "Body": BytesIO(body),
            "Metadata": found.metadata,
            "ContentLength": len(body),
            "ETag": found.etag,
        }

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: Mapping[str, str],  # noqa: N803
        Metadata: Mapping[str, str],  # noqa: N803
        MetadataDirective: str,  # noqa: N803
    ) -> None:
        found = self._find(CopySource["Bucket"], CopySource["Key"], "CopyObject")
        self.put_object(Bucket=Bucket, Key=Key, Body=found.body, Metadata=Metadata)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        found = self._find(Bucket, Key, "HeadObject")
        return {
            "Metadata": found.metadata,
            "ContentLength": len(found.body),
            "LastModified": found.stored_at,
        }

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", StartAfter: str = "") -> dict[str, Any]:  # noqa: N803
        """List the first 1,000 keys with a prefix after a given key."""
        with self._lock:
            objects = dict(self._bucket(Bucket, "ListObjectsV2"))
        keys = sorted(key for key in objects if key.startswith(Prefix) and key > StartAfter)[:1_000]
        listed = [
            {"Key": key, "Size": len(objects[key].body), "LastModified": objects[key].stored_at}
            for key in keys
        ]
        return {"KeyCount": len(listed)} | ({"Contents": listed} if listed else {})

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        """Delete an object if it exists."""
        self._bucket(Bucket, "DeleteObject").pop(Key, None)

    def list_object_versions(self, *, Bucket: str, Prefix: str = "") -> dict[str, Any]:  # noqa: N803
        """All objects with a prefix, on one page, as the only versions: the bucket has no versioning."""
        with self._lock:
            objects = sorted(self._bucket(Bucket, "ListObjectVersions").items())
        found = [(key, each) for key, each in objects if key.startswith(Prefix)]
        return {
            "Versions": [
                {"Key": key, "VersionId": "null", "Size": len(each.body), "IsLatest": True}
                for key, each in found
            ]
        }

    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        """Delete several objects."""
        for entry in Delete["Objects"]:
            self.delete_object(Bucket=Bucket, Key=entry["Key"])
        return {}

    def get_paginator(self, _operation: str) -> "MemoryS3":
        return self

    def paginate(self, *, Bucket: str, Prefix: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        """All objects with a prefix, on one page."""
        with self._lock:
            objects = sorted(self._bucket(Bucket, "ListObjectsV2").items())
        yield {
            "Contents": [{"Key": key, "ETag": found.etag} for key, found in objects if key.startswith(Prefix)]
        }

    def _bucket(self, name: str, operation: str) -> dict[str, _Object]:
        if name not in self._buckets:
            raise _error("NoSuchBucket", 404, operation)
        return self._buckets[name]

    def _find(self, bucket: str, key: str, operation: str) -> _Object:
        found = self._bucket(bucket, operation).get(key)
        if found is None:
            raise _error("404" if operation == "HeadObject" else "NoSuchKey", 404, operation)
        return found


class ObservedS3:
    """An S3 client that first passes each request to a function, by the method's name and arguments."""

    def __init__(self, client: "S3Client", note: Callable[[str, Mapping[str, Any]], object]) -> None:
        self._client = client
        self._note = note

    @property
    def client(self) -> "S3Client":
        """This object, typed as boto3's client."""
        return cast("S3Client", self)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(**arguments: Any) -> Any:
            self._note(name, arguments)
            return getattr(self._client, name)(**arguments)

        return ask


def _error(code: str, status: int, operation: str) -> ClientError:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)
