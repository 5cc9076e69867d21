"""The roadmap of a release's rehearsal, which is rolled back. Only the owner of the table inserts it."""

from sqlalchemy import Connection, text

INSERT_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, total_estimated_hours, recommended_completion_weeks,
    framework_data, created_at)
VALUES (:roadmap_id, 'rehearsal', 'Rehearsal', 1, 1, '{}', content_now())
""")


def insert_roadmap(connection: Connection, roadmap_id: str) -> None:
    """Insert a roadmap without concepts."""
    connection.execute(INSERT_ROADMAP, {"roadmap_id": roadmap_id})
