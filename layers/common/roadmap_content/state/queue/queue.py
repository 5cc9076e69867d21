"""The queue of attempts, `content_queue`, and the counters of its users, `content_queue_keys`.

An attempt enters the queue in the transaction that claims it, with its class, the key of the user or tenant
that shares the capacity with others, the estimate of its tokens, and its grants: the batches that it may
generate at once. Admission charges its tokens to the key's counter, the virtual time, and lets it start:
while the sum of the grants of the attempts at work is below the limit, `order.py` chooses the key whose
oldest attempt is next. The sum is computed from the rows each time, so that an attempt that is released
twice, or by a later sweep, does no harm.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...contracts.events import AttemptEvents, Event
from ...contracts.states import QueueState
from ..failures.failures import forget_failures_from
from ..tasks.attempts import OPENED, NewAttempt, end_attempts_of_deleted_tasks
from .capacity import AT_WORK, Work, lock_capacity
from .order import Candidate, Load, next_candidate

# The state of an entry `q` after its admission: its execution is to be redriven, or started.
_ADMITTED = """CASE (SELECT cause FROM content_attempts c
        WHERE (c.task_id, c.attempt) = (q.task_id, q.attempt))
        WHEN 'checkpoint' THEN 'redriving' ELSE 'starting' END"""

RECENT_MINUTES = 15
"""A user that has entered the queue within these minutes uses it: others may hold half of the slots."""

# Inserts an attempt's row, and ends or forgets the task's other attempts and their entries in the queue;
# returns whether it has forgotten any. The row of the capacity is locked after those of the attempts and
# before any of the queue, and stays locked until the end of the transaction: the next statements decide about
# admission with a snapshot that no other admission changes.
OPEN = text(f"""
WITH {OPENED},
capacity AS MATERIALIZED (
    SELECT FROM content_capacity, (SELECT count(*) FROM opened) AS after_opening
    FOR UPDATE OF content_capacity
),
superseded_entries AS (
    UPDATE content_queue SET state = 'ended', ended_at = clock_timestamp()
    FROM (SELECT count(*) FROM capacity) AS after_locking
    WHERE task_id = :task_id AND attempt < :attempt AND state <> 'ended'
)
SELECT EXISTS (SELECT FROM forgotten_attempts) FROM capacity
""")

# The counter of a known key to which an attempt comes: as it is while another one waits or is at work;
# otherwise, it gets no credit for the time without work.
_COUNTER = f"""CASE WHEN known.waiting OR EXISTS (SELECT FROM content_queue q
        WHERE q.class = known.class AND q.queue_key = known.queue_key AND q.state IN ({AT_WORK}))
    THEN known.virtual_time ELSE greatest(known.virtual_time, excluded.virtual_time) END"""

# Inserts an attempt's entry, and its key's counter. The key is that of the tenant; or that of the task's
# latest attempt, so that attempts that the system starts keep it; or the user.
#
# A new key starts above the largest counter of the class: by one, so that users who arrive between two
# admissions are served in the order of their arrival, not of their ids. Starting at the smallest waiting one
# would starve users with a large counter while new users keep arriving. The largest one is looked up twice,
# because the index begins with `waiting`.
ENQUEUE = text(f"""
WITH owner AS MATERIALIZED (
    SELECT coalesce(CAST(:tenant_key AS text),
        (SELECT q.queue_key FROM content_queue q WHERE q.task_id = :task_id ORDER BY q.attempt DESC LIMIT 1),
        'user:' || (SELECT t.user_id FROM roadmap_tasks t WHERE t.task_id = :task_id)) AS queue_key
),
counter AS (
    INSERT INTO content_queue_keys AS known (class, queue_key, virtual_time, waiting)
    SELECT :class, o.queue_key, 1 + greatest(
            coalesce((SELECT max(virtual_time) FROM content_queue_keys WHERE class = :class AND waiting), 0),
            coalesce((SELECT max(virtual_time) FROM content_queue_keys
                WHERE class = :class AND NOT waiting), 0)),
        :state = 'waiting'
    FROM owner o
    ON CONFLICT (class, queue_key) DO UPDATE SET
        waiting = known.waiting OR excluded.waiting,
        virtual_time = {_COUNTER}
)
INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants, admitted_at)
SELECT :task_id, :attempt, :class, o.queue_key, :state, :tokens, :grants,
    CASE WHEN :state <> 'waiting' THEN clock_timestamp() END
