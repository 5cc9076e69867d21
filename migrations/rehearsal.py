"""The roadmap and task of a rehearsal, which is rolled back, and of a trial on a deployed stack. Only the
owner of the tables inserts them.
"""

import json

from sqlalchemy import Connection, text

# Insert the trial's roadmap, and its task, which waits for its first claim.
INSERT_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, total_estimated_hours, recommended_completion_weeks,
    framework_data, created_at)
VALUES (:roadmap_id, :user_id, 'Rehearsal', 1, 1, CAST(:framework AS json), content_now())
""")

INSERT_TASK = text("""
INSERT INTO roadmap_tasks
    (task_id, user_id, status, current_step, user_request, roadmap_id, created_at, updated_at)
VALUES (:trial, :trial, 'pending', 'content_generation_queued', '{}', :trial, content_now(), content_now())
""")


def trial_framework(trial: str) -> dict[str, object]:
    """The framework of a trial's roadmap: four concepts."""
    concepts = [
        {"concept_id": f"{trial}:c-1-1-{number}", "name": f"Concept {number}", "description": "A trial."}
        for number in range(1, 5)
    ]
    return {"stages": [{"name": "S", "modules": [{"name": "M", "concepts": concepts}]}]}


def insert_trial(connection: Connection, trial: str) -> None:
    """Insert a roadmap and its task; `trial` is the id of both, and of their user."""
    framework = json.dumps(trial_framework(trial))
    connection.execute(INSERT_ROADMAP, {"roadmap_id": trial, "user_id": trial, "framework": framework})
    connection.execute(INSERT_TASK, {"trial": trial})


# Insert copies of any roadmap and task of the product, which satisfy its rules, with the values that this
# system needs. The task's user is that of the copied roadmap.
COPY_ROADMAP = text("""
INSERT INTO roadmap_metadata SELECT (json_populate_record(r, CAST(:values AS json))).*
FROM roadmap_metadata r LIMIT 1
""")

COPY_TASK = text("""
INSERT INTO roadmap_tasks SELECT (json_populate_record(t, CAST(CAST(:values AS jsonb)
    || jsonb_build_object('user_id', r.user_id) AS json))).*
FROM roadmap_tasks t, roadmap_metadata r WHERE r.roadmap_id = :trial LIMIT 1
""")


def copy_trial(connection: Connection, trial: str) -> None:
    """Copy a roadmap and a task of the product under another id, if its rules refuse `insert_trial`."""
    roadmap = {"roadmap_id": trial, "framework_data": trial_framework(trial), "deleted_at": None}
    task = dict.fromkeys(("completed_at", "celery_task_id", "execution_arn", "error_message"))
    task |= {"task_id": trial, "roadmap_id": trial, "status": "pending", "attempt": "0"}
    task |= {"current_step": "content_generation_queued", "failed_concepts": None, "execution_summary": None}
    connection.execute(COPY_ROADMAP, {"values": json.dumps(roadmap)})
    connection.execute(COPY_TASK, {"values": json.dumps(task), "trial": trial})
