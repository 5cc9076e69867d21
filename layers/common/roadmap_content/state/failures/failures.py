"""The table `content_failures`: the reasons why items failed, per attempt. A failure with a fingerprint is a
refusal: the content with this fingerprint caused it. Its key may contain the digest of a concept's id.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import starmap
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.documents import storable_json
from ...contracts.items import ContentType, Failure, Item, RecordedFailure, Stage

KEPT_ATTEMPTS = 20
"""The number of attempts for which failures are kept. Content that is still refused is recorded again."""

_CHUNK = 10_000

# An id may be too long for an index row: the key then contains its digest, and `long_concept_id` the id.
# `_KEY` is the key for the id of a row `{0}`, `_ID` the id of a failure.
_IS_LONG = "octet_length({0}.concept_id) > 2000"
_KEY = (
    f"CASE WHEN {_IS_LONG} THEN 'sha256:' || encode(sha256(convert_to({{0}}.concept_id, 'UTF8')), 'hex')"
    " ELSE {0}.concept_id END"
)
_ID = "coalesce(long_concept_id, concept_id)"

# Inserts failures. Guarantees: one row per item and attempt. A later failure replaces an earlier one, unless
# it is a consequence (`:keep`), which is only inserted.
RECORD = text(f"""
INSERT INTO content_failures AS known
    (task_id, attempt, concept_id, content_type, stage, error_code, reason, transient,
    content_fingerprint, occurred_at, long_concept_id)
SELECT :task_id, :attempt, {_KEY.format("f")}, f.content_type, f.stage, f.error_code, f.reason, f.transient,
    f.content_fingerprint, now(), CASE WHEN {_IS_LONG.format("f")} THEN f.concept_id END
FROM json_to_recordset(CAST(:failures AS json)) AS f(
    concept_id text, content_type text, stage text, error_code text, reason text, transient boolean,
    content_fingerprint text)
ON CONFLICT (task_id, attempt, concept_id, content_type) DO UPDATE SET
    stage = excluded.stage, error_code = excluded.error_code, reason = excluded.reason,
    transient = excluded.transient, content_fingerprint = excluded.content_fingerprint,
    occurred_at = excluded.occurred_at
WHERE NOT :keep
""")

# Removes failures of items that were saved later, by a repeated or late invocation.
WITHDRAW = text(f"""
DELETE FROM content_failures f
USING json_to_recordset(CAST(:items AS json)) AS i(concept_id text, content_type text)
WHERE f.task_id = :task_id AND f.attempt = :attempt
    AND f.content_type = i.content_type AND f.concept_id = {_KEY.format("i")}
""")

EXPIRE = text("DELETE FROM content_failures WHERE task_id = :task_id AND attempt <= :attempt")

# At a claim, a failure of this attempt or a later one is of an earlier life of the task, or from before its
# row was restored.
FORGET = text("DELETE FROM content_failures WHERE task_id = :task_id AND attempt >= :attempt")

# The columns that `_recorded` reads. Rows are returned as one JSON value: pg8000 would take longer for single
# rows than the query itself.
_RECORDED = (
    f"json_build_array(attempt, {_ID}, content_type, stage, error_code, reason, transient,"
    " content_fingerprint)"
)

# Reads the failures of an attempt.
OF_ATTEMPT = text(f"""
SELECT coalesce(json_agg({_RECORDED}), '[]') FROM content_failures
WHERE task_id = :task_id AND attempt = :attempt
""")

# Reads the failures of an item in the attempts that are kept, the latest first.
OF_ITEM = text(f"""
SELECT attempt, stage, error_code, reason, transient, occurred_at
FROM content_failures, (SELECT CAST(:concept_id AS text) AS concept_id) AS i
WHERE task_id = :task_id AND content_failures.concept_id = {_KEY.format("i")} AND content_type = :content_type
ORDER BY attempt DESC
""")

# Reads the time of the last failure of each concept in an attempt.
TIMES = text(f"""
SELECT {_ID} AS concept_id, CAST(max(occurred_at) AS text) AS occurred_at
FROM content_failures WHERE task_id = :task_id AND attempt = :attempt GROUP BY 1
""")

# Reads the last failure of each item, up to an attempt.
LATEST = text(f"""
SELECT coalesce(json_agg({_RECORDED}), '[]') FROM (
    SELECT DISTINCT ON (concept_id, content_type) * FROM content_failures
    WHERE task_id = :task_id AND attempt <= :attempt
    ORDER BY concept_id, content_type, attempt DESC) AS latest
