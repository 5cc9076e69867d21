"""Load a bundle: its roadmap and task into PostgreSQL, and its content staged in S3."""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, text

from roadmap_content.content.bundle import Bundle
from roadmap_content.content.kind import Row
from roadmap_content.content.rows import current_rows
from roadmap_content.contracts.errors import InvalidBundleError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.bucket import Bucket, in_parallel
from roadmap_content.platform.storage.keys import staged_key
from roadmap_content.platform.storage.staging import Staging

# Existing rows are not changed: loading a roadmap again only stages its content again. The product's tables
# require hours, weeks and a step.
INSERT_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, total_estimated_hours,
    recommended_completion_weeks, framework_data, created_at)
VALUES (:roadmap_id, :user_id, :title, coalesce(CAST(:total_estimated_hours AS double precision), 0),
    coalesce(CAST(:recommended_completion_weeks AS integer), 0), CAST(:framework_data AS json), content_now())
ON CONFLICT (roadmap_id) DO NOTHING
""")

INSERT_TASK = text("""
INSERT INTO roadmap_tasks
    (task_id, user_id, status, current_step, user_request, roadmap_id, created_at, updated_at)
VALUES (:task_id, :user_id, 'pending', 'content_generation_queued', CAST(:user_request AS json), :roadmap_id,
    content_now(), content_now())
ON CONFLICT (task_id) DO NOTHING
""")

OWNERS = text("""
SELECT r.user_id AS roadmap_user, t.user_id AS task_user, t.roadmap_id
FROM roadmap_metadata r, roadmap_tasks t WHERE r.roadmap_id = :roadmap_id AND t.task_id = :task_id
""")


class Loaded(NamedTuple):
    """The loaded items."""

    staged: int
    saved_already: int
    """Items of the bundle that have a completed row and are therefore not staged again."""

    saved: Collection[Item] = ()
    """All saved items of the roadmap."""


def load_bundle(
    bundle: Bundle,
    engine: Engine,
    bucket: Bucket,
    deadline: Deadline,
    on_staged: Callable[[], object] = lambda: None,
) -> Loaded:
    """Load a bundle. Loading it again changes no row, and stages the content of unsaved items again.

    Invalid content of unsaved items is staged unchanged, so that a run records why it cannot be saved.
    `on_staged` is called after each item, by several threads.

    Raises:
        InvalidBundleError: the roadmap or the task exists and belongs to another user; nothing was written.
    """

    def insert(connection: Connection) -> Mapping[ContentType, Mapping[str, Row]]:
        roadmap, task = bundle.roadmap, bundle.task
        framework = json.dumps(roadmap.framework_data)
        connection.execute(INSERT_ROADMAP, roadmap.model_dump() | {"framework_data": framework})
        connection.execute(INSERT_TASK, task.model_dump() | {"user_request": json.dumps(task.user_request)})
        owners = connection.execute(OWNERS, task.model_dump()).one()
        if owners.roadmap_user != roadmap.user_id:
            raise InvalidBundleError(f"roadmap {roadmap.roadmap_id!r} exists and belongs to another user")
        if (owners.task_user, owners.roadmap_id) != (task.user_id, task.roadmap_id):
            raise InvalidBundleError(f"task {task.task_id!r} exists and belongs to another user or roadmap")
        return current_rows(connection, roadmap.roadmap_id)

    rows = transact(engine, insert, deadline)
    roadmap_id = bundle.roadmap.roadmap_id
    staging = Staging(bucket, roadmap_id)

    def stage(entry: tuple[Item, Any]) -> None:
        item, content = entry
        if item.concept_id not in rows[item.content_type]:
            staging.write(item, content)
        on_staged()

    def stage_invalid(entry: tuple[Item, object]) -> None:
        item, content = entry
        if item.concept_id not in rows[item.content_type]:
            # Without the limit of `Staging.write`: a step refuses what is too large, and records it.
            bucket.put(staged_key(roadmap_id, item), json.dumps(content).encode())
        on_staged()

    in_parallel(
        stage_invalid, [(each.item, each.content) for each in bundle.invalid if each.item is not None]
    )
    in_parallel(stage, list(bundle.content.items()))
    saved = {Item(concept_id, content_type) for content_type, found in rows.items() for concept_id in found}
    saved_already = len(saved & bundle.content.keys())
    return Loaded(len(bundle.content) - saved_already, saved_already, saved)
