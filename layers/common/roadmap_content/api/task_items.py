"""Read the data of the item endpoints from the tables, and from the bucket where necessary."""

from sqlalchemy import Connection

from ..contracts.api.items import ItemDetail, ItemMap
from ..contracts.items import Item, RecordedFailure
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.storage.staging import Staging
from ..state.failures.failures import latest_failures
from ..state.services import Services
from ..state.tasks.attempts import read_scope
from ..state.tasks.scope import Scope
from ..state.tasks.snapshot import TaskSnapshot, read_snapshot
from ..state.tasks.task import read_task
from .cursors import any_text, decode_cursor, encode_cursor, integer
from .item_detail import read_item
from .item_map import ItemStates, item_map, item_states, unexplained
from .sizes import first_that_fit


def read_item_map(
    services: Services,
    task_id: str,
    user_id: str | None,
    cursor: str | None,
    limit: int,
    deadline: Deadline,
    *,
    with_stages: bool,
) -> ItemMap:
    """Read the items of a page of at most `limit` concepts, as many as fit into an answer.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError: there are no items.
        InvalidCursorError: the cursor belongs to another list.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    list_name = f"items {task_id}"
    key = decode_cursor(list_name, cursor, any_text, integer)

    def read(connection: Connection) -> tuple[TaskSnapshot, dict[Item, RecordedFailure], Scope]:
        snapshot = read_snapshot(connection, read_task(connection, task_id, user_id))
        attempt = snapshot.task.attempt
        scope, _ = read_scope(connection, task_id, attempt)
        return snapshot, latest_failures(connection, task_id, attempt), scope

    snapshot, failures, scope = transact(services.reading_engine, read, deadline)
    concept_ids = list(snapshot.framework.nodes)
    start = 0 if key is None else _place(concept_ids, *key)
    framework = snapshot.framework
    shown = list(
        first_that_fit(
            concept_ids[start : start + limit],
            lambda concept_id: [
                concept_id,
                framework.concept(concept_id).name,
                *framework.places[concept_id],
            ],
        )
    )
    page = range(start, start + len(shown))
    live = snapshot.task.is_live and not snapshot.task.is_waiting

    def states(staged: frozenset[Item]) -> ItemStates:
        attempt = snapshot.task.attempt
        return item_states(shown, snapshot.saved, failures, staged, attempt=attempt, live=live, scope=scope)

    found = states(frozenset())
    if candidates := unexplained(found.letters, shown):
        staging = Staging(services.bucket, snapshot.task.roadmap_id or "")
        found = states(staging.staged_among(candidates))
    next_cursor = (
        encode_cursor(list_name, [concept_ids[page.stop - 1], page.stop])
        if page.stop < len(concept_ids)
        else None
    )
    return item_map(task_id, snapshot, page, found, with_stages=with_stages, next_cursor=next_cursor)


def _place(concept_ids: list[str], last: str, index: int) -> int:
    """The position after a concept, which may have been moved in the framework meanwhile."""
    if 0 < index <= len(concept_ids) and concept_ids[index - 1] == last:
        return index
    return concept_ids.index(last) + 1 if last in concept_ids else min(max(index, 0), len(concept_ids))


def read_one_item(
    services: Services, task_id: str, user_id: str | None, item: Item, deadline: Deadline
) -> ItemDetail:
    """Read one item with all its data.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError, ItemNotFoundError: there is none.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """

    def read(connection: Connection) -> tuple[TaskSnapshot, Scope]:
        snapshot = read_snapshot(connection, read_task(connection, task_id, user_id))
        scope, _ = read_scope(connection, task_id, snapshot.task.attempt)
        return snapshot, scope

    snapshot, scope = transact(services.reading_engine, read, deadline)
    live = snapshot.task.is_live and not snapshot.task.is_waiting and scope.includes(item)
    return transact(
        services.reading_engine,
        lambda connection: read_item(connection, services, snapshot, item, live=live),
        deadline,
    )
