"""The table `content_token_hours`: the tokens that attempts used and that staged content saved, by hour."""

from sqlalchemy import Connection, text

# One of sixteen rows per hour, so that attempts that end together do not wait for each other.
COUNT_TOKENS = text("""
INSERT INTO content_token_hours AS known (hour, shard, spent, saved_by_staging)
VALUES (date_trunc('hour', timezone('utc', now())), mod(abs(CAST(hashtext(:task_id) AS bigint)), 16),
    :spent, :saved_by_staging)
ON CONFLICT (hour, shard) DO UPDATE SET
    spent = known.spent + excluded.spent,
    saved_by_staging = known.saved_by_staging + excluded.saved_by_staging
""")

TOKENS_OF_A_DAY = text("""
SELECT coalesce(sum(spent), 0), coalesce(sum(saved_by_staging), 0) FROM content_token_hours
WHERE hour > timezone('utc', now()) - interval '24 hours'
""")


def tokens_of_a_day(connection: Connection) -> tuple[int, int]:
    """The tokens that attempts used in the last 24 hours, and those that staged content saved."""
    spent, saved_by_staging = connection.execute(TOKENS_OF_A_DAY).one()
    return int(spent), int(saved_by_staging)


def count_tokens(connection: Connection, task_id: str, spent: int, saved_by_staging: int) -> None:
    if spent or saved_by_staging:
        connection.execute(
            COUNT_TOKENS, {"task_id": task_id, "spent": spent, "saved_by_staging": saved_by_staging}
        )
