"""Record the event of a recovery's end."""

from sqlalchemy import Connection

from ...contracts.events import recovery_ended
from ...state.outbox import record_events
from ...state.services import Services
from .recovery_tasks import count_tasks


def record_end(services: Services, connection: Connection, recovery_id: str, state: str) -> None:
    """Record the event that a recovery has ended, in the transaction that ends it."""
    results = count_tasks(connection, recovery_id).results
    counts = {"total": sum(results.values())} | {str(result): tasks for result, tasks in results.items()}
    record_events(services, connection, [recovery_ended(recovery_id, state, counts)])
