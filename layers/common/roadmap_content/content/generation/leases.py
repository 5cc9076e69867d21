"""The bucket of the model's quota, which all invocations share, and their leases of its tokens.

`supplied` is the sum of all tokens that the quota supplied, and `promised` of all that were leased. A lease
is the range of `promised` that it added; its tokens may be used as soon as `supplied` has reached them. So
leases are served in the order in which they were requested, without a list of those that wait. The rest of a
lease whose invocation ends before its time is supplied at once, or within seconds if it was killed. Those
that asked before it may use it early, until the quota has supplied as much; without this, each later call
would wait for tokens that nobody uses.

An exchange is a statement that locks the bucket and reads it, a decision (`renewed`), and a statement that
writes the result.
"""

from typing import NamedTuple

from sqlalchemy import Connection, text

BURST_SECONDS = 2.0
"""The quota that may be used at once after a time without calls. Bedrock documents a quota per minute; the
less is used at once, the fewer calls it refuses.
"""

ABANDONED_SECONDS = 10.0
"""A lease that its invocation has not asked for during this time is ended."""


class Lease(NamedTuple):
    range_end: float
    """The value of `supplied` at which all its tokens are due."""

    rest: float
    """Its tokens that are not due."""


class Bucket(NamedTuple):
    """The bucket at the time of an exchange."""

    rate: float
    """Tokens per second that the quota supplies."""

    supplied: float
    promised: float
    elapsed: float
    """Seconds since the last exchange; negative after the clock was ahead."""

    ended: float
    """The rest of the leases that this exchange ended."""

    lease: Lease | None
    """The lease of the invocation."""


def renewed(bucket: Bucket, asked: float, returned: float) -> Bucket:
    """Refill the bucket, return tokens to it, and lease `asked` tokens, or see which ones of the earlier
    lease are due by now. Guarantees: the tokens of all leases that are due never exceed the supplied ones.
    """
    refill = bucket.rate * max(0.0, bucket.elapsed)
    # What nobody asked for is not kept beyond the burst.
    most = bucket.promised + bucket.rate * BURST_SECONDS
    supplied = min(most, bucket.supplied + returned + bucket.ended + refill)
    promised, lease = bucket.promised + asked, bucket.lease
    if asked:
        lease = Lease(promised, min(asked, max(0.0, promised - supplied)))
    elif lease is not None:
        lease = Lease(lease.range_end, min(lease.rest, max(0.0, lease.range_end - supplied)))
    return bucket._replace(supplied=supplied, promised=promised, elapsed=0.0, ended=0.0, lease=lease)


# Locks the bucket, and ends leases: those of killed invocations, and the invocation's own one unless it is
# kept. No row if no quota is configured. The time is read after the lock, so that of two exchanges the later
# one has the later time; after the clock was ahead, a lease may have been seen in the future. `own` is
# locked, too: another exchange may have ended it during the wait.
READ = text(f"""
WITH quota AS MATERIALIZED (
    SELECT CAST(tokens_per_minute AS double precision) / 60 AS rate, supplied, promised, refilled_at
    FROM content_model_quota WHERE tokens_per_minute IS NOT NULL FOR UPDATE
),
now AS MATERIALIZED (
    SELECT clock_timestamp() AS at FROM quota
),
own AS MATERIALIZED (
    SELECT l.range_end, l.rest FROM now, content_model_leases l
    WHERE l.lease_id = :lease_id AND CAST(:is_kept AS boolean) FOR UPDATE OF l
),
ended AS (
    DELETE FROM content_model_leases l USING now WHERE CASE WHEN l.lease_id = :lease_id
        THEN NOT CAST(:is_kept AS boolean)
        ELSE abs(extract(epoch FROM now.at - l.seen_at)) > {ABANDONED_SECONDS} END
    RETURNING l.rest
)
SELECT q.rate, q.supplied, q.promised, CAST(extract(epoch FROM now.at - q.refilled_at) AS double precision)
        AS elapsed, (SELECT coalesce(sum(rest), 0) FROM ended) AS ended, own.range_end, own.rest, now.at,
    c.stopped_reason
FROM quota q CROSS JOIN now CROSS JOIN content_capacity c LEFT JOIN own ON true
""")

# Writes the bucket, and the lease of the invocation, if it has one.
WRITE = text("""
WITH bucket AS (
    UPDATE content_model_quota SET supplied = :supplied, promised = :promised, refilled_at = :at
)
INSERT INTO content_model_leases (lease_id, range_end, rest, seen_at)
SELECT :lease_id, :range_end, :rest, :at WHERE CAST(:range_end AS double precision) IS NOT NULL
ON CONFLICT (lease_id) DO UPDATE SET
    range_end = excluded.range_end, rest = excluded.rest, seen_at = excluded.seen_at
""")


class Exchanged(NamedTuple):
    bucket: Bucket
    stopped_reason: str | None
    """Why generation is stopped: then nothing is leased."""


def exchange(
    connection: Connection, lease_id: str, *, asked: float, returned: float, is_kept: bool
) -> Exchanged | None:
    """Return tokens to the bucket, and lease others; `None` if no quota is configured. The bucket's lease is
    `None` if the invocation has none, also because it was ended as abandoned. An exchange that is repeated
    after a COMMIT without an answer may count twice: a lease is not used, or a return is supplied twice.
    """
    row = connection.execute(READ, {"lease_id": lease_id, "is_kept": is_kept}).one_or_none()
    if row is None:
        return None
    lease = None if row.range_end is None else Lease(row.range_end, row.rest)
    before = Bucket(row.rate, row.supplied, row.promised, row.elapsed, row.ended, lease)
    bucket = renewed(before, asked if row.stopped_reason is None else 0.0, returned)
    written = {"supplied": bucket.supplied, "promised": bucket.promised, "at": row.at, "lease_id": lease_id}
    range_end, rest = bucket.lease or (None, None)
    connection.execute(WRITE, written | {"range_end": range_end, "rest": rest})
    return Exchanged(bucket, row.stopped_reason)


READ_QUOTA = text("SELECT tokens_per_minute FROM content_model_quota")

CHANGE_QUOTA = text("UPDATE content_model_quota SET tokens_per_minute = :tokens_per_minute")


def read_quota(connection: Connection) -> int | None:
    """The model's quota of tokens per minute; `None` if none is configured."""
    tokens_per_minute: int | None = connection.scalar(READ_QUOTA)
    return tokens_per_minute


def change_quota(connection: Connection, tokens_per_minute: int | None) -> None:
    connection.execute(CHANGE_QUOTA, {"tokens_per_minute": tokens_per_minute})
