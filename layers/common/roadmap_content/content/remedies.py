"""Decide how to handle staged content that an earlier attempt could not save. No I/O.

If the content itself caused the refusal, every further attempt would fail in the same way: the content needs
a remedy. If its surroundings caused the refusal, the content stays staged and is saved by the next attempt.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ..contracts.errors import IdTakenError, InvalidContentError, VersionTakenError
from ..contracts.items import REJECTED_BY_CHECK, RecordedFailure
from ..contracts.states import NextAction
from ..platform.postgres.sqlstate import is_about_content


class Remedy(NamedTuple):
    action: NextAction
    refusal: RecordedFailure | None = None
    """The refusal that it is for; with `GENERATE`, that of content that was moved to `rejected/`, if any."""


def remedy_for(staged: str | None, refusals: Sequence[RecordedFailure]) -> Remedy:
    """Choose the remedy for one item.

    A refusal only applies to the content with its fingerprint, not to content that was staged later.

    Args:
        staged: the fingerprint of the staged content; `None` if nothing is staged.
        refusals: the item's refusals, the latest first.
    """
    for refusal in refusals:
        _, failure = refusal
        remedy = remedy_of_code(failure.error_code)
        if staged is None and remedy is NextAction.REJECT_AND_GENERATE:
            # It was moved, and then the call failed: the generator still has to know the reason.
            return Remedy(NextAction.GENERATE, refusal)
        if remedy is not NextAction.SAVE and failure.content_fingerprint == staged:
            return Remedy(remedy, refusal)
    return Remedy(NextAction.GENERATE if staged is None else NextAction.SAVE)


def remedy_of_code(error_code: str) -> NextAction:
    """The remedy for staged content that was refused with this code; `SAVE` for any other code."""
    match error_code:
        case IdTakenError.code:
            return NextAction.REPLACE_ID
        case VersionTakenError.code:
            return NextAction.NEXT_VERSION
        case InvalidContentError.code:
            return NextAction.REJECT_AND_GENERATE
        case refused if refused.startswith(REJECTED_BY_CHECK) or is_about_content(refused):
            return NextAction.REJECT_AND_GENERATE
        case _:
            return NextAction.SAVE
