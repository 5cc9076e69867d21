"""`GET /api/v1/tasks/{task_id}/source`: the inputs of a task's contents."""

from sqlalchemy import Connection

from ..content.roadmaps.metadata import read_source
from ..contracts.api.tasks import TaskSource
from ..contracts.documents import unstorable
from ..contracts.errors import ChangedSinceError
from ..platform.runtime.log import logger
from ..state.tasks.task import read_task, read_user_request
from .callers import Caller
from .pages import Integer, Text, decode_cursor, encode_cursor

PIECE = 400_000
"""Characters of a framework in an answer. A Lambda response is limited to 6 MB, and a character of another
script than Latin has seven bytes in it.
"""


def read_task_source(
    connection: Connection, caller: Caller, task_id: str, user_id: str | None, cursor: str | None
) -> TaskSource:
    """Read a task's request, its roadmap, and a piece of its framework; log the reader.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError: there is none.
        InvalidCursorError: the cursor belongs to another task.
        ChangedSinceError: the framework has been changed since the previous piece.
    """
    list_name = f"source {task_id}"
    start, known = decode_cursor(list_name, cursor, tuple[Integer, Text]) or (0, "")
    task = read_task(connection, task_id, user_id)
    # The cursor is a client's: an index of `substr` is an `integer`, and no framework has as many characters.
    row = read_source(connection, task.roadmap_id, min(start, 2**30), PIECE)
    if known not in ("", row.fingerprint):
        raise ChangedSinceError("the framework has been changed since the previous piece: begin again")
    request = read_user_request(connection, task_id)
    end = start + PIECE
    logger.info("task_source_read", task_id=task_id, actor=caller.actor)
    return TaskSource(
        task_id=task_id,
        user_id=task.user_id,
        roadmap_id=task.roadmap_id or "",
        user_request=request if isinstance(request, dict) and not unstorable(request) else None,
        owner_id=row.user_id,
        title=row.title,
        total_estimated_hours=row.total_estimated_hours,
        recommended_completion_weeks=row.recommended_completion_weeks,
        framework_data=row.piece,
        next_cursor=encode_cursor(list_name, [end, row.fingerprint]) if end < row.size else None,
    )
