"""Create a recovery, or preview one: the tasks that a filter selects, and an estimate of their cost."""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from ...content.registry import CONTENT_KINDS
from ...contracts.api.recoveries import PreviewItems, RecoveryPreview
from ...contracts.errors import ClaimRefusedError, ContentError, InvalidRequestError
from ...contracts.items import ContentType, Stage
from ...contracts.states import NextAction
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.services import Exclusion, Services
from ...state.tasks.attempt_reading import COST
from ...state.tasks.listing import Selection, select_every_task
from ...state.tasks.next_actions import advice_for
from ...state.tasks.task import read_snapshot, read_task
from ...state.tasks.time_zone import instant
from .advance import ADVANCE_SECONDS, NOTHING_MISSING, advance_if_possible
from .decisions import Limits
from .errors import NothingMatchesError, TooManyTasksError
from .recovery import insert_recovery
from .recovery_tasks import Chosen, insert_tasks
from .request import RecoveryRequest, RegenerationFilter

MAX_TASKS = 200_000
"""Maximum tasks of one recovery."""

MAX_SAMPLE = 50
"""Maximum tasks without recorded failures that a preview compares with the tables."""

UNHEALED = ("failed", "partial_failure")
"""The statuses that a filter without statuses selects."""

FINISHED = ("completed", "partial_failure", "failed")
"""The statuses that a filter without statuses selects for a regeneration."""

STAGED_ACTIONS = frozenset({NextAction.SAVE, NextAction.REPLACE_ID, NextAction.NEXT_VERSION})
"""The actions that save what is staged: they cost no tokens."""

# The questions of a preview about `chosen`, the selected tasks.

# Sums the missing items by code, stage and type, which determine the next attempt's action for an item; and
# by whether an item has the cause that the filter names. A running task is refused, with all of its items.
_ITEMS = """
SELECT error_code, stage, content_type, of_cause, CAST(sum(items) AS integer) AS items
FROM (SELECT f.*, {of_cause} AS of_cause
    FROM content_task_failures f JOIN chosen c USING (task_id) JOIN roadmap_tasks t USING (task_id)
    WHERE t.status <> 'processing') AS i
GROUP BY error_code, stage, content_type, of_cause
"""

# Finds a sample of the tasks without recorded failures, never run or run before failures were recorded, each
# with the number of all.
_UNKNOWN = """
SELECT c.task_id, count(*) OVER () AS tasks FROM chosen c JOIN roadmap_tasks t USING (task_id)
WHERE t.status NOT IN ('completed', 'processing')
    AND NOT EXISTS (SELECT FROM content_task_failures f WHERE f.task_id = c.task_id)
ORDER BY c.task_id LIMIT :sample
"""

# Counts the tasks by status.
_STATUSES = (
    "SELECT t.status, count(*) AS tasks FROM roadmap_tasks t JOIN chosen c USING (task_id) GROUP BY t.status"
)

# Sums tokens and items of past attempts, to estimate the tokens per item: a thousand tasks are sufficient.
_PRICE = f"{COST} WHERE a.task_id IN (SELECT task_id FROM chosen LIMIT 1000)"


def resolve(exclusions: Sequence[Exclusion], request: RecoveryRequest) -> Selection:
    """The tasks that a request selects and no exclusion keeps away; without a status in its filter, only
    tasks with missing items, or for a regeneration all that are neither running nor cancelled.
    Raises InvalidRequestError: there is no condition.
    """
    task_filter, regeneration = request.filter, request.regenerate
    if regeneration is not None and not regeneration.conditions:
        raise InvalidRequestError("`regenerate` without a condition would replace every item: add one")
    if regeneration is None and not task_filter.conditions.keys() - {"all_missing"}:
        raise InvalidRequestError("an empty filter would select every failed task: add a condition")
    if not task_filter.status and not task_filter.task_ids:  # named tasks have any status
        status = UNHEALED if regeneration is None else FINISHED
        task_filter = task_filter.model_copy(update={"status": list(status)})
    selection = select_every_task(task_filter)
    return selection._replace(where=[*selection.where, *(exclusion.permits for exclusion in exclusions)])


