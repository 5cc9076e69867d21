"""The table `roadmap_tasks`: a task's row and its SQL.

The columns `attempt` and `execution_arn` belong to this system; all others are shared with the product. A
task is ours while `attempt` is above 0. An erasure makes it the product's own again, with 0: its next claim
begins another life of the task, with attempt 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ...content.roadmaps.framework import Framework
from ...content.roadmaps.metadata import load_framework
from ...content.rows import saved_concepts
from ...contracts.documents import UndecodableError, decode, storable_json
from ...contracts.errors import RoadmapLockedError, TaskNotFoundError
from ...contracts.events import AttemptEvents
from ...contracts.items import ContentType, Item
from ...contracts.states import QueueState
from .listing import ROADMAP_IS_DELETED, of_roadmap
from .outcome import COMPLETED, Outcome
from .time_zone import instant

# The columns of `Task` in the row `t`. Times of the product have no zone, and are those of the database's
# owner: instants are read. Without an attempt, `execution_arn` is the mark of `DISOWN`.
_ROW = f"""t.task_id, t.user_id, t.roadmap_id, t.status, t.current_step, t.attempt, t.error_message,
    CASE WHEN t.attempt > 0 THEN t.execution_arn END AS execution_arn,
    CASE WHEN t.attempt = 0 THEN t.execution_arn END AS disowned_by,
    {ROADMAP_IS_DELETED} AS roadmap_is_deleted,
    CAST(t.failed_concepts AS text) AS failed_concepts,
    CAST(t.execution_summary AS text) AS execution_summary,
    {instant("t.created_at")} AS created_at, {instant("t.updated_at")} AS updated_at,
    {instant("t.completed_at")} AS completed_at, now() AS read_at"""

# Reads a task, with the end of its attempt and its entry in the queue. Another user's task is not read, so
# that it cannot be distinguished from one that does not exist.
READ = text(f"""
SELECT {_ROW}, coalesce(a.claimed_at, {instant("t.updated_at")}) AS claimed_at,
    a.task_id IS NOT NULL AND a.ended_at IS NULL AS attempt_is_open, a.next_at, q.state AS queue_state,
    q.grants
FROM roadmap_tasks t
LEFT JOIN content_attempts a ON (a.task_id, a.attempt) = (t.task_id, t.attempt)
LEFT JOIN content_queue q ON (q.task_id, q.attempt) = (t.task_id, t.attempt)
WHERE t.task_id = :task_id AND t.user_id = coalesce(:user_id, t.user_id)
""")

LOCK_AT_ONCE = text("SELECT 1 FROM roadmap_tasks WHERE task_id = :task_id FOR NO KEY UPDATE SKIP LOCKED")

# Makes tasks the product's own again: until the next claim, the row has a mark, and names no execution. All
# of the user's tasks of a roadmap at once: otherwise a trigger would note a change for the others.
DISOWN = text("""
UPDATE roadmap_tasks SET attempt = 0, execution_arn = :mark
WHERE attempt > 0 AND user_id = :user_id AND (task_id = ANY(:tasks) OR roadmap_id = ANY(ARRAY(
    SELECT roadmap_id FROM roadmap_tasks WHERE task_id = ANY(:tasks))))
""")

LOCK = text("""
SELECT FROM roadmap_tasks WHERE task_id = :task_id AND user_id = coalesce(:user_id, user_id)
FOR NO KEY UPDATE
""")

# Reads the product's request for a task.
REQUEST = text("SELECT CAST(user_request AS text) FROM roadmap_tasks WHERE task_id = :task_id")

# Gives a task its next attempt. Guarantees: of several claims of the same attempt, exactly one succeeds; none
# succeeds for a task that was cancelled after it had been read (`:was_cancelled`: before), or for an
# execution of an earlier life of the task: in this one, the row began again with 0, so that the attempt of
# that execution has a higher number. Returns the task as `READ` does, before its attempt enters the queue.
CLAIM = text(f"""
UPDATE roadmap_tasks t SET
    attempt = attempt + 1, execution_arn = :execution_arn, status = 'processing',
    current_step = 'content_generation', completed_at = NULL, error_message = NULL, updated_at = content_now()
