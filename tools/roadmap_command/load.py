"""Loads a bundle: its roadmap and task into PostgreSQL, its content staged in S3, ready to be saved."""

import json

from sqlalchemy import Connection, Engine, text

from roadmap_content.bundle import Bundle
from roadmap_content.errors import InvalidBundleError
from roadmap_content.postgres.transactions import transact
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.storage.bucket import Bucket, in_parallel
from roadmap_content.storage.staging import Staging

# What is there already stays: a roadmap that is loaded again has its content staged again, no more.
INSERT_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, total_estimated_hours,
    recommended_completion_weeks, framework_data, created_at)
VALUES (:roadmap_id, :user_id, :title, :total_estimated_hours, :recommended_completion_weeks,
    CAST(:framework_data AS json), timezone('utc', now()))
ON CONFLICT (roadmap_id) DO NOTHING
""")

INSERT_TASK = text("""
INSERT INTO roadmap_tasks (task_id, user_id, status, user_request, roadmap_id, created_at, updated_at)
VALUES (:task_id, :user_id, 'pending', '{}', :roadmap_id, timezone('utc', now()), timezone('utc', now()))
ON CONFLICT (task_id) DO NOTHING
""")

OWNERS = text("""
SELECT r.user_id AS roadmap_user, t.user_id AS task_user, t.roadmap_id
FROM roadmap_metadata r, roadmap_tasks t WHERE r.roadmap_id = :roadmap_id AND t.task_id = :task_id
""")


def load_bundle(bundle: Bundle, engine: Engine, bucket: Bucket, deadline: Deadline) -> None:
    """Load a bundle. Loaded again, it stages its content again and changes nothing else.

    Raises:
        InvalidBundleError: the roadmap or the task exists and is somebody else's; nothing was written.
    """

    def insert(connection: Connection) -> None:
        roadmap, task = bundle.roadmap, bundle.task
        framework = json.dumps(roadmap.framework_data)
        connection.execute(INSERT_ROADMAP, roadmap.model_dump() | {"framework_data": framework})
        connection.execute(INSERT_TASK, task.model_dump())
        owners = connection.execute(OWNERS, task.model_dump()).one()
        if owners.roadmap_user != roadmap.user_id:
            raise InvalidBundleError(f"roadmap {roadmap.roadmap_id!r} exists and is another user's")
        if (owners.task_user, owners.roadmap_id) != (task.user_id, task.roadmap_id):
            raise InvalidBundleError(f"task {task.task_id!r} exists and is for another user or roadmap")

    transact(engine, insert, deadline)
    staging = Staging(bucket, bundle.roadmap.roadmap_id)
    in_parallel(lambda entry: staging.write(*entry), bundle.content.items())