def with_missing(selection: Selection) -> Chosen:
    """The selected tasks, each once, to retry their missing items."""
    tasks = selection.sql("DISTINCT t.task_id, t.created_at")
    return Chosen(f"SELECT t.*, CAST(NULL AS json) AS items FROM ({tasks}) AS t", selection.parameters)


def preview(connection: Connection, services: Services, request: RecoveryRequest) -> RecoveryPreview:
    """Preview a recovery. Raises NothingMatchesError, TooManyTasksError, ErasureRunningError: it cannot be
    created.
    """
    services.require_permitted(connection, *request.filter.task_ids)
    selection = resolve(services.exclusions, request)
    if request.regenerate is not None:
        return _preview_regeneration(connection, selection, request.regenerate, request.rate_per_minute)
    return _preview_retries(connection, selection, request)


def _preview_retries(
    connection: Connection, selection: Selection, request: RecoveryRequest
) -> RecoveryPreview:
    """Count the missing items of the selected tasks, with and without the filter's cause."""
    chosen = selection.sql("DISTINCT t.task_id")
    parameters = {**selection.parameters, "limit": MAX_TASKS + 1, "sample": MAX_SAMPLE}

    def ask(question: str) -> Any:  # noqa: ANN401 - SQLAlchemy rows
        statement = text(f"WITH chosen AS MATERIALIZED ({chosen} LIMIT :limit) {question}")
        return connection.execute(statement, parameters).all()

    statuses = {row.status: row.tasks for row in ask(_STATUSES)}
    tasks = sum(statuses.values())
    require_some(tasks)
    of_cause = " AND ".join(f"f.{name} = :{name}" for name in request.filter.by_failure) or "true"
    rows = ask(_ITEMS.format(of_cause=of_cause))
    others = [row for row in rows if not row.of_cause]
    retried = rows if request.filter.all_missing else [row for row in rows if row.of_cause]
    staged, to_generate = _by_next_action(retried)
    _, others_to_generate = _by_next_action(others)
    ((tokens, generated),) = ask(_PRICE)
    per_item = int(tokens) / int(generated) if tokens and generated else None
    missing, refused = _estimate_unknown(connection, ask(_UNKNOWN))
    for content_type, items in missing.items():
        to_generate[content_type] += items
    if statuses.get("processing"):
        refused[ClaimRefusedError.code] = statuses["processing"]
    if statuses.get("completed"):
        refused[NOTHING_MISSING] = statuses["completed"]
    return RecoveryPreview(
        tasks=tasks,
        items=PreviewItems(staged=staged, to_generate=to_generate),
        estimated_tokens=_estimate(per_item, to_generate),
        other_items=sum(row.items for row in others),
        other_tokens=_estimate(per_item, others_to_generate),
        estimated_minutes=round(tasks / request.rate_per_minute, 1),
        refused=refused,
    )


def _estimate(tokens_per_item: float | None, to_generate: Mapping[ContentType, int]) -> int | None:
    """The tokens to generate these items; `None` if the tokens per item are not known."""
    items = sum(to_generate.values())
    if items and tokens_per_item is None:
        return None
    return round(items * (tokens_per_item or 0))


def _by_next_action(rows: Sequence[Any]) -> tuple[dict[ContentType, int], dict[ContentType, int]]:
    """The numbers of items that the next attempt saves as they are staged, and of those that it generates."""
    staged, to_generate = dict.fromkeys(ContentType, 0), dict.fromkeys(ContentType, 0)
    for row in rows:
        is_staged = advice_for(row.error_code, Stage(row.stage)).action in STAGED_ACTIONS
        items = staged if is_staged else to_generate
        items[ContentType(row.content_type)] += row.items
    return staged, to_generate


def _estimate_unknown(
    connection: Connection, sample: Sequence[Any]
) -> tuple[dict[ContentType, int], dict[str, int]]:
    """Estimate the missing items of tasks without recorded failures, and the tasks that would be refused.

    A sample is compared with the tables, and the result extrapolated. The items are not looked up in S3: all
    of them count as items to generate, which is the maximum cost.
    """
    missing = Counter[ContentType]()
    refused = Counter[str]()
    for row in sample:
        try:
            snapshot = read_snapshot(connection, read_task(connection, row.task_id))
        except ContentError as error:
            refused[error.code] += 1
        else:
            missing.update(item.content_type for item in snapshot.missing)
    scale = sample[0].tasks / len(sample) if sample else 0
    return (
        {content_type: round(scale * items) for content_type, items in missing.items()},
        {code: round(scale * tasks) for code, tasks in refused.items()},
    )


