"""The bucket: a handful of operations on objects, each transient error of S3 as one type."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..errors import StorageUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")
R = TypeVar("R")

PARALLEL = 16
"""Requests under way at once: S3 answers each in some 20 ms, and a batch reads one object per item."""


class StoredObject(NamedTuple):
    """An object and the metadata that it was stored with."""

    body: bytes
    metadata: Mapping[str, str]


class Bucket:
    """One S3 bucket. Safe to be used by several threads.

    Every method raises `StorageUnavailableError`, naming the key, when S3 does not do what it was asked:
    nothing that S3 answers says that the content itself is wrong, so all of it may heal.
    """

    def __init__(self, name: str, client: "S3Client | None" = None) -> None:
        self.name = name
        self._given_client = client

    @cached_property
    def _client(self) -> "S3Client":
        if self._given_client is not None:
            return self._given_client
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            config=Config(
                max_pool_connections=PARALLEL,
                connect_timeout=5,
                read_timeout=20,
                retries={"mode": "standard", "max_attempts": 4},
            ),
        )

    def get(self, key: str, *, start: int = 0, length: int | None = None) -> StoredObject | None:
        """Read an object, or `length` bytes of it from `start`; `None` if there is none."""

        def read() -> StoredObject:
            if length is None:
                answer = self._client.get_object(Bucket=self.name, Key=key)
            else:
                byte_range = f"bytes={start}-{start + length - 1}"
                answer = self._client.get_object(Bucket=self.name, Key=key, Range=byte_range)
            return StoredObject(answer["Body"].read(), answer["Metadata"])

        return self._ask(key, read, missing=True)

    def holds(self, key: str) -> bool:
        """Whether there is such an object."""
        found = self._ask(key, lambda: self._client.head_object(Bucket=self.name, Key=key), missing=True)
        return found is not None

    def keys(self, prefix: str, after: str) -> list[str]:
        """The first keys that begin with `prefix` and come after `after`, in order: one page, of 1,000."""

        def page() -> list[str]:
            answer = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, StartAfter=after)
            return [entry["Key"] for entry in answer.get("Contents", ())]

        return self._ask(prefix, page) or []

    def put(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store an object, over one that is there."""
        self._ask(
            key,
            lambda: self._client.put_object(
                Bucket=self.name, Key=key, Body=body, Metadata=dict(metadata or {})
            ),
        )

    def put_if_absent(self, key: str, body: bytes, content_type: str) -> bool:
        """Store an object that is never overwritten; `False` if another body is there already."""

        def store() -> bool:
            self._client.put_object(
                Bucket=self.name, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*"
            )
            return True

        if self._ask(key, store, taken=True):
            return True
        there = self.get(key)
        return there is not None and there.body == body

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        self._ask(key, lambda: self._client.delete_object(Bucket=self.name, Key=key))

    def _ask(
        self, key: str, request: Callable[[], R], *, missing: bool = False, taken: bool = False
    ) -> R | None:
        """Ask S3; `None` where the object is missing or taken and the caller expects that it may be."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return request()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if (missing and status == 404) or (taken and status in (409, 412)):
                return None
            reason = error.response["Error"].get("Code", str(status))
            raise StorageUnavailableError(f"{key}: {reason}") from error
        except BotoCoreError as error:
            raise StorageUnavailableError(f"{key}: {error}") from error


def in_parallel(work: Callable[[T], R], arguments: Iterable[T]) -> list[R]:
    """Call `work` for every argument in a bounded number of threads; the results in the same order."""
    from concurrent.futures import ThreadPoolExecutor  # most functions have no use for it

    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(work, arguments))
