"""Decide the effect of an undo of a regeneration on an item. No I/O."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Undone(StrEnum):
    """The effect of an undo of a regeneration on an item."""

    RESTORE = "restore"
    RESTORED = "restored"
    NOT_REPLACED = "not_replaced"
    CHANGED_SINCE = "changed_since"


def undo_of(
    before: str, current: str | None, origin: Mapping[str, Any] | None, task_id: str, attempt: int
) -> Undone:
    """The undo of an item that had the revision `before` and was to be replaced by an attempt.

    `current` is its revision now, of this origin. Only content that the attempt wrote is replaced, also after
    the undo of a later regeneration has restored it: a restored content has the attempt of its source.
    """
    if current == before:
        return Undone.NOT_REPLACED
    if current is None or origin is None:
        return Undone.CHANGED_SINCE
    if origin["restored_from"] == before:
        return Undone.RESTORED
    written = (origin["task_id"], origin["attempt"]) == (task_id, attempt)
    return Undone.RESTORE if written else Undone.CHANGED_SINCE
