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
    """Delete, or only count, the objects of roadmaps and tasks. Return the numbers of those that go, and of
    those for which `stays` holds. An object that may also belong to another roadmap stays, too: the first
    result lists its key as `shared`.

    Args:
        stays: whether a version is to stay, for the caller's reason.
        of_others: the keys of the texts that rows of other roadmaps name. Their latest versions are shared.
        erase: `False` only counts.

    Raises:
        StorageUnavailableError: S3 did not answer, or refused to delete a version.
        ErasureOutOfTimeError: there are too many for one request; the next one continues.
    """
    prefixes = prefixes_of(subjects.roadmaps, subjects.tasks)
    own = places_of(subjects.roadmaps, subjects.tasks).keys()

    def clear(prefix: str) -> tuple[Removed, Removed]:
        gone, left, after = Removed(), Removed(), None
        while True:
            listed, after = bucket.versions(prefix, after)
            going: list[StoredVersion] = []
            kept: list[StoredVersion] = []
            shared: set[str] = set()
            for version in listed:
                owners = owners_of(version.key)
                if not owners & own:
                    continue  # of another roadmap: the product does not encode ids, which may contain `/`
                if stays(version):
                    kept.append(version)
                elif owners - own or (version.is_latest and version.key in of_others):
                    shared.add(version.key)
                else:
                    going.append(version)
            if erase:
                bucket.delete_versions(going)
            gone += Removed(objects={prefixes[prefix]: _count(going)}, shared=sorted(shared))
            left += Removed(objects={prefixes[prefix]: _count(kept)})
            if after is None:
                return gone, left
            if deadline.remaining < RESERVE:
                raise ErasureOutOfTimeError(f"{prefix} has too many objects for one request")

    parts = in_parallel(clear, prefixes)
    return sum((gone for gone, _ in parts), Removed()), sum((left for _, left in parts), Removed())


def _count(versions: Sequence[StoredVersion]) -> ObjectCount:
    return ObjectCount(objects=len(versions), bytes=sum(version.size for version in versions))