WHERE task_id = :task_id AND attempt = :attempt
    AND (status <> 'cancelled' OR CAST(:was_cancelled AS boolean))
    AND NOT EXISTS (SELECT FROM content_attempts a
        WHERE a.task_id = t.task_id AND a.attempt > t.attempt AND a.execution_arn = :execution_arn)
RETURNING {_ROW}, now() AS claimed_at, true AS attempt_is_open,
    NULL AS next_at, NULL AS queue_state, NULL AS grants,
    CAST(pg_current_xact_id() AS text) AS transaction_id
""")

# After a COMMIT without an answer.
IS_COMMITTED = text("SELECT pg_xact_status(CAST(:transaction_id AS xid8)) = 'committed'")

# Writes an attempt's outcome. Guarantees: only the row's own attempt writes; a cancelled task keeps its
# status, step and message; an outcome that is recorded again keeps its time. The step is one of the product's
# steps, because its pages support no others.
RECORD = text("""
UPDATE roadmap_tasks SET
    status = CASE status WHEN 'cancelled' THEN status ELSE :status END,
    current_step = CASE status WHEN 'cancelled' THEN current_step ELSE :current_step END,
    failed_concepts = CAST(:failed_concepts AS json),
    execution_summary = CAST(:execution_summary AS json),
    error_message = CASE status WHEN 'cancelled' THEN error_message ELSE :error_message END,
    completed_at = coalesce(completed_at, content_now()),
    updated_at = content_now()
WHERE task_id = :task_id AND attempt = :attempt
""")

# Cancels a task. `completed_at` becomes the time of the cancellation, as in the product.
CANCEL = text("""
UPDATE roadmap_tasks SET status = 'cancelled', error_message = :message,
    completed_at = content_now(), updated_at = content_now()
WHERE task_id = :task_id
""")

# Gives a cancelled task another status. Only on request: a task that was cancelled while it missed nothing is
# completed again.
LIFT_CANCELLATION = text("""
UPDATE roadmap_tasks SET status = :status, error_message = NULL, updated_at = content_now(),
    current_step = CASE :status WHEN 'completed' THEN 'completed' ELSE current_step END
WHERE task_id = :task_id AND status = 'cancelled'
""")

# Reads the reasons to start nothing more for an attempt. The attempt is looked up, too: a cancelled attempt
# that replaces saved items leaves its task completed. An attempt of an earlier life of the task has no row,
# or its number is that of another execution now.
WHY_STOPPED = text("""
SELECT t.status = 'cancelled' OR t.attempt < :attempt OR NOT EXISTS (SELECT FROM content_attempts a
        WHERE a.task_id = t.task_id AND a.attempt = :attempt AND a.execution_arn = :execution_arn
            AND a.outcome IS DISTINCT FROM 'cancelled') AS cancelled,
    r.roadmap_id IS NULL OR r.deleted_at IS NOT NULL AS roadmap_deleted,
    (SELECT stopped_reason FROM content_capacity) AS generation_stopped,
    to_regclass('execution_logs') IS NOT NULL AS has_log
FROM roadmap_tasks t LEFT JOIN roadmap_metadata r USING (roadmap_id) WHERE task_id = :task_id
""")

QUEUE_UNKNOWN = "the column celery_task_id is missing"
"""In place of a task's id in the product's queue: a later migration of the product has removed the column."""

# Reads the signs of the product's work: on the task itself, which comes first, and on the unfinished tasks of
# its roadmap. Only the product's table has the column `celery_task_id`. Without it, the name in the inner
# query means the value of `without_column`: NULL, unless a migration has seen the column.
PRODUCT_WORK = text(f"""
SELECT o.task_id, o.status, o.attempt,
    (SELECT celery_task_id FROM roadmap_tasks t WHERE t.task_id = o.task_id) AS queue_id,
    EXISTS (SELECT FROM content_attempts a
        WHERE a.task_id = o.task_id AND a.attempt = o.attempt AND a.ended_at IS NOT NULL) AS attempt_ended
FROM (SELECT (SELECT '{QUEUE_UNKNOWN}' FROM content_installation
        WHERE (kind, table_name, name) = ('column', 'roadmap_tasks', 'celery_task_id')) AS celery_task_id
    ) AS without_column, roadmap_tasks o
