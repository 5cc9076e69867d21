"""Filters of tasks, for lists and for bulk jobs."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field

from ..items import ContentType
from ..payloads import Payload
from ..times import in_utc

Short = Annotated[str, Field(min_length=1, max_length=200)]

LONGEST_PREFIX = 100
"""The characters of a text by which an index finds it."""

Moment = Annotated[datetime | None, Field(description="ISO 8601; without a zone, UTC.")]

OF_FAILURE = "group_id", "error_code", "content_type"
"""The conditions on a task's current failures."""


class Filter(Payload):
    """A filter selects by all of its conditions."""

    model_config = ConfigDict(extra="forbid")

    @classmethod
    def in_utc(cls, conditions: Mapping[str, Any]) -> Self:
        """A filter with validated conditions: times in UTC, repeated values once.

        Raises:
            InvalidRequestError: the year of a time in UTC is below 1 or above 9999.
        """
        given = {name: value for name, value in conditions.items() if value is not None}
        for name, value in given.items():
            if isinstance(value, datetime):
                given[name] = in_utc(value)
            elif isinstance(value, list):
                given[name] = list(dict.fromkeys(value))
        return cls().model_copy(update=given)

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are set."""
        return {name: value for name, value in self if value not in (None, [], False)}


class TaskFilter(Filter):
    """A filter for tasks."""

    status: Annotated[
        list[Short],
        Field(
            max_length=20,
            description="One or more statuses; by default, those of tasks with missing items, and for "
            "`regenerate` those of all finished tasks.",
        ),
    ] = Field(default_factory=list)
    error_code: Annotated[Short | None, Field(description="Tasks with a current failure of this code.")] = (
        None
    )
    content_type: Annotated[
        ContentType | None, Field(description="Tasks with a current failure of this content type.")
    ] = None
    user_id: Annotated[Short | None, Field(description="Tasks of this user.")] = None
    updated_after: Moment = None
    updated_before: Moment = None
    q: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST_PREFIX,
            description="The start of a task's id, of a roadmap's id, or (in any case) of a roadmap's title.",
        ),
    ] = None
    group_id: Annotated[
        Short | None,
        Field(description="Tasks with a failure of this group: a `group_id` of `GET /api/v1/failures`."),
    ] = None
    task_ids: Annotated[list[Short], Field(max_length=10_000, description="Only these tasks.")] = Field(
        default_factory=list
    )

    @property
    def fingerprint(self) -> str:
        """A hash that identifies the filter."""
        document = json.dumps(self.conditions, default=str, sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:12]

    @property
    def by_failure(self) -> dict[str, str]:
        """The conditions on a task's current failures."""
        return {name: value for name in OF_FAILURE if (value := getattr(self, name)) is not None}
