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
    Retention("content_sweeps", 7, "swept_at"),
    Retention("content_queue", 7, "ended_at", "state = 'ended'"),
    Retention("content_events", 7, "delivered_at", "delivered_at IS NOT NULL"),
    Retention("content_events_aside", 30, "set_aside_at", "set_aside_at IS NOT NULL", table="content_events"),
    Retention("content_token_hours", 400, "hour"),
    Retention("content_archive", 365, "archived_at", statement=REMOVE_FORMER),
    # The origin of a saved content goes with its content.
    Retention("content_origins", 365, "recorded_at", "refused_code IS NOT NULL", order="origin_id"),
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
    """Remove the rows of a rule that are older than this many days, the oldest first, `STEP` at most; return
    their number. The age is compared after the LIMIT: a step reads no more rows than that by the index.
    """
    table, since = retention.table or retention.name, retention.since
    by_age = f"""
        DELETE FROM {table} WHERE ctid = ANY(ARRAY(
            SELECT ctid FROM (
                SELECT ctid, {since} AS since FROM {table}
                WHERE {retention.condition} ORDER BY {retention.order or since} LIMIT :step) AS oldest
            WHERE since < now() - make_interval(days => :days)))
    """
    statement, parameters = text(retention.statement or by_age), {"step": STEP, "days": days}
    return transact(
        services.engine, lambda connection: connection.execute(statement, parameters).rowcount, deadline
    )