WHERE o.task_id IN (
    SELECT :task_id UNION ALL
    SELECT s.task_id FROM roadmap_tasks m JOIN roadmap_tasks s
        ON {of_roadmap("s", "m.roadmap_id")}
    WHERE m.task_id = :task_id AND s.status IN ('processing', 'pending'))
ORDER BY o.task_id <> :task_id, o.task_id
""")

# Finds the tasks of an execution: those with it in their row, and that in its input (`:task_id`), if it ended
# before its claim. A row that is younger than the execution was made again, and is not its task; with an
# unknown start (NULL), it is taken for it.
BY_EXECUTION = text(f"""
SELECT task_id FROM roadmap_tasks
WHERE execution_arn = :execution_arn OR (task_id = :task_id AND attempt = 0
    AND coalesce({instant("created_at")} <= CAST(:started_at AS timestamptz), true))
""")

# Reads what a task's page shows besides its row.
EXTRAS = text("""
SELECT r.title, coalesce(g.tokens, 0) AS tokens
FROM roadmap_tasks t LEFT JOIN roadmap_metadata r ON r.roadmap_id = t.roadmap_id
LEFT JOIN generation_tokens g ON g.task_id = t.task_id WHERE t.task_id = :task_id
""")


class ProductWork(NamedTuple):
    """Signs of the product's own work on a task, in the task's row and the audit trail. `ownership.py`
    decides whether it is at work.
    """

    task_id: str
    status: str
    attempt: int

    queue_id: str | None
    """The task's id in the product's queue (`celery_task_id`), or `QUEUE_UNKNOWN`; `None` in a database that
    has no queue.
    """

    attempt_ended: bool
    """Whether the outcome of the row's attempt has been recorded."""


def state_of(status: str, attempt: int, queue_state: str | None, *, is_open: bool) -> QueueState | None:
    """The state of a task's attempt, according to the tables; `None` if the task was never claimed. The end
    of a run that died is recorded later, by its event or by the sweep. `is_open`: the attempt has no recorded
    outcome. No I/O.
    """
    if not is_open:
        return QueueState.ENDED if attempt else None
    if status == "cancelled" and queue_state == QueueState.WAITING:
        return QueueState.ENDED  # nothing will start it
    return QueueState(queue_state or QueueState.RUNNING)


@dataclass(frozen=True)
class Task:
    """One row of `roadmap_tasks`."""

    task_id: str
    user_id: str
    roadmap_id: str | None
    status: str
    current_step: str | None
    attempt: int
    """The number of the latest attempt; 0 if the task is the product's own."""

    execution_arn: str | None
    error_message: str | None
    failed_concepts: str | None
    execution_summary: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    claimed_at: datetime
    """When the row's attempt was claimed, exact also if the local time of `updated_at` occurs twice; without
    an attempt, `updated_at`.
    """

    queue_state: str | None
    """The `QueueState` of the row's attempt; `None` if it was not claimed through the queue."""

    grants: int | None
    """The grants of that entry in the queue."""

    attempt_is_open: bool
    """Whether the row's attempt was claimed and has no recorded outcome."""

    next_at: datetime | None
    """When the next attempt begins, for which nobody has to ask; `None` if none is planned."""

    read_at: datetime = field(compare=False)
    disowned_by: str | None = None
    """The mark of the change that made the task the product's own again; `None` after the next claim."""

    roadmap_is_deleted: bool = False
    """Whether the roadmap was deleted, softly or with its row."""

    @property
    def state(self) -> QueueState | None:
        return state_of(self.status, self.attempt, self.queue_state, is_open=self.attempt_is_open)

    @property
    def is_live(self) -> bool:
        """Whether an attempt of ours waits or runs. The actions of a status depend on it."""
        return self.state not in (None, QueueState.ENDED)

    @property
    def is_waiting(self) -> bool:
        """Whether the task's attempt waits in the queue. It has no execution then."""
        return self.state is QueueState.WAITING

    @property
    def is_in_queue(self) -> bool:
        """Whether the row's attempt has an entry in the queue that has not ended, in any state."""
        return self.queue_state not in (None, QueueState.ENDED)

    @property
    def is_ours(self) -> bool:
        """Whether the sweep and other automatic work may change the task."""
        return self.attempt > 0

    def is_unfinished(self, execution_arn: str) -> bool:
        """Whether the task's attempt belongs to this execution and has no outcome yet."""
        return self.execution_arn == execution_arn and self.completed_at is None

    @property
    def events(self) -> AttemptEvents:
        return AttemptEvents(self.task_id, self.roadmap_id, self.attempt, self.execution_arn)

    @property
    def recorded_failures(self) -> object:
        """The value of `failed_concepts`, also if the product wrote it."""
        return _decoded(self.failed_concepts)

    @property
    def recorded_summary(self) -> Mapping[str, Any]:
        return read_summary(self.execution_summary)


