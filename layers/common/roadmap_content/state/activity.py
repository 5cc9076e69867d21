"""The work of each of the last 24 hours, from the rows of the queue, of the attempts and of the tokens."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

# Reads a row for each of the last 24 hours: the most attempts that waited and worked at one time, the items
# of the attempts that ended, and the tokens. An attempt that waited for less than a second did not wait.
# Entries that ended earlier are not read, because their number grows with the retention: each part of the
# first UNION ALL has an index. `levels` has the attempts that wait and work after each change; an hour begins
# with a change by 0, so that it has a level.
ACTIVITY = text("""
WITH hours AS MATERIALIZED (
    SELECT generate_series(now - interval '23 hours', now, interval '1 hour') AS hour
    FROM date_trunc('hour', now(), 'UTC') AS now
),
recent_entries AS MATERIALIZED (
    SELECT q.*, coalesce(admitted_at, ended_at, now()) > enqueued_at + interval '1 second' AS waited
    FROM (SELECT * FROM content_queue WHERE state <> 'ended'
        UNION ALL SELECT * FROM content_queue
        WHERE state = 'ended' AND ended_at >= (SELECT min(hour) FROM hours)) AS q
),
levels AS (
    SELECT at, sum(waiting) OVER so_far AS waiting, sum(at_work) OVER so_far AS at_work
    FROM (
        SELECT hour AS at, 0 AS waiting, 0 AS at_work FROM hours
        UNION ALL SELECT enqueued_at, 1, 0 FROM recent_entries WHERE waited
        UNION ALL SELECT coalesce(admitted_at, ended_at), -1, 0 FROM recent_entries WHERE waited
        UNION ALL SELECT admitted_at, 0, 1 FROM recent_entries
        UNION ALL SELECT ended_at, 0, -1 FROM recent_entries WHERE admitted_at IS NOT NULL
    ) AS changes WHERE at IS NOT NULL
    WINDOW so_far AS (ORDER BY at)
),
peaks AS (
    SELECT date_trunc('hour', at, 'UTC') AS hour, max(waiting) AS waiting, max(at_work) AS at_work
    FROM levels GROUP BY 1
),
items_of_hours AS (
    SELECT date_trunc('hour', e.ended_at, 'UTC') AS hour,
        sum((SELECT sum(CAST(value AS bigint)) FROM json_each_text(a.saved))) AS saved,
        sum((SELECT sum(CAST(value AS bigint)) FROM json_each_text(a.failed))) AS failed
    FROM recent_entries e JOIN content_attempts a USING (task_id, attempt) GROUP BY 1
),
tokens_of_hours AS (
    SELECT hour, sum(spent) AS spent FROM content_token_hours
    WHERE hour >= (SELECT min(hour) FROM hours) GROUP BY hour
)
SELECT hour, waiting, at_work, coalesce(saved, 0) AS saved, coalesce(failed, 0) AS failed,
    coalesce(spent, 0) AS spent
FROM hours JOIN peaks USING (hour)
LEFT JOIN items_of_hours USING (hour) LEFT JOIN tokens_of_hours USING (hour) ORDER BY hour
""")


def read_activity(connection: Connection) -> Sequence[Any]:
    """One row for each of the last 24 hours, the oldest first."""
    return connection.execute(ACTIVITY).all()