FROM owner o
""")

WAS_ADMITTED = text("""
SELECT EXISTS (SELECT FROM content_queue
    WHERE task_id = :task_id AND attempt = :attempt AND admitted_at IS NOT NULL)
""")

# Reads the facts of a decision (`Load` in `order.py`). Requires the lock of the capacity. No row while
# generation is stopped. The cost does not depend on the number of keys that wait: of each class, an index
# has those with an attempt at work, and another one the first two of the others: the second shows that
# somebody else waits. `recent_keys` are those that have entered the queue recently, and do not wait: those
# that wait are candidates. An entry that is recent and has ended has also ended recently: the condition of
# `ended_at` excludes nothing more, but lets an index find these entries.
READ_LOAD = text(f"""
WITH keys_at_work AS MATERIALIZED (
    SELECT class, queue_key, sum(grants) AS grants FROM content_queue WHERE state IN ({AT_WORK})
    GROUP BY class, queue_key
),
recent_keys AS MATERIALIZED (
    SELECT min(queue_key) AS first_key, max(queue_key) AS last_key
    FROM content_queue q, (SELECT now() - interval '{RECENT_MINUTES} minutes' AS at) AS since
    WHERE q.enqueued_at > since.at
        AND (q.state IN ({AT_WORK}) OR q.state = 'ended' AND q.ended_at > since.at)
),
candidates AS (
    SELECT k.class, k.queue_key, k.virtual_time, w.grants FROM keys_at_work w
    JOIN content_queue_keys k ON (k.class, k.queue_key) = (w.class, w.queue_key)
    WHERE k.waiting
    UNION ALL
    SELECT first.* FROM (VALUES ('interactive'), ('bulk')) AS classes (class) CROSS JOIN LATERAL (
        SELECT k.class, k.queue_key, k.virtual_time, CAST(NULL AS bigint) FROM content_queue_keys k
        WHERE k.class = classes.class AND k.waiting AND NOT EXISTS (
            SELECT FROM keys_at_work w WHERE (w.class, w.queue_key) = (k.class, k.queue_key))
        ORDER BY k.virtual_time, k.queue_key LIMIT 2) AS first
)
SELECT c.slots, (SELECT CAST(coalesce(sum(grants), 0) AS integer) FROM keys_at_work) AS grants,
    EXISTS (SELECT FROM keys_at_work WHERE class = 'bulk') AS has_bulk,
    r.first_key AS first_recent, r.last_key AS last_recent,
    (SELECT coalesce(json_agg(json_build_array(n.class, n.queue_key, n.virtual_time, n.grants)), '[]')
        FROM candidates n) AS candidates
FROM content_capacity c, recent_keys r WHERE c.stopped_reason IS NULL
""")

# Admits the oldest waiting attempt of a key, and charges it; none if those that waited were cancelled.
# Requires the lock of the capacity. `still_waits`: whether the key has another one; the counter's `waiting`
# becomes the same, and the next decision reads it.
ADMIT = text(f"""
WITH oldest AS MATERIALIZED (
    SELECT task_id, attempt FROM content_queue
    WHERE class = :class AND queue_key = :queue_key AND state = 'waiting'
    ORDER BY enqueued_at, task_id LIMIT 1 FOR UPDATE
),
rest AS MATERIALIZED (
    SELECT count(*) > 1 AS still_waits FROM (
        SELECT FROM content_queue
        WHERE class = :class AND queue_key = :queue_key AND state = 'waiting' LIMIT 2) AS two
),
admitted AS (
    UPDATE content_queue q SET state = {_ADMITTED}, admitted_at = clock_timestamp()
    FROM oldest o WHERE (q.task_id, q.attempt) = (o.task_id, o.attempt)
    RETURNING q.task_id, q.attempt, q.state, q.tokens
),
charged_key AS (
    UPDATE content_queue_keys SET waiting = (SELECT still_waits FROM rest),
        virtual_time = virtual_time + coalesce((SELECT tokens FROM admitted), 0)
    WHERE class = :class AND queue_key = :queue_key
)
SELECT a.task_id, a.attempt, a.state, c.execution_arn, c.actor, c.cause, t.roadmap_id, rest.still_waits
FROM rest LEFT JOIN admitted a ON true
LEFT JOIN content_attempts c ON (c.task_id, c.attempt) = (a.task_id, a.attempt)
LEFT JOIN roadmap_tasks t ON t.task_id = a.task_id
""")

# Admits a waiting attempt that generates nothing: it takes no slot and is not charged.
ADMIT_FREE = text(f"""
UPDATE content_queue q SET
    state = {_ADMITTED}, admitted_at = clock_timestamp(), grants = 0, tokens = 0
