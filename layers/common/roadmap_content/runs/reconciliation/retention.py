"""How long rows are kept, by table. A job of the sweep removes older rows."""

from sqlalchemy import text

from ...content.revision_records import REMOVE_FORMER
from ...contracts.errors import ContentError, MissingSettingError
from ...platform.postgres.transactions import RESERVE, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.services import Retention, Services

STEP = 1_000
"""Rows per transaction."""

RETENTIONS = (
    Retention("content_sweeps", 7, "swept_at", "swept_at", "swept_at"),
    Retention("content_queue", 7, "ended_at", "task_id, attempt", "ended_at", condition="state = 'ended'"),
    Retention(
        "content_events", 7, "delivered_at", "event_id", "delivered_at", condition="delivered_at IS NOT NULL"
    ),
    Retention(
        "content_events_aside",
        30,
        "set_aside_at",
        "event_id",
        "set_aside_at",
        table="content_events",
        condition="set_aside_at IS NOT NULL",
    ),
    Retention("content_token_hours", 400, "hour", "hour, shard", "hour"),
    Retention("content_archive", 365, "archived_at", "archive_id", "archive_id", statement=REMOVE_FORMER),
    Retention(
        "content_origins",
        365,
        "recorded_at",
        "origin_id",
        "origin_id",
        condition="refused_code IS NOT NULL",  # that of a saved content goes with its content
    ),
)

DELETED, DAYS_AFTER_DELETION = "deleted_by_product", 30
"""The name in the parameter, and the days, of the rows and objects of deleted tasks and roadmaps."""


def remove_expired(services: Services, deadline: Deadline) -> None:
    """Remove rows that are older than their retention, table by table, while there is time."""
    for retention, days in retentions(services):
        try:
            while deadline.remaining > RESERVE and _remove(services, retention, days, deadline) == STEP:
                pass
        except ContentError as error:  # the other tables do not wait for it
            logger.warning("rows_not_removed", table=retention.name, **error.why)


def retentions(services: Services) -> list[tuple[Retention, int]]:
    """Each rule with its days, which the parameter may change.
    `DELETED` is the concern of the capability that removes such rows.
    Raises MissingSettingError: the parameter names another table.
    """
    changed = {name: days for name, days in services.settings.retention_days.items() if name != DELETED}
    every = [*RETENTIONS, *services.parts_of_sweep(Retention)]
    rules = [(retention, changed.pop(retention.name, retention.days)) for retention in every]
    if changed:
        raise MissingSettingError(f"RETENTION_DAYS: {', '.join(changed)} has no retention")
    return rules


def _remove(services: Services, retention: Retention, days: int, deadline: Deadline) -> int:
    """Remove the oldest rows of a rule that are older than this many days, `STEP` at most; return their
    number.
    """
    table, key = retention.table or retention.name, retention.key
    statement = (
        retention.statement
        or f"""
        DELETE FROM {table} WHERE ({key}) IN (
            SELECT {key} FROM (
                SELECT {key}, {retention.since} AS since FROM {table}
                WHERE {retention.condition} ORDER BY {retention.order} LIMIT :step) AS oldest
            WHERE since < now() - make_interval(days => :days))
    """
    )
    parameters = {"step": STEP, "days": days}
    return transact(
        services.engine, lambda connection: connection.execute(text(statement), parameters).rowcount, deadline
    )
