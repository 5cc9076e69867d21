"""The objects of roadmaps and tasks in the bucket: all versions and delete markers."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ...contracts.erasure import ObjectCount, Removed
from ...contracts.errors import StorageUnavailableError, TransientError
from ...platform.postgres.transactions import RESERVE
from ...platform.runtime.deadline import Deadline
from ...platform.storage.bucket import Bucket, StoredVersion, in_parallel
from ...platform.storage.keys import owners_of, places_of, prefixes_of
from .rows import Subjects


class ErasureOutOfTimeError(TransientError, code="ErasureOutOfTime"):
    """The time of the request was up. Deleted rows are not found again."""


@dataclass(frozen=True)
class Cleared:
    """Numbers of objects, and a failure to look at all."""

    goes: Removed
    """Those that are deleted, or only counted. `shared` has the keys that may belong to another roadmap."""

    stays: Removed
    """Those that stay for the caller's reason."""

    failure: TransientError | None = None
    """S3 did not answer, or kept a version, or the time was up: some objects are left. The next request
    continues.
    """

    def complete(self) -> "Cleared":
        """Raise the failure, if there is one."""
        if self.failure is not None:
            raise self.failure
        return self


def clear_objects(
    bucket: Bucket,
    subjects: Subjects,
    stays: Callable[[StoredVersion], bool],
    of_others: Collection[str],
    deadline: Deadline,
    *,
    erase: bool,
) -> Cleared:
    """Delete, or only count, the objects of roadmaps and tasks. An object that may also belong to another
    roadmap stays, too. Deleted objects are not found again, so they are counted also after a failure.

    Args:
        stays: whether a version is to stay, for the caller's reason.
        of_others: the keys of the texts that rows of other roadmaps name. Their latest versions are shared.
        erase: `False` only counts.
    """
    prefixes = prefixes_of(subjects.roadmaps, subjects.tasks)
    own = places_of(subjects.roadmaps, subjects.tasks).keys()

    def divide(
        versions: Sequence[StoredVersion],
    ) -> tuple[list[StoredVersion], list[StoredVersion], set[str]]:
        """The versions that go, those that stay, and the keys that are shared."""
        going, kept, shared = [], [], set()
        for version in versions:
            owners = owners_of(version.key)
            if not owners & own:
                continue  # of another roadmap: the product does not encode ids, which may contain `/`
            if stays(version):
                kept.append(version)
            elif owners - own or (version.is_latest and version.key in of_others):
                shared.add(version.key)
            else:
                going.append(version)
        return going, kept, shared

    def clear(prefix: str) -> Cleared:
        goes, left, after = Removed(), Removed(), None
        while True:
            try:
                listed, after = bucket.versions(prefix, after)
                going, kept, shared = divide(listed)
                refused = bucket.delete_versions(going) if erase else {}
            except StorageUnavailableError as failure:
                return Cleared(goes, left, failure)
            deleted = [version for version in going if version not in refused]
            goes += Removed(objects={prefixes[prefix]: _count(deleted)}, shared=sorted(shared))
            left += Removed(objects={prefixes[prefix]: _count(kept)})
            if refused:
                version, reason = next(iter(refused.items()))
                return Cleared(goes, left, StorageUnavailableError(f"{version.key}: {reason}"))
            if after is None:
                return Cleared(goes, left)
            if deadline.remaining < RESERVE:
                failed = ErasureOutOfTimeError(f"{prefix} has too many objects for one request")
                return Cleared(goes, left, failed)

    parts = in_parallel(clear, prefixes)
    return Cleared(
        sum((part.goes for part in parts), Removed()),
        sum((part.stays for part in parts), Removed()),
        next((part.failure for part in parts if part.failure is not None), None),
    )


def _count(versions: Sequence[StoredVersion]) -> ObjectCount:
    return ObjectCount(objects=len(versions), bytes=sum(version.size for version in versions))
