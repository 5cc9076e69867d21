-- Deletes the rows of a user, or of one roadmap of the user. Parameters: :user_id; :roadmap_id, or an empty string for
-- all the user's roadmaps and tasks. Run it in one transaction, as a role that may delete from all of the tables.
-- docs/runbook.md, "Deletion of a user's data", describes how, and the data outside of the
-- database.

-- Subtract the failures of the deleted tasks from the sums.
UPDATE content_failure_groups g SET tasks = g.tasks - f.tasks, items = g.items - f.items
FROM (SELECT group_id, count(*) AS tasks, sum(items) AS items FROM content_task_failures WHERE task_id IN
        (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id))
    GROUP BY group_id) f
WHERE g.group_id = f.group_id;
UPDATE content_failure_hours h SET items = h.items - f.items
FROM (SELECT group_id, date_trunc('hour', last_seen) AS hour, sum(items) AS items FROM content_task_failures
    WHERE task_id IN
        (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id))
    GROUP BY group_id, date_trunc('hour', last_seen)) f
WHERE h.group_id = f.group_id AND h.hour = f.hour;
DELETE FROM content_task_failures WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_failures WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_attempts WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_automatic_attempts WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_checks WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_queue WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_queue_keys WHERE queue_key = 'user:' || CAST(:user_id AS text) AND :roadmap_id = '';
DELETE FROM content_events WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM generation_tokens WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM content_recovery_tasks WHERE task_id IN
    (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
-- Recoveries that have ended and retried only deleted tasks. It names both parameters as every statement does: that the
-- Data API takes one that a statement does not name is not documented.
DELETE FROM content_recoveries r WHERE ended_at IS NOT NULL
    AND NOT EXISTS (SELECT FROM content_recovery_tasks t WHERE t.recovery_id = r.recovery_id)
    AND CAST(:user_id AS text) IS NOT NULL AND CAST(:roadmap_id AS text) IS NOT NULL;
DELETE FROM content_origins WHERE roadmap_id IN
    (SELECT roadmap_id FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM tutorial_metadata WHERE roadmap_id IN
    (SELECT roadmap_id FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM resource_recommendation_metadata WHERE roadmap_id IN
    (SELECT roadmap_id FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM quiz_metadata WHERE roadmap_id IN
    (SELECT roadmap_id FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
-- After the rows of content: deleting them archives them.
DELETE FROM content_archive WHERE roadmap_id IN
    (SELECT roadmap_id FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
-- The statements before have recorded changes of these roadmaps.
DELETE FROM content_changes WHERE roadmap_id IN
    (SELECT roadmap_id FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id))
    OR task_id IN (SELECT task_id FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id));
DELETE FROM roadmap_tasks WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id);
DELETE FROM roadmap_metadata WHERE user_id = :user_id AND :roadmap_id IN ('', roadmap_id);
