"""What to do about staged content that an earlier attempt could not save: poison does not come back.

Pure. Content that was refused for what it is fails every attempt the same way unless something is done;
content that was refused for its surroundings stays staged and is simply saved.
"""

from collections.abc import Sequence
from enum import Enum, auto

from .errors import IdTakenError, InvalidContentError, VersionTakenError
from .items import RecordedFailure
from .postgres.sqlstate import is_about_content


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
        remedy = remedy_of_code(failure.error_code)
        if remedy is not Remedy.KEEP and failure.content_fingerprint == staged:
            return remedy, seen
    return Remedy.KEEP, None


def remedy_of_code(error_code: str) -> Remedy:
    """The remedy for staged content that was refused with this code; `KEEP` for any other code."""
    match error_code:
        case IdTakenError.code:
            return Remedy.NEW_ID
        case VersionTakenError.code:
            return Remedy.NEXT_VERSION
        case InvalidContentError.code:
            return Remedy.REJECT
        case sqlstate if is_about_content(sqlstate):
            return Remedy.REJECT
        case _:
            return Remedy.KEEP