def require_some(tasks: int) -> None:
    """Raise NothingMatchesError or TooManyTasksError if no recovery may have this number of tasks."""
    if not tasks:
        raise NothingMatchesError("the filter selects no task")
    if tasks > MAX_TASKS:
        raise TooManyTasksError(f"the filter selects more than {MAX_TASKS} tasks: narrow it")


def create(services: Services, request: RecoveryRequest, actor: str, deadline: Deadline) -> str:
    """Create and start a recovery of the tasks that a request selects now; return its id. Of a regeneration,
    it stores the saved items that are selected now, each with its present revision: only that is replaced.

    The sweep starts the tasks that the request has no time for.

    Raises:
        InvalidRequestError: the filter selects no task, or too many; nothing has been created.
        ErasureRunningError: the filter names a task of a user who is being erased.
        DatabaseUnavailableError: it is unknown whether the recovery was created.
    """
    recovery_id, reason, regeneration = f"rec-{secrets.token_hex(8)}", request.reason, request.regenerate
    limits = Limits(
        request.rate_per_minute, request.concurrency, request.token_budget, request.canary, request.breaker
    )
    conditions = request.filter.conditions
    if regeneration is not None:
        conditions["regenerate"] = regeneration.conditions
    if request.instruction is not None:
        conditions["instruction"] = request.instruction

    def insert(connection: Connection) -> int:
        for exclusion in services.exclusions:
            exclusion.hold_up(connection)
        services.require_permitted(connection, *request.filter.task_ids)
        if not insert_recovery(connection, recovery_id, conditions, limits, actor, reason):
            return 0  # an earlier COMMIT succeeded without an answer
        selection = resolve(services.exclusions, request)
        chosen = with_missing(selection) if regeneration is None else with_saved(selection, regeneration)
        tasks = insert_tasks(connection, recovery_id, chosen, limits.canary, MAX_TASKS + 1)
        require_some(tasks)
        return tasks

    tasks = transact(services.engine, insert, deadline)
    logger.info("recovery_created", recovery_id=recovery_id, actor=actor, tasks=tasks, reason=reason)
    advance_if_possible(services, recovery_id, deadline.within(ADVANCE_SECONDS))
    return recovery_id


# The conditions of a regeneration's filter on `chosen` (c), the current row (item) and its origin (o).
_CONDITIONS = {
    "content_type": "item.content_type = :item_content_type",
    "generator": "o.generator = :item_generator",
    "model_id": "o.model_id = :item_model_id",
    "prompt_version": "o.prompt_version = :item_prompt_version",
    "generated_after": f"{instant('item.generated_at')} >= CAST(:item_generated_after AS timestamptz)",
    "generated_before": f"{instant('item.generated_at')} < CAST(:item_generated_before AS timestamptz)",
    "roadmap_id": "c.roadmap_id = :item_roadmap_id",
    # A refusal before the current content was saved is over: this content was accepted.
    "error_code": """EXISTS (SELECT FROM content_origins refused
        WHERE refused.refused_code = :item_error_code AND refused.content_type = item.content_type
            AND refused.roadmap_id = c.roadmap_id AND refused.concept_id = item.concept_id
            AND refused.origin_id > coalesce(o.origin_id, 0))""",
}

# Finds the current items of the roadmap of `c`, of every content type.
_CURRENT = " UNION ALL ".join(
    f"SELECT '{content_type}' AS content_type, i.concept_id, i.revision, i.generated_at"
    f" FROM ({kind.sql.current('c.roadmap_id')}) AS i"
    for content_type, kind in CONTENT_KINDS.items()
)

# Finds the tasks of `chosen_items`, each with its items: the revisions by content type and concept.
_BY_TASK = """
SELECT task_id, created_at, json_object_agg(content_type, revisions) AS items
FROM (SELECT task_id, created_at, content_type, json_object_agg(concept_id, revision) AS revisions
    FROM chosen_items GROUP BY task_id, created_at, content_type) AS t
GROUP BY task_id, created_at
"""

