"""Decide how to handle staged content that an earlier attempt could not save. No I/O.

If the content itself caused the refusal, every further attempt would fail in the same way: the content needs
a remedy. If its surroundings caused the refusal, the content stays staged and is saved by the next attempt.
"""

from collections.abc import Sequence
from enum import Enum, auto

from ..contracts.errors import IdTakenError, InvalidContentError, VersionTakenError
from ..contracts.items import REJECTED_BY_CHECK, RecordedFailure
from ..platform.postgres.sqlstate import is_about_content


class Remedy(Enum):
    """How `generate_content` prepares an item for saving."""

    GENERATE = auto()
    """Nothing is staged: generate the item."""

    KEEP = auto()
    """The staged content can be saved as it is."""

    NEW_ID = auto()
    """The content is valid, but its id belongs to another concept or roadmap: replace the id."""

    NEXT_VERSION = auto()
    """The content is valid, but its version is taken by another text: use the next version."""

    REJECT = auto()
    """The content itself was refused: move it to `rejected/` and generate the item again."""


def remedy_for(
    staged: str | None, refusals: Sequence[RecordedFailure]
) -> tuple[Remedy, RecordedFailure | None]:
    """Choose the remedy for one item, and return it with the refusal that it is for.

    A refusal only applies to the content with its fingerprint, not to content that was staged later.

    Args:
        staged: the fingerprint of the staged content; `None` if nothing is staged.
        refusals: the item's refusals, the latest first.
    """
    if staged is None:
        return Remedy.GENERATE, None
    for refusal in refusals:
        _, failure = refusal
        remedy = remedy_of_code(failure.error_code)
        if remedy is not Remedy.KEEP and failure.content_fingerprint == staged:
            return remedy, refusal
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
        case refused if refused.startswith(REJECTED_BY_CHECK) or is_about_content(refused):
            return Remedy.REJECT
        case _:
            return Remedy.KEEP
