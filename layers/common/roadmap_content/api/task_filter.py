"""The filter of tasks in a request: in the query of a list, or in the body of a recovery."""

from collections.abc import Iterable
from datetime import datetime

from ..contracts.items import ContentType
from ..platform.postgres.times import naive_utc
from ..state.tasks.listing import TaskFilter


def task_filter_of(
    *,
    status: Iterable[str] | None,
    error_code: str | None,
    content_type: ContentType | None,
    user_id: str | None,
    updated_after: datetime | None,
    updated_before: datetime | None,
    q: str | None,
    group_id: str | None,
    task_ids: Iterable[str] = (),
) -> TaskFilter:
    """The filter with these conditions. Times without a zone are UTC; repeated values count once."""
    return TaskFilter(
        status=tuple(dict.fromkeys(status or ())),
        error_code=error_code,
        content_type=content_type,
        user_id=user_id,
        updated_after=updated_after and naive_utc(updated_after),
        updated_before=updated_before and naive_utc(updated_before),
        q=q,
        group_id=group_id,
        task_ids=tuple(dict.fromkeys(task_ids)),
    )
