"""Select the saved items that a recovery regenerates, by their origin, their age, or a refusal."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ...content.registry import CONTENT_KINDS
from ...contracts.api.recoveries import RegenerationFilter
from ...contracts.items import ContentType
from ...state.tasks.listing import Selection
from ...state.tasks.local_time import instant
from .recovery_tasks import Chosen

_CONDITIONS = {
    "content_type": "item.content_type = :item_content_type",
    "generator": "o.generator = :item_generator",
    "model_id": "o.model_id = :item_model_id",
    "prompt_version": "o.prompt_version = :item_prompt_version",
    "generated_after": f"{instant('item.generated_at')} >= CAST(:item_generated_after AS timestamp)",
    "generated_before": f"{instant('item.generated_at')} < CAST(:item_generated_before AS timestamp)",
    "roadmap_id": "c.roadmap_id = :item_roadmap_id",
    # A refusal before the current content was saved is over: this content was accepted.
    "error_code": """EXISTS (SELECT FROM content_origins refused
        WHERE refused.refused_code = :item_error_code AND refused.content_type = item.content_type
            AND refused.roadmap_id = c.roadmap_id AND refused.concept_id = item.concept_id
            AND refused.origin_id > coalesce(o.origin_id, 0))""",
}

_CURRENT = " UNION ALL ".join(
    f"SELECT '{content_type}' AS content_type, i.concept_id, i.revision, i.generated_at"
    f" FROM ({kind.current_sql.replace(':roadmap_id', 'c.roadmap_id')}) AS i"
    for content_type, kind in CONTENT_KINDS.items()
)

_BY_TASK = """
SELECT task_id, created_at, json_object_agg(content_type, revisions) AS items
FROM (SELECT task_id, created_at, content_type, json_object_agg(concept_id, revision) AS revisions
    FROM written GROUP BY task_id, created_at, content_type) AS t
GROUP BY task_id, created_at
"""

_PREVIEW = """
SELECT content_type, count(*) AS items, (SELECT count(DISTINCT task_id) FROM written) AS tasks,
    count(tokens) AS priced, coalesce(sum(tokens), 0) AS tokens
FROM written GROUP BY content_type
"""


class RegenerationPreview(NamedTuple):
    """The items that a regeneration would replace."""

    tasks: int
    items: Mapping[ContentType, int]
    tokens: int | None
    """An estimate from the tokens of these items, where they were recorded."""


def with_saved(selection: Selection, regeneration: RegenerationFilter) -> Chosen:
    """The tasks with the items that a regeneration selects now, and the revisions that these have now."""
    statement, parameters = _written(selection, regeneration)
    return Chosen(f"{statement} {_BY_TASK}", parameters)


def preview_regeneration(
    connection: Connection, selection: Selection, regeneration: RegenerationFilter
) -> RegenerationPreview:
    """Count the items that a regeneration selects now."""
    statement, parameters = _written(selection, regeneration)
    rows = connection.execute(text(f"{statement} {_PREVIEW}"), parameters).all()
    items = dict.fromkeys(ContentType, 0) | {ContentType(row.content_type): int(row.items) for row in rows}
    priced, tokens = sum(row.priced for row in rows), sum(int(row.tokens) for row in rows)
    estimate = round(tokens / priced * sum(items.values())) if priced else None
    return RegenerationPreview(rows[0].tasks if rows else 0, items, estimate)


def _written(selection: Selection, regeneration: RegenerationFilter) -> tuple[str, dict[str, Any]]:
    """A WITH of `written`: the selected items, each with the task that regenerates it.

    Of several tasks of a roadmap, it is the oldest one that this system has run.
    """
    conditions = [_CONDITIONS[name] for name in regeneration.conditions]
    of_roadmap = _CONDITIONS["roadmap_id"] if regeneration.roadmap_id is not None else "true"
    columns = "t.task_id, t.roadmap_id, t.user_id, t.attempt, t.created_at"
    statement = f"""
WITH chosen AS MATERIALIZED (
    SELECT DISTINCT ON (c.roadmap_id) c.*
    FROM ({selection.sql(columns)}) AS c
    JOIN roadmap_metadata r ON r.roadmap_id = c.roadmap_id AND r.user_id = c.user_id
    WHERE r.deleted_at IS NULL AND {of_roadmap}
    ORDER BY c.roadmap_id, c.attempt > 0 DESC, c.created_at, c.task_id
), written AS MATERIALIZED (
    SELECT c.task_id, c.created_at, item.content_type, item.concept_id, item.revision,
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