""")

# Reads the refusals of items in all attempts. Of the items of one batch: if every batch read those of the
# whole task, the cost would grow with the square of the number of items.
REFUSALS = text(f"""
SELECT coalesce(json_agg({_RECORDED} ORDER BY attempt DESC), '[]')
FROM content_failures WHERE task_id = :task_id AND content_fingerprint IS NOT NULL
    AND (concept_id, content_type) IN (
        SELECT {_KEY.format("i")}, i.content_type
        FROM json_to_recordset(CAST(:items AS json)) AS i(concept_id text, content_type text)
    )
""")

# Reads the items of a task with a refusal.
REFUSED = text(f"""
SELECT coalesce(json_agg(DISTINCT jsonb_build_array({_ID}, content_type)), '[]')
FROM content_failures WHERE task_id = :task_id AND content_fingerprint IS NOT NULL
""")


def failures_of_item(connection: Connection, task_id: str, item: Item) -> Sequence[Any]:
    """The failures of one item in all attempts, the latest first."""
    return connection.execute(OF_ITEM, {"task_id": task_id, **item._asdict()}).all()


def record_failures(
    connection: Connection, task_id: str, attempt: int, failures: Iterable[Failure], *, keep: bool = False
) -> None:
    """Record the reasons why items failed in an attempt. With `keep`, an existing failure is not replaced:
    the given ones are consequences of an earlier step's failure.
    """
    rows: list[dict[str, object]] = [
        {
            **failure.item._asdict(),
            **failure.why,
            "transient": failure.transient,
            "content_fingerprint": failure.content_fingerprint,
        }
        # Sorted, so that concurrent recorders of the same items wait for each other instead of deadlocking.
        for failure in sorted(failures)
    ]
    for chunk in _chunks(rows):
        connection.execute(
            RECORD, {"task_id": task_id, "attempt": attempt, "failures": storable_json(chunk), "keep": keep}
        )


def withdraw_failures(connection: Connection, task_id: str, attempt: int, items: Collection[Item]) -> None:
    """Delete the failures of items that an attempt has saved."""
    rows = [item._asdict() for item in items]
    for chunk in _chunks(rows):
        connection.execute(WITHDRAW, {"task_id": task_id, "attempt": attempt, "items": json.dumps(chunk)})


def failures_of_attempt(connection: Connection, task_id: str, attempt: int) -> dict[Item, Failure]:
    """The items that failed in an attempt, with the reasons."""
    failures = connection.scalar(OF_ATTEMPT, {"task_id": task_id, "attempt": attempt})
    return {failure.item: failure for _, failure in starmap(_recorded, failures)}


def times_of_failures(connection: Connection, task_id: str, attempt: int) -> dict[str, str]:
    """The time of the last failure of each concept in an attempt."""
    rows = connection.execute(TIMES, {"task_id": task_id, "attempt": attempt})
    return {row.concept_id: row.occurred_at for row in rows}


def latest_failures(connection: Connection, task_id: str, attempt: int) -> dict[Item, Failure]:
    """The last failure of each item up to an attempt."""
    failures = connection.scalar(LATEST, {"task_id": task_id, "attempt": attempt})
    return {failure.item: failure for _, failure in starmap(_recorded, failures)}


def expire_failures(connection: Connection, task_id: str, attempt: int) -> None:
    """Delete the failures of a task's attempts long before `attempt`."""
    if attempt > KEPT_ATTEMPTS:
        connection.execute(EXPIRE, {"task_id": task_id, "attempt": attempt - KEPT_ATTEMPTS})


def forget_failures_from(connection: Connection, task_id: str, attempt: int) -> None:
    """Delete the failures of a task in its attempts from this number on."""
    connection.execute(FORGET, {"task_id": task_id, "attempt": attempt})


def refusals(
    connection: Connection, task_id: str, items: Iterable[Item]
) -> dict[Item, list[RecordedFailure]]:
    """The refusals of these items, with their attempts, the latest first."""
    parameters = {"task_id": task_id, "items": json.dumps([item._asdict() for item in items])}
    recorded: dict[Item, list[RecordedFailure]] = {}
    for attempt, failure in starmap(_recorded, connection.scalar(REFUSALS, parameters)):
        recorded.setdefault(failure.item, []).append((attempt, failure))
    return recorded


def refused_items(connection: Connection, task_id: str) -> frozenset[Item]:
    """The items of a task with content that was refused as invalid, in any attempt."""
    items = connection.scalar(REFUSED, {"task_id": task_id})
    return frozenset(Item(concept_id, ContentType(content_type)) for concept_id, content_type in items)


def _recorded(
    attempt: int,
    concept_id: str,
    content_type: str,
    stage: str,
    *others: Any,  # noqa: ANN401 - the other fields of a failure
) -> RecordedFailure:
    """The attempt and the failure in the columns of `_RECORDED`."""
    return attempt, Failure(Item(concept_id, ContentType(content_type)), Stage(stage), *others)


def _chunks(rows: list[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK]