# Counts `chosen_items` by content type, without those of running tasks, which are refused; and all tasks. The
# tokens of an item are estimated from those that have recorded ones: their number (`priced`), and their sum.
_PREVIEW = """
SELECT content_type, count(*) FILTER (WHERE status <> 'processing') AS items,
    (SELECT count(DISTINCT task_id) FROM chosen_items) AS tasks,
    (SELECT count(DISTINCT task_id) FROM chosen_items WHERE status = 'processing') AS running,
    count(tokens) AS priced, coalesce(sum(tokens), 0) AS tokens
FROM chosen_items GROUP BY content_type
"""


def with_saved(selection: Selection, regeneration: RegenerationFilter) -> Chosen:
    """The tasks with the items that a regeneration selects now, and the revisions that these have now."""
    statement, parameters = _chosen_items(selection, regeneration)
    return Chosen(f"{statement} {_BY_TASK}", parameters)


def _preview_regeneration(
    connection: Connection, selection: Selection, regeneration: RegenerationFilter, rate_per_minute: int
) -> RecoveryPreview:
    """Count the items to regenerate; estimate the tokens from the items with recorded tokens."""
    statement, parameters = _chosen_items(selection, regeneration)
    rows = connection.execute(text(f"{statement} {_PREVIEW}"), parameters).all()
    items = dict.fromkeys(ContentType, 0) | {ContentType(row.content_type): int(row.items) for row in rows}
    priced, tokens = sum(row.priced for row in rows), sum(int(row.tokens) for row in rows)
    estimate = round(tokens / priced * sum(items.values())) if priced else None
    tasks, running = (rows[0].tasks, rows[0].running) if rows else (0, 0)
    require_some(tasks)
    return RecoveryPreview(
        tasks=tasks,
        items=PreviewItems(staged=dict.fromkeys(ContentType, 0), to_generate=items),
        estimated_tokens=estimate,
        other_items=0,
        other_tokens=0,
        estimated_minutes=round(tasks / rate_per_minute, 1),
        refused={ClaimRefusedError.code: running} if running else {},
    )


def _chosen_items(selection: Selection, regeneration: RegenerationFilter) -> tuple[str, dict[str, Any]]:
    """The beginning of a statement, with its parameters: a WITH of `chosen_items`, the saved items to
    regenerate, each with the task that regenerates it. Of several tasks of a roadmap's owner, that is the
    oldest one that this system has run, or else the oldest.
    """
    conditions = [_CONDITIONS[name] for name in regeneration.conditions]
    # In both parts: the first then reads the tasks of this roadmap only.
    of_roadmap = _CONDITIONS["roadmap_id"] if regeneration.roadmap_id is not None else "true"
    columns = "t.task_id, t.roadmap_id, t.user_id, t.attempt, t.created_at, t.status"
    statement = f"""
WITH chosen AS MATERIALIZED (
    SELECT DISTINCT ON (c.roadmap_id) c.* FROM ({selection.sql(columns)}) AS c
    JOIN roadmap_metadata r ON r.roadmap_id = c.roadmap_id AND r.user_id = c.user_id
    WHERE r.deleted_at IS NULL AND {of_roadmap}
    ORDER BY c.roadmap_id, c.attempt > 0 DESC, c.created_at, c.task_id
), chosen_items AS MATERIALIZED (
    SELECT c.task_id, c.created_at, c.status, item.content_type, item.concept_id, item.revision,
        o.tokens_in + o.tokens_out AS tokens
    FROM chosen c CROSS JOIN LATERAL ({_CURRENT}) AS item
    LEFT JOIN LATERAL (SELECT * FROM content_origins o
        WHERE o.content_id = item.revision AND o.content_type = item.content_type
            AND o.roadmap_id = c.roadmap_id AND o.concept_id = item.concept_id
        ORDER BY o.origin_id DESC LIMIT 1) AS o ON true
    WHERE {" AND ".join(conditions)}
)"""
    return statement, {
        **selection.parameters,
        **{f"item_{name}": value for name, value in regeneration.conditions.items()},
    }
