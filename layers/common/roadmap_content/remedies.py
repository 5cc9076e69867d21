"""What to do about staged content that an earlier attempt could not save: poison does not come back.

Pure. Content that was refused for what it is fails every attempt the same way unless something is done;
content that was refused for its surroundings stays staged and is simply saved.
"""

from collections.abc import Sequence
from enum import Enum, auto

from .postgres.transactions import is_about_data
from .tasks.failures import RecordedFailure

# A foreign key, or a unique rule of the product's own: it holds against other rows, not against the content,
# and whether it still does, the next attempt finds out.
_ABOUT_OTHER_ROWS = ("23503", "23505")


class Remedy(Enum):
    """What `generate_content` does about an item before it is saved."""

    GENERATE = auto()
    """Nothing is staged."""

    KEEP = auto()
    """It is staged, and nothing is known against it."""

    NEW_ID = auto()
    """The content is good; its id belongs to another concept or roadmap."""

    NEXT_VERSION = auto()
    """The content is good; its version is another text's."""

    REJECT = auto()
    """The content itself was refused: quarantine it, and generate anew."""


def remedy_for(
    staged: str | None, refusals: Sequence[RecordedFailure]
) -> tuple[Remedy, RecordedFailure | None]:
    """Decide about one item from what is staged (its fingerprint) and the refusals, the latest first.

    A refusal is about the content that it names, and about no other that lies there since. The one that the
    remedy is for comes with it.
    """
    if staged is None:
        return Remedy.GENERATE, None
    for seen in refusals:
        _, failure = seen
        remedy = _remedy_of(failure.error_code)
        if remedy is not Remedy.KEEP and failure.content_fingerprint == staged:
            return remedy, seen
    return Remedy.KEEP, None


def _remedy_of(error_code: str) -> Remedy:
    match error_code:
        case "IdTaken":
            return Remedy.NEW_ID
        case "VersionTaken":
            return Remedy.NEXT_VERSION
        case "InvalidContent":
            return Remedy.REJECT
        case sqlstate if is_about_data(sqlstate) and sqlstate not in _ABOUT_OTHER_ROWS:
            return Remedy.REJECT
        case _:
            return Remedy.KEEP
