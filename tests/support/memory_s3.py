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
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class _Version(NamedTuple):
    """A version of an object, or a delete marker, which has no body."""

    version_id: str
    stored_at: datetime
    body: bytes | None
    metadata: Mapping[str, str]

    @property
    def size(self) -> int:
        return len(self.body or b"")

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body or b"", usedforsecurity=False).hexdigest()}"'


_Versions = tuple[_Version, ...]
"""Those of a key, the newest first."""


class MemoryS3:
    """Buckets and their objects. Safe for use by several threads."""

    page = 1_000
    """The keys of one answer of a listing."""

    def __init__(self) -> None:
        self._buckets: dict[str, dict[str, _Versions]] = {}
        self._versioned: set[str] = set()
        self._ids = count()
        self._lock = threading.Lock()

    @property
    def client(self) -> "S3Client":
        """This object, typed as boto3's client."""
        return cast("S3Client", self)

    def create_bucket(self, *, Bucket: str) -> None:  # noqa: N803 - boto3's names, here and below
        """Create an empty bucket without versioning, also in place of an existing one."""
        self._buckets[Bucket] = {}
        self._versioned.discard(Bucket)

    def put_bucket_versioning(self, *, Bucket: str, VersioningConfiguration: Mapping[str, str]) -> None:  # noqa: N803
        """Keep the versions of objects from now on."""
        assert VersioningConfiguration == {"Status": "Enabled"}
        self._versioned.add(Bucket)

    def saved(self) -> dict[str, dict[str, _Versions]]:
        return {name: dict(objects) for name, objects in self._buckets.items()}

    def restore(self, saved: Mapping[str, Mapping[str, _Versions]]) -> None:
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
        metadata = dict(Metadata or {})
        assert all(value.isascii() for value in metadata.values()), f"metadata of {Key} is not ASCII"
        assert len("".join([*metadata, *metadata.values()])) <= 2_048, f"metadata of {Key} is too large"
        self._add(Bucket, "PutObject", Key, Body, metadata)

    def get_object(self, *, Bucket: str, Key: str, Range: str | None = None) -> dict[str, Any]:  # noqa: N803
        found = self._find(Bucket, Key, "GetObject")
        body = found.body or b""
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
        Metadata: Mapping[str, str] | None = None,  # noqa: N803
        MetadataDirective: str = "COPY",  # noqa: N803
    ) -> None:
        found = self._find(CopySource["Bucket"], CopySource["Key"], "CopyObject")
        metadata = found.metadata if MetadataDirective == "COPY" else Metadata or {}
        self.put_object(Bucket=Bucket, Key=Key, Body=found.body or b"", Metadata=metadata)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        found = self._find(Bucket, Key, "HeadObject")
        return {
            "Metadata": found.metadata,
            "ContentLength": found.size,
            "LastModified": found.stored_at,
        }

    def list_objects_v2(self, *, Bucket: str, Prefix: str = "", StartAfter: str = "") -> dict[str, Any]:  # noqa: N803
        """List the first page of the keys with a prefix after a given key."""
        listed = [
            {"Key": key, "Size": versions[0].size, "LastModified": versions[0].stored_at}
            for key, versions in self._listed(Bucket, "ListObjectsV2", Prefix)
            if key > StartAfter and versions[0].body is not None
        ][: self.page]
        return {"KeyCount": len(listed)} | ({"Contents": listed} if listed else {})

    def delete_object(self, *, Bucket: str, Key: str, VersionId: str | None = None) -> None:  # noqa: N803
        """Delete an object if it exists, or one of its versions for ever."""
        if VersionId is None and Bucket in self._versioned:
            self._add(Bucket, "DeleteObject", Key, None, {})
            return
        with self._lock:
            objects = self._bucket(Bucket, "DeleteObject")
            found = objects.pop(Key, ())
            if VersionId is not None and (left := tuple(v for v in found if v.version_id != VersionId)):
                objects[Key] = left

    def list_object_versions(self, *, Bucket: str, Prefix: str = "") -> dict[str, Any]:  # noqa: N803
        """All versions and delete markers of the objects with a prefix, on one page."""
        answer: dict[str, Any] = {"Versions": [], "DeleteMarkers": []}
        for key, versions in self._listed(Bucket, "ListObjectVersions", Prefix):
            for each in versions:
                entry = {
                    "Key": key,
                    "VersionId": each.version_id,
                    "IsLatest": each is versions[0],
                    "LastModified": each.stored_at,
                }
                if each.body is None:
                    answer["DeleteMarkers"].append(entry)
                else:
                    answer["Versions"].append(entry | {"Size": each.size})
        return answer

    def delete_objects(self, *, Bucket: str, Delete: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N803
        """Delete several objects, or versions."""
        for entry in Delete["Objects"]:
            self.delete_object(Bucket=Bucket, **entry)
        return {}

    def get_paginator(self, _operation: str) -> "MemoryS3":
        return self

    def paginate(self, *, Bucket: str, Prefix: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        """All objects with a prefix, on one page."""
        listed = self._listed(Bucket, "ListObjectsV2", Prefix)
        yield {
            "Contents": [
                {"Key": key, "ETag": versions[0].etag}
                for key, versions in listed
                if versions[0].body is not None
            ]
        }

    def _bucket(self, name: str, operation: str) -> dict[str, _Versions]:
        if name not in self._buckets:
            raise _error("NoSuchBucket", 404, operation)
        return self._buckets[name]

    def _add(
        self, bucket: str, operation: str, key: str, body: bytes | None, metadata: Mapping[str, str]
    ) -> None:
        versioned = bucket in self._versioned
        added = _Version(str(next(self._ids)) if versioned else "null", datetime.now(UTC), body, metadata)
        with self._lock:
            objects = self._bucket(bucket, operation)
            objects[key] = (added, *(objects.get(key, ()) if versioned else ()))

    def _listed(self, bucket: str, operation: str, prefix: str) -> list[tuple[str, _Versions]]:
        with self._lock:
            objects = self._bucket(bucket, operation)
            return sorted((key, versions) for key, versions in objects.items() if key.startswith(prefix))

    def _find(self, bucket: str, key: str, operation: str) -> _Version:
        versions = self._bucket(bucket, operation).get(key)
        if versions is None or versions[0].body is None:
            raise _error("404" if operation == "HeadObject" else "NoSuchKey", 404, operation)
        return versions[0]


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