FROM content_attempts c LEFT JOIN roadmap_tasks t ON t.task_id = c.task_id
WHERE q.task_id = :task_id AND q.attempt = :attempt AND q.state = 'waiting'
    AND c.task_id = q.task_id AND c.attempt = q.attempt
RETURNING q.task_id, q.attempt, q.state, c.execution_arn, c.actor, c.cause, t.roadmap_id
""")

# Reads the admitted attempts that are not known to have started: the process may have ended before
# StartExecution. A second start needs no roadmap, because its event is recorded already.
UNCONFIRMED = text("""
SELECT q.task_id, q.attempt, q.state, a.execution_arn, a.actor, a.cause, NULL AS roadmap_id
FROM content_queue q JOIN content_attempts a USING (task_id, attempt)
WHERE q.state IN ('starting', 'redriving')
    AND q.admitted_at < now() - make_interval(secs => :seconds)
ORDER BY q.admitted_at LIMIT :limit
""")

# Reads the tasks at work by the time of their last sign, which is an event or the admission: an event is
# recorded for each item that is saved or fails. A run that has died makes no further sign: at last it comes
# first, however many others there are.
SILENT = text(f"""
SELECT task_id FROM (
    SELECT q.task_id, greatest(q.admitted_at, (SELECT e.recorded_at FROM content_events e
        WHERE e.task_id = q.task_id ORDER BY e.position DESC LIMIT 1)) AS sign_at
    FROM content_queue q JOIN roadmap_tasks t USING (task_id, attempt) WHERE q.state IN ({AT_WORK})) AS s
WHERE sign_at < now() - make_interval(secs => :seconds)
ORDER BY sign_at, task_id LIMIT :limit
""")

# Records that an attempt runs. After the plan, its tokens and grants are those of the items to generate,
# without the staged ones, and its key's counter is corrected by the difference. An attempt that waits for its
# redrive runs already if its execution was redriven in AWS's console: it is charged now, with the lock of the
# capacity. A plan of an earlier life of the task had another execution: it changes nothing.
RECORD_RUNNING = text("""
WITH capacity AS MATERIALIZED (
    SELECT FROM content_capacity WHERE EXISTS (SELECT FROM content_queue
        WHERE (task_id, attempt) = (:task_id, :attempt) AND state = 'waiting') FOR UPDATE
),
entry_before AS MATERIALIZED (
    SELECT task_id, attempt, grants, CASE state WHEN 'waiting' THEN 0 ELSE tokens END AS charged
    FROM content_queue q, (SELECT count(*) FROM capacity) AS after_locking
    WHERE (task_id, attempt) = (:task_id, :attempt) AND state <> 'ended' AND EXISTS (
        SELECT FROM content_attempts a WHERE (a.task_id, a.attempt) = (q.task_id, q.attempt)
            AND a.execution_arn = :execution_arn)
    FOR UPDATE OF q
),
running AS (
    UPDATE content_queue q SET state = 'running', tokens = :tokens, grants = :grants,
        admitted_at = coalesce(q.admitted_at, clock_timestamp())
    FROM entry_before b WHERE (q.task_id, q.attempt) = (b.task_id, b.attempt)
    RETURNING q.class, q.queue_key, b.charged - q.tokens AS less, b.grants > q.grants AS freed, q.admitted_at
),
corrected_key AS (
    UPDATE content_queue_keys k SET virtual_time = k.virtual_time - r.less
    FROM running r WHERE (k.class, k.queue_key) = (r.class, r.queue_key) AND r.less <> 0
)
SELECT admitted_at, freed FROM running
""")

# Records that the execution of an admitted attempt was redriven.
REDRIVEN = text("""
UPDATE content_queue SET state = 'running'
WHERE task_id = :task_id AND attempt = :attempt AND state = 'redriving'
""")

# Ends an attempt's entry, and corrects its key's counter by the tokens that it has used, if it was admitted
# and its generator reported any. Idempotent: an attempt that has ended is not charged again. `before` is the
# entry as it was: RETURNING has the new state.
RELEASE = text("""
WITH ended_entry AS (
    UPDATE content_queue q SET state = 'ended', ended_at = clock_timestamp()
    FROM content_queue before
    WHERE (q.task_id, q.attempt) = (:task_id, :attempt) AND q.state <> 'ended'
        AND (before.task_id, before.attempt) = (q.task_id, q.attempt)
    RETURNING q.class, q.queue_key, before.state = 'waiting' AS waited, q.tokens AS estimated
)
UPDATE content_queue_keys k SET virtual_time = k.virtual_time + (a.tokens - r.estimated)
FROM ended_entry r, content_attempts a
WHERE (k.class, k.queue_key) = (r.class, r.queue_key) AND NOT r.waited
    AND (a.task_id, a.attempt) = (:task_id, :attempt) AND a.tokens > 0
