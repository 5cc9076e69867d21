"""The objects of roadmaps and tasks in the bucket: all versions and delete markers below their prefixes."""

from collections.abc import Callable, Sequence

from ...contracts.erasure import ObjectCount, Removed
from ...contracts.errors import TransientError
from ...platform.postgres.transactions import RESERVE
from ...platform.runtime.deadline import Deadline
from ...platform.storage.bucket import Bucket, StoredVersion, in_parallel
from ...platform.storage.keys import prefixes_of
from .rows import Subjects


class ErasureOutOfTimeError(TransientError, code="ErasureOutOfTime"):
    """The time of the request was up. Deleted rows are not found again."""


def clear_objects(
    bucket: Bucket,
    subjects: Subjects,
    stays: Callable[[StoredVersion], bool],
    deadline: Deadline,
    *,
    erase: bool,
) -> tuple[Removed, Removed]:
    """Count, or delete, the objects of roadmaps and tasks: those that go, and those that stay.

    Raises:
        StorageUnavailableError: S3 did not answer, or refused to delete a version.
        ErasureOutOfTimeError: there are too many for one request; the next one continues.
    """
    prefixes = prefixes_of(subjects.roadmaps, subjects.tasks)

    def clear(prefix: str) -> tuple[ObjectCount, ObjectCount]:
        going, staying, after = ObjectCount(), ObjectCount(), None
        while True:
            found, after = bucket.versions(prefix, after)
            kept = [version for version in found if stays(version)]
            goes = [version for version in found if not stays(version)]
            if erase:
                bucket.delete_versions(goes)
            going, staying = going + _count(goes), staying + _count(kept)
            if after is None:
                return going, staying
            if deadline.remaining < RESERVE:
                raise ErasureOutOfTimeError(f"{prefix} has too many objects for one request")

    gone, left = Removed(), Removed()
    for kind, (going, staying) in zip(prefixes.values(), in_parallel(clear, prefixes), strict=True):
        gone += Removed(objects={kind: going})
        left += Removed(objects={kind: staying})
    return gone, left


def _count(versions: Sequence[StoredVersion]) -> ObjectCount:
    return ObjectCount(objects=len(versions), bytes=sum(version.size for version in versions))
