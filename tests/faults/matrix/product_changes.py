"""Changes by the product, on its own connection, between two steps; and an operator who stops the run."""

from sqlalchemy import text

from tests.faults.matrix.steps import IDS, Play

_SAVE_TUTORIAL = text("""
INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
    content_status, content_version, is_latest, estimated_completion_time, generated_at)
VALUES ('theirs', :concept_id, 'r-1', 'Theirs', 'Theirs', :url, 'completed', 1, true, 15, content_now())
""")

_FINISH = """
UPDATE roadmap_tasks SET status = 'partial_failure', failed_concepts = '{"count": 0, "concept_ids": []}',
    execution_summary = '{}', completed_at = content_now(), updated_at = content_now()
WHERE task_id = 't-1'
"""


def cancel(play: Play) -> None:
    """The user cancels the task in the product."""
    play.world.cancel()


def finish(play: Play) -> None:
    """The product finishes the task without our attempt."""
    play.world.pipeline.execute(_FINISH)


def delete_roadmap(play: Play) -> None:
    """The user deletes the roadmap, and restores it when the run is over."""
    play.world.delete_roadmap(deleted=True)


def save_tutorial(play: Play) -> None:
    """The product saves a tutorial that is staged: the text first, as it does."""
    world, concept_id = play.world, IDS[2]
    url = f"r-1/concepts/{concept_id}/v1.md"
    world.pipeline.bucket.put(url, b"# Theirs")
    world.log.rewritten.add(concept_id)
    world.log.removed_items.add((concept_id, "tutorial"))
    with world.pipeline.engine.begin() as connection:
        connection.execute(
            text("DELETE FROM tutorial_metadata WHERE concept_id = :concept_id"), {"concept_id": concept_id}
        )
        connection.execute(_SAVE_TUTORIAL, {"concept_id": concept_id, "url": url})


def stop(play: Play) -> None:
    """StopExecution. Its event is handled before the step goes on."""
    play.world.stop(play.run)
    play.world.reconcile(play.run)


def restore_backup(play: Play) -> None:
    """The database is restored from a backup of before the task's first attempt.

    Step Functions and S3 have executions and objects that the restored rows do not know.
    """
    world = play.world
    for table in ("content_attempts", "content_failures", "content_task_failures", "content_queue"):
        world.pipeline.execute(f"DELETE FROM {table} WHERE task_id = 't-1'")
    world.pipeline.execute(
        "UPDATE roadmap_tasks SET status = 'pending', attempt = 0, execution_arn = NULL, completed_at = NULL,"
        " failed_concepts = NULL, execution_summary = NULL, error_message = NULL WHERE task_id = 't-1'"
    )
    world.oracle.forget_attempts()
