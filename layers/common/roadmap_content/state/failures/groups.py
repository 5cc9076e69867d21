"""Failure groups: failures with the same code, stage and normalised reason, of any content type. No I/O."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ...contracts.items import ContentType, Failure, Stage

MAX_NORMALISED = 200
"""Maximum characters of a normalised reason."""

_QUOTED_VALUE = re.compile(r"[\d:/\s]")
_DIGIT = re.compile(r"\d")


def _without_values(quoted: re.Match[str]) -> str:
    """A quoted text; a placeholder if it names one row or position. The name of a constraint is kept."""
    return "<value>" if _QUOTED_VALUE.search(quoted[0]) else quoted[0]


def _without_ids(word: re.Match[str]) -> str:
    """A word; a placeholder if it has a digit, as ids, keys and positions have."""
    return "<id>" if _DIGIT.search(word[0]) else word[0]


# Applied in this order. A placeholder contains no digit and no quote, so that normalising is idempotent. No
# pattern looks for the same character in two repetitions: its time would grow with the square of the text.
_REPLACEMENTS: Sequence[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]] = (
    (re.compile(r"\barn:[^\s'\"]+"), "<arn>"),
    (re.compile(r"\bhttps?://[^\s'\"]+"), "<url>"),
    # The detail of a constraint violation: Key (concept_id)=(…).
    (re.compile(r"\)=\([^)]*\)?"), ")=<value>"),
    (re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`"), _without_values),
    (re.compile(r"(?<![\w.:/-])\d+(?:[.,]\d+)*(?![\w:/-])"), "<n>"),
    (re.compile(r"[\w./:@#-]+"), _without_ids),
    (re.compile(r"\s+"), " "),
)


def normalise_reason(reason: str) -> str:
    """Remove the parts of a reason that differ between items: ids, positions, numbers and quoted values."""
    for pattern, replacement in _REPLACEMENTS:
        reason = pattern.sub(replacement, reason)
    return reason.strip()[:MAX_NORMALISED].strip()


class GroupKey(NamedTuple):
    """The common fields of the failures of a group."""

    error_code: str
    stage: Stage
    reason: str
    """Normalised."""

    @property
    def group_id(self) -> str:
        """A stable id of the group, the same on every installation."""
        return hashlib.sha256(json.dumps(self).encode()).hexdigest()[:16]


def group_of(failure: Failure) -> GroupKey:
    return GroupKey(failure.error_code, failure.stage, normalise_reason(failure.for_others.reason))


class TaskFailures(NamedTuple):
    """A task's failures of one group and content type."""

    key: GroupKey
    content_type: ContentType
    items: int
    transient: bool
    """Whether all of them are transient."""

    example: Failure
    """The first failure in framework order."""

    @property
    def summary(self) -> dict[str, object]:
        """The group and its number of items, for an event."""
        own = {"content_type": self.content_type, "items": self.items}
        return {"group_id": self.key.group_id, **self.key._asdict(), **own}


FailureRow = Mapping[str, Any]
"""A task's failures of one group and content type, with the columns of `content_task_failures`."""

Ended = tuple[str, int]
"""A task and its attempt that has ended."""

FailuresChanged = Callable[[Connection, Sequence[FailureRow], Sequence[FailureRow], Ended | None], None]
"""Takes a task's rows before and after a change, and the attempt that has ended with the change: `None` if
the product has changed the content, or the task is removed.
"""


class Remains(NamedTuple):
    """The groups of the items that are missing when an attempt has ended."""

    task_id: str
    attempt: int
    groups: Sequence[TaskFailures]
    groups_before: frozenset[str]
    """The ids of the groups that the task had before."""


def group_failures(failures: Iterable[Failure]) -> list[TaskFailures]:
    """A task's failures, in framework order, by group and content type; the most items first."""
    members: dict[tuple[GroupKey, ContentType], list[Failure]] = {}
    for failure in failures:
        members.setdefault((group_of(failure), failure.item.content_type), []).append(failure)
    grouped = [
        TaskFailures(key, content_type, len(alike), all(failure.transient for failure in alike), alike[0])
        for (key, content_type), alike in members.items()
    ]
    return sorted(grouped, key=lambda group: (-group.items, group.key.group_id, group.content_type))
