"""Plans the next check of each finished task, and records changes of its rows.

`content_checks` gets the time of the next check, and the pause after it. Existing tasks are checked once
within 30 days. `content_changes` holds changes that no sweep has seen. Triggers insert them: only of roadmaps
with a finished task of ours, and once per transaction and roadmap. The table has no other index than its key
and no foreign key, so an insert neither waits nor fails.

`concept_metadata` is only watched if it exists now. Other changes that no trigger sees, such as those of a
session with `session_replication_role = replica`, are found by the next planned check.

The defaults are for the previous release, which checks each finished task every 15 minutes. Downgrading
removes the table, the triggers and the plan.
"""

from alembic import op

revision = "0020"
down_revision = "0019"

CHECKS = """
ALTER TABLE content_checks ALTER COLUMN checked_at DROP NOT NULL,
    ADD COLUMN next_check_at timestamp NOT NULL
        DEFAULT timezone('utc', now()) + random() * interval '30 days',
    ADD COLUMN pause interval NOT NULL DEFAULT interval '30 days';
INSERT INTO content_checks (task_id)
SELECT task_id FROM roadmap_tasks
WHERE attempt > 0 AND status IN ('completed', 'partial_failure', 'failed', 'cancelled')
ON CONFLICT DO NOTHING;
ALTER TABLE content_checks
    ALTER COLUMN next_check_at SET DEFAULT timezone('utc', now()) + interval '15 minutes',
    ALTER COLUMN pause SET DEFAULT interval '15 minutes';
CREATE INDEX content_check_by_time ON content_checks (next_check_at, task_id);

CREATE TABLE content_changes (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roadmap_id text,
    task_id text
);
"""

# Several rows of one roadmap in one transaction are one change. The tasks' own trigger does not use this: a
# task may finish in a transaction that has changed its roadmap before.
NOTE_CHANGE = """
CREATE FUNCTION content_note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    changed text = coalesce(NEW.roadmap_id, OLD.roadmap_id);
BEGIN
    IF changed = current_setting('roadmap_content.changed', true) THEN
        RETURN NULL;
    END IF;
    INSERT INTO content_changes (roadmap_id) SELECT changed
    WHERE EXISTS (SELECT FROM roadmap_tasks t
        WHERE "left"(t.roadmap_id, 100) = "left"(changed, 100) AND t.roadmap_id = changed
            AND t.attempt > 0 AND t.status <> 'processing');
    PERFORM set_config('roadmap_content.changed', changed, true);
    RETURN NULL;
END $$
"""

# A task of the product, too: a task of ours with the same roadmap is checked when the product's has ended.
NOTE_TASK = """
CREATE FUNCTION content_note_task() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    IF NEW.status = 'processing' THEN
        RETURN NULL;
    END IF;
    INSERT INTO content_changes (roadmap_id, task_id)
    SELECT NEW.roadmap_id, CASE WHEN NEW.attempt > 0 THEN NEW.task_id END
    WHERE NEW.attempt > 0 OR EXISTS (SELECT FROM roadmap_tasks t
        WHERE "left"(t.roadmap_id, 100) = "left"(NEW.roadmap_id, 100) AND t.roadmap_id = NEW.roadmap_id
            AND t.attempt > 0 AND t.status <> 'processing');
    RETURN NULL;
END $$;
CREATE TRIGGER content_note_task AFTER INSERT OR UPDATE ON roadmap_tasks
FOR EACH ROW EXECUTE FUNCTION content_note_task()
"""

TRIGGER = """
DO $$
BEGIN
    IF to_regclass('{table}') IS NOT NULL THEN
        CREATE TRIGGER content_note_change AFTER INSERT OR UPDATE OR DELETE ON {table}
        FOR EACH ROW EXECUTE FUNCTION content_note_change();
    END IF;
END $$
"""

WATCHED = (
    "roadmap_metadata",
    "tutorial_metadata",
    "resource_recommendation_metadata",
    "quiz_metadata",
    "concept_metadata",
)

REMOVE = """
DROP TRIGGER content_note_task ON roadmap_tasks;
DROP FUNCTION content_note_task();
DROP FUNCTION content_note_change() CASCADE;
DROP TABLE content_changes;
DROP INDEX content_check_by_time;
DELETE FROM content_checks WHERE checked_at IS NULL;
ALTER TABLE content_checks ALTER COLUMN checked_at SET NOT NULL, DROP COLUMN next_check_at, DROP COLUMN pause;
"""


def upgrade() -> None:
    op.execute(CHECKS)
    op.execute(NOTE_CHANGE)
    op.execute(NOTE_TASK)
    for table in WATCHED:
        op.execute(TRIGGER.format(table=table))


def downgrade() -> None:
    op.execute(REMOVE)