""")

# Ends the entry of an attempt, only if it waits.
LEAVE = text("""
UPDATE content_queue SET state = 'ended', ended_at = clock_timestamp()
WHERE task_id = :task_id AND attempt = :attempt AND state = 'waiting'
""")

# Ends the entries whose task the product has deleted, or which are not of the task's present attempt.
END_ORPHANS = text("""
UPDATE content_queue q SET state = 'ended', ended_at = clock_timestamp()
WHERE q.state <> 'ended' AND NOT EXISTS (
    SELECT FROM roadmap_tasks t WHERE t.task_id = q.task_id AND t.attempt = q.attempt)
""")

# The waiting entries `q` of an actor's attempts: those of a recovery, which it pauses and resumes.
_OF_ACTOR = """
WHERE a.actor = :actor AND (a.task_id, a.attempt) = (q.task_id, q.attempt) AND q.state = 'waiting'
"""

# Gives them a class that is not admitted.
HOLD = text(f"UPDATE content_queue q SET class = 'bulk_paused' FROM content_attempts a {_OF_ACTOR}")

# Gives them their class again, and lets their keys wait: one that was idle meanwhile gets no credit for that
# time (`_COUNTER`).
RETURN = text(f"""
WITH returned AS (
    UPDATE content_queue q SET class = 'bulk' FROM content_attempts a {_OF_ACTOR} RETURNING q.queue_key
)
INSERT INTO content_queue_keys AS known (class, queue_key, virtual_time, waiting)
SELECT DISTINCT 'bulk', r.queue_key,
    (SELECT 1 + coalesce(max(virtual_time), 0) FROM content_queue_keys WHERE class = 'bulk'), true
FROM returned r
ON CONFLICT (class, queue_key) DO UPDATE SET waiting = true,
    virtual_time = {_COUNTER}
