"""The S3 bucket: the object operations that are used, with one error type for all transient errors."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ... import __version__
from ...contracts.errors import InvalidContentError, OtherBucketError, StorageUnavailableError
from ..aws.clients import create_client
from .keys import fingerprint, key_in_url

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import (
        DeleteObjectsOutputTypeDef,
        HeadObjectOutputTypeDef,
        ListObjectVersionsOutputTypeDef,
        ObjectIdentifierTypeDef,
    )

T = TypeVar("T")
R = TypeVar("R")

PARALLEL = 16
"""Concurrent requests. S3 takes about 20 ms for one, and a batch reads one object per item."""


class StoredObject(NamedTuple):
    body: bytes
    metadata: Mapping[str, str]


class StoredEntry(NamedTuple):
    """An object in a listing."""

    key: str
    size: int
    stored_at: datetime


class StoredVersion(NamedTuple):
    """A version of an object, or a delete marker of 0 bytes."""

    key: str
    version_id: str
    size: int
    is_latest: bool
    stored_at: datetime


class ObjectTooLargeError(InvalidContentError, code=InvalidContentError.code):
    """An object has more bytes than its reader accepts."""

    def __init__(self, size: int, etag: str) -> None:
        super().__init__(f"the object has {size} bytes")
        self.size = size
        self.etag = etag
        self.fingerprint = fingerprint(etag.encode())  # in place of its bytes, which nobody has read


class Bucket:
    """One S3 bucket. Safe for use by several threads.

    Every method raises `StorageUnavailableError` with the key when a request fails. All failures count as
    transient, because no error of S3 means that the content itself is invalid.
    """

    def __init__(self, name: str, client: "S3Client | None" = None) -> None:
        self.name = name
        if client is not None:
            self._client = client

    @cached_property
    def _client(self) -> "S3Client":
        client: S3Client = create_client(
            "s3",
            max_pool_connections=PARALLEL,
            connect_timeout=5,
            read_timeout=20,
            retries={"mode": "standard", "max_attempts": 4},
            # Requests take most of the processor time of Save. TLS protects the bytes in transit, and all
            # parameters are made by this class: their validation is not needed. The checksum of an object
            # that is written is: S3 refuses it without one if the bucket locks its objects, and botocore
            # would sign a SHA-256 of the object in its place.
            response_checksum_validation="when_required",
            parameter_validation=False,
            # botocore composes its own description of the platform anew for every request.
            user_agent=f"roadmap-content/{__version__}",
            signature_version="s3v4",  # of links: an object with a KMS key is refused with an older one
        )
        # Objects have a few kilobytes: `Expect: 100-continue` would cost an additional round trip.
        client.meta.events.register_last("before-call.s3", _send_at_once)
        return client

    def get(self, key: str, *, part: range | None = None, limit: int | None = None) -> StoredObject | None:
        """Read an object, or only the bytes at the positions in `part`; `None` if it does not exist.
        Raises ObjectTooLargeError: it has more than `limit` bytes; nothing of it was read.
        """

        def read() -> StoredObject:
            if part is None:
                answer = self._client.get_object(Bucket=self.name, Key=key)
            else:
                byte_range = f"bytes={part.start}-{part.stop - 1}"
                answer = self._client.get_object(Bucket=self.name, Key=key, Range=byte_range)
            size = answer["ContentLength"]
            if limit is not None and size > limit:
                answer["Body"].close()
                raise ObjectTooLargeError(size, answer["ETag"])
            return StoredObject(answer["Body"].read(), answer["Metadata"])

        return self._request(key, read, missing=True)

    def link(self, key: str, seconds: int) -> str:
        """A URL with which anybody can read an object for some seconds. It is signed without a request."""
        parameters = {"Bucket": self.name, "Key": key}
        return self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)

    def key_in(self, content_url: str) -> str:
        """The key in the `content_url` of a row: the whole of it, or of a URL in older rows of the product.
        Raises OtherBucketError: it is the URL of something else than an object of this bucket.
        """
        if "://" not in content_url:
            return content_url
        return key_in_url(content_url, self.name)

    def keys_in(self, content_urls: Iterable[str]) -> frozenset[str]:
        """The keys in these URLs. The URL of another bucket has none."""
        keys = set()
        for url in content_urls:
            with suppress(OtherBucketError):
                keys.add(self.key_in(url))
        return frozenset(keys)

    def copy(self, key: str, target: str, metadata: Mapping[str, str]) -> None:
        """Copy an object of at most 5 GB within S3, with new metadata."""
        self._request(
            key,
            lambda: self._client.copy_object(
                Bucket=self.name,
                Key=target,
                CopySource={"Bucket": self.name, "Key": key},
                Metadata=dict(metadata),
                MetadataDirective="REPLACE",
            ),
        )

    def holds(self, key: str) -> bool:
        return self._head(key) is not None

    def describe(self, key: str) -> StoredEntry | None:
        """The size and age of an object; `None` if there is none."""
        head = self._head(key)
        return None if head is None else StoredEntry(key, head["ContentLength"], head["LastModified"])

    def metadata(self, key: str) -> Mapping[str, str] | None:
        """The metadata of an object of any size; `None` if there is none."""
        head = self._head(key)
        return None if head is None else head["Metadata"]

    def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        return self._request(key, lambda: self._client.head_object(Bucket=self.name, Key=key), missing=True)

    def entries(self, prefix: str, after: str = "") -> list[StoredEntry]:
        """One page (1,000) of the objects with keys that start with `prefix` and come after `after`."""

        def page() -> list[StoredEntry]:
            answer = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, StartAfter=after)
            return [
                StoredEntry(entry["Key"], entry["Size"], entry["LastModified"])
                for entry in answer.get("Contents", ())
            ]

        return self._request(prefix, page) or []

    def keys(self, prefix: str, after: str) -> list[str]:
        """One page (1,000) of the keys that start with `prefix` and come after `after`, in order."""
        return [entry.key for entry in self.entries(prefix, after)]

    def all_keys(self, prefix: str, after: str = "") -> list[str]:
        """All keys that start with `prefix` and come after `after`, in order."""
        keys: list[str] = []
        while page := self.keys(prefix, after=keys[-1] if keys else after):
            keys += page
        return keys

    def put(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store an object. Overwrites an existing one."""
        self._request(
            key,
            lambda: self._client.put_object(
                Bucket=self.name, Key=key, Body=body, Metadata=dict(metadata or {})
            ),
        )

    def put_text(self, key: str, text: str) -> None:
        """Store a text in Markdown. Overwrites an existing object."""
        self._request(
            key,
            lambda: self._client.put_object(
                Bucket=self.name, Key=key, Body=text.encode(), ContentType="text/markdown; charset=utf-8"
            ),
        )

    def delete(self, key: str) -> None:
        self._request(key, lambda: self._client.delete_object(Bucket=self.name, Key=key))

    def versions(
        self, prefix: str, after: tuple[str, str] | None = None
    ) -> tuple[list[StoredVersion], tuple[str, str] | None]:
        """One page (1,000) of all versions and delete markers of the objects with a prefix, and the place of
        the next page, if there is one.
        """

        def page() -> "ListObjectVersionsOutputTypeDef":
            if after is None:
                return self._client.list_object_versions(Bucket=self.name, Prefix=prefix)
            key, version = after
            return self._client.list_object_versions(
                Bucket=self.name, Prefix=prefix, KeyMarker=key, VersionIdMarker=version
            )

        answer = self._request(prefix, page)
        assert answer is not None  # noqa: S101 - a missing bucket raises
        found = [
            StoredVersion(
                entry["Key"], entry["VersionId"], entry["Size"], entry["IsLatest"], entry["LastModified"]
            )
            for entry in answer.get("Versions", ())
        ]
        found += [
            StoredVersion(marker["Key"], marker["VersionId"], 0, marker["IsLatest"], marker["LastModified"])
            for marker in answer.get("DeleteMarkers", ())
        ]
        more = answer.get("IsTruncated", False)
        return found, (answer["NextKeyMarker"], answer["NextVersionIdMarker"]) if more else None

    def delete_versions(self, versions: Sequence[StoredVersion]) -> dict[StoredVersion, str]:
        """Delete up to 1,000 versions for ever. Return those that S3 kept, with its reasons."""
        if not versions:
            return {}
        named: list[ObjectIdentifierTypeDef] = [
            {"Key": version.key, "VersionId": version.version_id} for version in versions
        ]

        def delete() -> "DeleteObjectsOutputTypeDef":
            return self._client.delete_objects(Bucket=self.name, Delete={"Objects": named, "Quiet": True})

        answer = self._request(versions[0].key, delete)
        assert answer is not None  # noqa: S101 - as above
        reasons = {(error["Key"], error["VersionId"]): error["Code"] for error in answer.get("Errors", ())}
        return {
            version: reasons[version.key, version.version_id]
            for version in versions
            if (version.key, version.version_id) in reasons
        }

    def _request(self, key: str, send: Callable[[], R], *, missing: bool = False) -> R | None:
        """Send a request; `None` if the object is missing and the caller accepts that."""
        from botocore.exceptions import BotoCoreError, ClientError
        from urllib3.exceptions import HTTPError  # botocore does not wrap all errors while a body is read

        try:
            return send()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if missing and status == 404:
                return None
            reason = error.response["Error"].get("Code", str(status))
            raise StorageUnavailableError(f"{key}: {reason}") from error
        except (BotoCoreError, HTTPError) as error:
            raise StorageUnavailableError(f"{key}: {error}") from error


def _send_at_once(params: dict[str, Any], **_: object) -> None:
    """Remove the header that botocore adds to a request with a body: S3 would first have to answer it."""
    params["headers"].pop("Expect", None)


def in_parallel(work: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """Call `work`, which makes one or a few requests, for every argument; return the results in order.

    The threads are kept for later calls, because starting sixteen threads takes longer than the processing of
    a batch. All calls share them, so `work` must not call this function.
    """
    return list(_threads().map(work, arguments))


@cache
def _threads() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # imported here: most functions do not need it

    return ThreadPoolExecutor(PARALLEL)