def read_task(connection: Connection, task_id: str, user_id: str | None = None) -> Task:
    """Read a task; with `user_id`, only a task of that user. Raises TaskNotFoundError: there is none."""
    row = connection.execute(READ, {"task_id": task_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise TaskNotFoundError(f"there is no task {task_id!r}")
    return Task(**row._mapping)


def read_extras(connection: Connection, task_id: str) -> Any:  # noqa: ANN401 - a SQLAlchemy row
    """The `title` of a task's roadmap, and the `tokens` used by its attempts."""
    return connection.execute(EXTRAS, {"task_id": task_id}).one()


def lock_task(connection: Connection, task_id: str, user_id: str | None = None) -> None:
    """Lock a task's row against claims; with `user_id`, only a task of that user.

    The order of all locks: the roadmap; the task; a recovery; the attempt; the current failures; the queue's
    capacity, its entries, its counters; the events of tasks. An admission takes entries and counters in turn.
    A transaction that changes several entries that wait, or one and a counter, takes the capacity before.
    """
    connection.execute(LOCK, {"task_id": task_id, "user_id": user_id})


def disown_tasks(connection: Connection, user_id: str, task_ids: Sequence[str], mark: str) -> None:
    """Make a user's tasks the product's own again: no sweep, and no late step, writes anything for them."""
    connection.execute(DISOWN, {"user_id": user_id, "tasks": list(task_ids), "mark": mark})


def lock_task_at_once(connection: Connection, task_id: str) -> None:
    """Lock a task's row without waiting. Raises RoadmapLockedError: another session holds it."""
    if connection.execute(LOCK_AT_ONCE, {"task_id": task_id}).first() is None:
        raise RoadmapLockedError(f"another session holds task {task_id!r}")


def read_user_request(connection: Connection, task_id: str) -> object:
    """The task's `user_request` as the product wrote it; `None` if it is empty."""
    return _decoded(connection.scalar(REQUEST, {"task_id": task_id}))


def _decoded(column: str | None) -> Any:  # noqa: ANN401 - any JSON value
    """The decoded value of a json column; `None` if the product wrote one that cannot be decoded."""
    try:
        return None if column is None else decode(column)
    except UndecodableError:
        return None


def read_summary(execution_summary: str | None) -> Mapping[str, Any]:
    """The value of a column `execution_summary` if this system wrote it; otherwise empty. A document of the
    product may have the same fields, with any number.
    """
    summary = _decoded(execution_summary)
    match summary:
        case {"attempt": int(), "duration_seconds": int() | float() as seconds} if 0 <= seconds < 1e9:
            return dict(summary)
        case _:
            return {}


def claim_row(connection: Connection, task: Task, execution_arn: str) -> tuple[Task, str] | None:
    """Claim the next attempt of a task for an execution, if the row still has the attempt of `task`, and the
    task was not cancelled since it was read; otherwise return `None`.

    Returns the task with its new attempt, which is not in the queue yet, and the id of the transaction: if
    its COMMIT gets no answer, `is_committed` finds whether this claim was made.
    """
    seen = {"task_id": task.task_id, "attempt": task.attempt, "was_cancelled": task.status == "cancelled"}
    row = connection.execute(CLAIM, seen | {"execution_arn": execution_arn}).one_or_none()
    if row is None:
        return None
    claimed = dict(row._mapping)
    transaction_id = claimed.pop("transaction_id")
    return Task(**claimed), transaction_id


def is_committed(connection: Connection, transaction_id: str) -> bool:
    """Whether an earlier try of a transaction has changed the tables: its COMMIT may have got no answer."""
    return bool(connection.scalar(IS_COMMITTED, {"transaction_id": transaction_id}))


def cancel_row(connection: Connection, task_id: str, message: str) -> None:
    """Cancel a locked task that is neither completed nor cancelled."""
    connection.execute(CANCEL, {"task_id": task_id, "message": message})


def lift_cancellation(connection: Connection, task_id: str, status: str) -> None:
    """Give a cancelled task another status. A task with another status is not changed."""
    connection.execute(LIFT_CANCELLATION, {"task_id": task_id, "status": status})


class StopReasons(NamedTuple):
    """The reasons to start nothing more for an attempt."""

    cancelled: bool
    """The task or the attempt was cancelled, the task was deleted, or its user erased; or the attempt is one
    of an earlier life of the task.
    """

    roadmap_deleted: bool

    generation_stopped: str | None
    """An operator has stopped generation, for all tasks. Generated content may be saved."""

    has_log: bool = False
    """No reason: whether the product's log exists. It is asked here because a round trip takes longer."""


def why_stopped(connection: Connection, task_id: str, attempt: int, execution_arn: str) -> StopReasons:
    """The reasons to start nothing more for the attempt of an execution, in one statement: it is read before
    each item.
    """
    subject = {"task_id": task_id, "attempt": attempt, "execution_arn": execution_arn}
    row = connection.execute(WHY_STOPPED, subject).one_or_none()
    return StopReasons(True, False, None) if row is None else StopReasons(*row)


def read_product_work(connection: Connection, task_id: str) -> tuple[ProductWork, list[ProductWork]]:
    """Read the signs of the product's own work: on a task, and on the other tasks of its roadmap.
    Raises TaskNotFoundError: there is no such task.
    """
    rows = connection.execute(PRODUCT_WORK, {"task_id": task_id}).all()
    product_work = [ProductWork(**row._mapping) for row in rows]
    if not product_work or product_work[0].task_id != task_id:
        raise TaskNotFoundError(f"there is no task {task_id!r}")
    return product_work[0], product_work[1:]


def record_task_outcome(
    connection: Connection,
    task_id: str,
    attempt: int,
    outcome: Outcome,
    summary: Mapping[str, Any],
    message: str | None,
) -> bool:
    """Write an attempt's outcome; `False` if the row has another attempt: then nothing is written. `message`
    is the error shown to the owner; `None` if there is none.
    """
    failed = outcome.failed_concepts
    written = connection.execute(
        RECORD,
        {
            "task_id": task_id,
            "attempt": attempt,
            "status": outcome.status,
            "current_step": COMPLETED if outcome.status == COMPLETED else "content_generation",
            "failed_concepts": None if failed is None else storable_json(failed),
            "execution_summary": storable_json(summary),
            "error_message": message,
        },
    )
    return written.rowcount == 1


def tasks_of_execution(
    connection: Connection, execution_arn: str, task_id: str | None, started_at: datetime | None
) -> Sequence[str]:
    """The tasks with this execution in their row, and the unclaimed task in the execution's input."""
    execution = {"execution_arn": execution_arn, "task_id": task_id, "started_at": started_at}
    return connection.scalars(BY_EXECUTION, execution).all()


class TaskSnapshot(NamedTuple):
    """The data of a task in the tables at one point in time."""

    task: Task
    framework: Framework
    saved: Mapping[ContentType, frozenset[str]]
    """The concepts with a completed row, per content type."""

    missing: Sequence[Item]
    """The items without a completed row, in framework order."""


def read_snapshot(connection: Connection, task: Task) -> TaskSnapshot:
    """Read a task's saved and missing items.

    Raises:
        RoadmapNotFoundError: the task's roadmap does not exist, is deleted, or belongs to another user.
        InvalidFrameworkError: its framework cannot be read.
    """
    framework = load_framework(connection, task.roadmap_id, task.user_id)
    saved = saved_concepts(connection, task.roadmap_id or "")
    return TaskSnapshot(task, framework, saved, framework.missing(saved))
