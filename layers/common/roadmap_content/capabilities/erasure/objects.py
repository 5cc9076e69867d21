"""The objects of roadmaps and tasks in the bucket: all versions and delete markers."""

from collections.abc import Callable, Collection, Sequence

from ...contracts.erasure import ObjectCount, Removed
from ...contracts.errors import TransientError
from ...platform.postgres.transactions import RESERVE
from ...platform.runtime.deadline import Deadline
from ...platform.storage.bucket import Bucket, StoredVersion, in_parallel
from ...platform.storage.keys import owners_of, places_of, prefixes_of
from .rows import Subjects


class ErasureOutOfTimeError(TransientError, code="ErasureOutOfTime"):
    """The time of the request was up. Deleted rows are not found again."""


def clear_objects(
    bucket: Bucket,
    subjects: Subjects,
    stays: Callable[[StoredVersion], bool],
    of_others: Collection[str],
    deadline: Deadline,
    *,
    erase: bool,
) -> tuple[Removed, Removed]:
    """Count, or delete, the objects of roadmaps and tasks: those that go, and those that stay. An object that
    may belong to another roadmap is not deleted, nor a text `of_others`, which a row of another one names.

    Raises:
        StorageUnavailableError: S3 did not answer, or refused to delete a version.
        ErasureOutOfTimeError: there are too many for one request; the next one continues.
    """
    prefixes = prefixes_of(subjects.roadmaps, subjects.tasks)
    own = places_of(subjects.roadmaps, subjects.tasks).keys()

    def is_shared(version: StoredVersion) -> bool:
        other_owners = owners_of(version.key) - own
        is_named = version.is_latest and version.key in of_others
        return bool(other_owners) or is_named

    def clear(prefix: str) -> tuple[Removed, Removed]:
        gone, left, after = Removed(), Removed(), None
        while True:
            listed, after = bucket.versions(prefix, after)
            found = [version for version in listed if owners_of(version.key) & own]
            kept = [version for version in found if stays(version)]
            shared = [version for version in found if not stays(version) and is_shared(version)]
            goes = [version for version in found if not stays(version) and not is_shared(version)]
            if erase:
                bucket.delete_versions(goes)
            names = sorted({version.key for version in shared})
            gone += Removed(objects={prefixes[prefix]: _count(goes)}, shared=names)
            left += Removed(objects={prefixes[prefix]: _count(kept)})
            if after is None:
                return gone, left
            if deadline.remaining < RESERVE:
                raise ErasureOutOfTimeError(f"{prefix} has too many objects for one request")

    parts = in_parallel(clear, prefixes)
    return sum((gone for gone, _ in parts), Removed()), sum((left for _, left in parts), Removed())


def _count(versions: Sequence[StoredVersion]) -> ObjectCount:
    return ObjectCount(objects=len(versions), bytes=sum(version.size for version in versions))
