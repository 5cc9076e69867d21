"""The roadmaps of a release's rehearsal, which is rolled back, and of a trial on a deployed stack. Only the
owner of the tables inserts them.
"""

import json

from sqlalchemy import Connection, text

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


def insert_roadmap(connection: Connection, roadmap_id: str) -> None:
    """Insert a roadmap without concepts."""
    values = {"roadmap_id": roadmap_id, "user_id": "rehearsal", "framework": "{}"}
    connection.execute(INSERT_ROADMAP, values)


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