""")

_TENANT_CHARACTERS = 200

MOST_ADMITTED = 20
"""Maximum attempts that one transaction admits. The next one continues."""


class Admitted(NamedTuple):
    """An attempt that was admitted, and is to be started, or redriven, after the COMMIT."""

    task_id: str
    attempt: int
    state: str
    """`QueueState.STARTING` or `REDRIVING`."""

    execution_arn: str
    actor: str
    cause: str
    roadmap_id: str | None

    @property
    def event(self) -> Event:
        """The event, which is recorded in the transaction of the admission."""
        events = AttemptEvents(self.task_id, self.roadmap_id, self.attempt, self.execution_arn)
        return events.started(self.actor, self.cause)


class Running(NamedTuple):
    """An attempt whose run has planned its work."""

    admitted_at: datetime
    freed: bool
    """Whether the attempt needs fewer slots than it was granted."""


def enqueue(
    connection: Connection, new: NewAttempt, state: QueueState, work: Work, most: int = MOST_ADMITTED
) -> list[Admitted]:
    """Record a claimed attempt in the audit trail and put it into the queue, in the transaction that claims
    it: as `WAITING`, or as `RUNNING` if its execution exists. If it waits, admit waiting attempts, `most` at
    most, perhaps itself; return these. Locks the capacity.
    """
    if connection.scalar(OPEN, new.parameters):
        forget_failures_from(connection, new.task_id, new.attempt)
    entry = {"task_id": new.task_id, "attempt": new.attempt, "state": state, **work._asdict()}
    owner = {"class": new.start.cause.queue_class, "tenant_key": tenant_key(new.start.tenant)}
    connection.execute(ENQUEUE, entry | owner)
    return admit(connection, most) if state is QueueState.WAITING else []


def tenant_key(tenant: str | None) -> str | None:
    """The key of a tenant. The digest replaces the end of a name that may be longer than an index entry."""
    if tenant is None:
        return None
    beginning, rest = tenant[:_TENANT_CHARACTERS], tenant[_TENANT_CHARACTERS:]
    return f"tenant:{beginning}{sha256(rest.encode()).hexdigest() if rest else ''}"


def was_admitted(connection: Connection, task_id: str, attempt: int) -> bool:
    """Whether an attempt was ever admitted. Exact after the entry of the next attempt, which ends it."""
    return bool(connection.scalar(WAS_ADMITTED, {"task_id": task_id, "attempt": attempt}))


def admit(connection: Connection, most: int) -> list[Admitted]:
    """Admit waiting attempts while there is capacity, `most` at most. Requires the lock of the capacity."""
    admitted: list[Admitted] = []
    while len(admitted) < most:
        load = _read_load(connection)
        chosen = next_candidate(load) if load is not None else None
        if load is None or chosen is None:
            break
        parameters = {"class": chosen.queue_class, "queue_key": chosen.queue_key}
        *attempt, still_waits = connection.execute(ADMIT, parameters).one()
        if attempt[0] is not None:  # otherwise the attempts of the key left the queue meanwhile
            admitted.append(Admitted(*attempt))
        if not still_waits and len(load.candidates) == 1:
            break  # it was the last one that waited: saves the next reading
    return admitted


def _read_load(connection: Connection) -> Load | None:
    """Read the facts of the next decision; `None` while generation is stopped."""
    row = connection.execute(READ_LOAD).one_or_none()
    if row is None:
        return None
    return Load(**{**row._mapping, "candidates": [Candidate(*one) for one in row.candidates]})


def admit_free(connection: Connection, task_id: str, attempt: int) -> list[Admitted]:
    """Admit a waiting attempt that generates nothing, without a slot; empty if it does not wait."""
    rows = connection.execute(ADMIT_FREE, {"task_id": task_id, "attempt": attempt})
    return [Admitted(*row) for row in rows]


def unconfirmed(connection: Connection, older_than: timedelta, limit: int) -> Sequence[Admitted]:
    """The first attempts that were admitted a while ago and are not known to have started, oldest first."""
    rows = connection.execute(UNCONFIRMED, {"seconds": older_than.total_seconds(), "limit": limit})
    return [Admitted(*row) for row in rows]


def silent(connection: Connection, older_than: timedelta, limit: int) -> Sequence[str]:
    """Tasks with attempts at work that have made no sign for a while, the longest silence first."""
    return connection.scalars(SILENT, {"seconds": older_than.total_seconds(), "limit": limit}).all()


def record_running(
    connection: Connection, task_id: str, attempt: int, execution_arn: str, work: Work
) -> Running | None:
    """Record that an attempt runs, and its planned work; `None` if it has ended meanwhile, or is another
    execution's: then the plan is of an earlier life of the task.
    """
    parameters = {"task_id": task_id, "attempt": attempt, "execution_arn": execution_arn, **work._asdict()}
    row = connection.execute(RECORD_RUNNING, parameters).one_or_none()
    return None if row is None else Running(*row)


def confirm_redrive(connection: Connection, task_id: str, attempt: int) -> None:
    connection.execute(REDRIVEN, {"task_id": task_id, "attempt": attempt})


def release(connection: Connection, task_id: str, attempt: int) -> None:
    """End an attempt in the queue, and correct its user's counter by the tokens that it used. Idempotent.
    Call it after the attempt's row has been completed. A generator that reports no tokens keeps the estimate.
    """
    connection.execute(RELEASE, {"task_id": task_id, "attempt": attempt})


def leave_queue(connection: Connection, task_id: str, attempt: int) -> bool:
    """Remove an attempt from the queue; `False` if it does not wait."""
    return connection.execute(LEAVE, {"task_id": task_id, "attempt": attempt}).rowcount == 1


def tidy_queue(connection: Connection) -> None:
    """End the attempts and the entries of tasks that do not exist any more, in the order of locks."""
    end_attempts_of_deleted_tasks(connection)
    lock_capacity(connection)
    connection.execute(END_ORPHANS)


def hold_attempts(connection: Connection, actor: str) -> None:
    """Take the waiting attempts that an actor has claimed out of the order."""
    lock_capacity(connection)
    connection.execute(HOLD, {"actor": actor})


def return_attempts(connection: Connection, actor: str) -> None:
    """Put the waiting attempts that an actor has claimed into the order again."""
    lock_capacity(connection)
    connection.execute(RETURN, {"actor": actor})
