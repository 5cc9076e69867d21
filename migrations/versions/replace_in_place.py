"""Keeps one row per concept for every reader, and lets attempts survive a restart of the product.

Replacing resources or a quiz once inserted a new row and removed the old one. A learner with the old quiz on
the screen could not save an attempt any more, and if an attempt existed, both rows stayed: the product's
page, which expects one row, answered 500. Now a row keeps its id and gets the new content. `content_archive`
keeps the old content. Its `row_id` is the id of the archived row; `replaced_by` is the id of the content that
replaced it in place. A row's revision is the newest of these ids, or its own id if there is none.

- `content_before_quiz` and `content_before_resources` (from revision 0005) replace a row in place if another
  row refers to it, instead of keeping both. A foreign key refers, and so does `quiz_attempts` without one.
- `content_merge_items` merges the rows of a concept that were written before, or at the same moment.
- `content_quiz_at` returns the questions that a quiz had at a time of the product's clock, for its attempts.
- `content_keep_version`: the product saves a tutorial twice, and its update sets the version to 1 again. The
  row keeps its version if another row of the concept has the new one.
- `content_before_task`: at its start the product marks tasks in `processing` as failed at the step
  `recovery_failed`. This does not apply to a task with an open attempt of ours, nor to one of ours that has
  left `processing` since the product read it.

They look up rows by index, whatever the size of a table, for the reason in revision 0012.

Downgrading restores the earlier triggers and removes the rest. The rows of `content_archive` stay.
"""

from alembic import op

from migrations.versions.stand_aside_for_the_product import BEFORE_ITEM, TABLES

revision = "0015"
down_revision = "0014"

ARCHIVE = """
ALTER TABLE content_archive ADD COLUMN row_id text, ADD COLUMN replaced_by text;
CREATE INDEX content_archive_by_row ON content_archive (row_id, archive_id) WHERE row_id IS NOT NULL;
"""

REFERENCES = """
CREATE FUNCTION content_references(target regclass)
RETURNS TABLE (referring regclass, own_column name, far_column name)
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT CAST(c.conrelid AS regclass), own.attname, far.attname
    FROM pg_constraint c
    JOIN pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = c.conkey[1]
    JOIN pg_attribute far ON far.attrelid = c.confrelid AND far.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND c.confrelid = target
    UNION
    SELECT CAST(a.attrelid AS regclass), a.attname, CAST('quiz_id' AS name)
    FROM pg_attribute a
    WHERE target = to_regclass('quiz_metadata') AND a.attrelid = to_regclass('quiz_attempts')
        AND a.attname = 'quiz_id' AND NOT a.attisdropped
$$;

CREATE FUNCTION content_is_referenced(target regclass, item anyelement) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    reference record;
    referenced boolean;
BEGIN
    FOR reference IN SELECT * FROM content_references(target) LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE CAST(%I AS text) = CAST(($1).%I AS text))',
            reference.referring, reference.own_column, reference.far_column) INTO referenced USING item;
        IF referenced THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$
"""

# All columns but the key, because an adopted table may have columns that we do not know.
REPLACE = """
CREATE FUNCTION content_replace_item(target regclass, key_column name, kept anyelement, newer anyelement)
RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    columns text;
    given text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', '), string_agg(format('($1).%I', attname), ', ')
    INTO columns, given FROM pg_attribute
    WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND attname <> key_column;
    EXECUTE format('UPDATE %s SET (%s) = (SELECT %s) WHERE %I = ($2).%I',
        target, columns, given, key_column, key_column) USING newer, kept;
END $$
"""

# A row that cannot be locked for deletion, but can be locked for an update, is about to be referred to.
BEFORE_ITEM_IN_PLACE = """
CREATE OR REPLACE FUNCTION content_before_{noun}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    older {table};
    newer {table} = NEW;
    kept {table};
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(hashtextextended('content of ' || NEW.roadmap_id, 0)) THEN
        PERFORM content_wait_for_savers(NEW.roadmap_id);
    END IF;
    IF NOT EXISTS (SELECT FROM {table} WHERE roadmap_id = NEW.roadmap_id AND concept_id = NEW.concept_id)
        OR EXISTS (SELECT FROM {table} WHERE {key} = NEW.{key}) THEN
        RETURN NEW;
    END IF;
    FOR older IN SELECT * FROM {table}
        WHERE roadmap_id = NEW.roadmap_id AND concept_id = NEW.concept_id FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM FROM {table} WHERE {key} = older.{key} FOR UPDATE SKIP LOCKED;
        IF NOT FOUND OR content_is_referenced(TG_RELID, older) THEN
            kept = older;
        ELSE
            INSERT INTO content_archive (source_table, source_row, reason, row_id)
            VALUES ('{table}', to_json(older), 'a newer row was inserted for the same concept', older.{key});
            DELETE FROM {table} WHERE {key} = older.{key};
        END IF;
    END LOOP;
    IF kept.{key} IS NULL THEN
        RETURN NEW;
    END IF;
    INSERT INTO content_archive (source_table, source_row, reason, row_id, replaced_by)
    VALUES ('{table}', to_json(kept), 'a newer row replaced it in place', kept.{key}, NEW.{key});
    PERFORM content_replace_item(TG_RELID, '{key}', kept, newer);
    RETURN NULL;
END $$
"""

# The row that others refer to is kept, with the content of the newest row. If others refer to several rows,
# they then refer to this one; if a constraint of theirs does not allow it, the row stays.
MERGE = """
CREATE FUNCTION content_merge_{noun}(merged_roadmap text) RETURNS integer
LANGUAGE plpgsql SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    merged_concept text;
    newest {table};
    kept {table};
    other {table};
    reference record;
    merged integer = 0;
BEGIN
    FOR merged_concept IN SELECT concept_id FROM {table} WHERE roadmap_id = merged_roadmap
        GROUP BY concept_id HAVING count(*) > 1
    LOOP
        PERFORM FROM {table} WHERE roadmap_id = merged_roadmap AND concept_id = merged_concept FOR UPDATE;
        SELECT * INTO newest FROM {table} WHERE roadmap_id = merged_roadmap AND concept_id = merged_concept
        ORDER BY generated_at DESC NULLS LAST, {key} DESC LIMIT 1;
        SELECT q.* INTO kept FROM {table} q WHERE roadmap_id = merged_roadmap AND concept_id = merged_concept
        ORDER BY content_is_referenced('{table}', q) DESC, generated_at DESC NULLS LAST, {key} DESC LIMIT 1;
        FOR other IN SELECT * FROM {table}
            WHERE roadmap_id = merged_roadmap AND concept_id = merged_concept AND {key} <> kept.{key}
        LOOP
            BEGIN
                FOR reference IN SELECT * FROM content_references('{table}') LOOP
                    EXECUTE format(
                        'UPDATE %s SET %I = ($1).%I WHERE CAST(%I AS text) = CAST(($2).%I AS text)',
                        reference.referring, reference.own_column, reference.far_column,
                        reference.own_column, reference.far_column) USING kept, other;
                END LOOP;
                INSERT INTO content_archive (source_table, source_row, reason, row_id)
                VALUES ('{table}', to_json(other), 'merged with another row of the concept', other.{key});
                DELETE FROM {table} WHERE {key} = other.{key};
                merged = merged + 1;
            EXCEPTION WHEN integrity_constraint_violation THEN
                RAISE WARNING 'the row % of {table} is referred to and stays', other.{key};
            END;
        END LOOP;
        IF kept.{key} <> newest.{key} THEN
            INSERT INTO content_archive (source_table, source_row, reason, row_id, replaced_by)
            VALUES ('{table}', to_json(kept), 'a newer row replaced it in place', kept.{key}, newest.{key});
            PERFORM content_replace_item('{table}', '{key}', kept, newest);
        END IF;
    END LOOP;
    RETURN merged;
END $$
"""

MERGE_ITEMS = """
CREATE FUNCTION content_merge_items(roadmap_id text) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
    SELECT content_merge_resources(roadmap_id) + content_merge_quiz(roadmap_id)
$$;
REVOKE ALL ON FUNCTION content_merge_items(text) FROM PUBLIC
"""

QUIZ_AT = """
CREATE FUNCTION content_quiz_at(quiz text, at timestamp) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
    SELECT coalesce(
        (SELECT a.source_row->'questions' FROM content_archive a
        WHERE a.row_id = quiz AND a.source_table = 'quiz_metadata' AND a.replaced_by IS NOT NULL
            AND timezone(content_time_zone(), timezone('UTC', a.archived_at)) > at
        ORDER BY a.archive_id LIMIT 1),
        (SELECT q.questions FROM quiz_metadata q WHERE q.quiz_id = quiz))
$$
"""

KEEP_VERSION = """
CREATE FUNCTION content_keep_version() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    IF NEW.content_version IS DISTINCT FROM OLD.content_version AND EXISTS (
        SELECT FROM tutorial_metadata WHERE roadmap_id = NEW.roadmap_id
        AND concept_id = NEW.concept_id AND content_version = NEW.content_version
        AND tutorial_id <> OLD.tutorial_id) THEN
        NEW.content_version = OLD.content_version;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER content_keep_version BEFORE UPDATE ON tutorial_metadata
FOR EACH ROW EXECUTE FUNCTION content_keep_version()
"""

# The update succeeds and changes nothing.
BEFORE_TASK = """
CREATE FUNCTION content_before_task() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    IF OLD.attempt IS NULL OR OLD.attempt <= 0 OR NEW.status IS DISTINCT FROM 'failed'
        OR NEW.current_step IS DISTINCT FROM 'recovery_failed'
        OR OLD.current_step IS NOT DISTINCT FROM 'recovery_failed' THEN
        RETURN NEW;
    END IF;
    IF OLD.status <> 'processing' OR EXISTS (SELECT FROM content_attempts
        WHERE task_id = OLD.task_id AND attempt = OLD.attempt AND ended_at IS NULL) THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER content_before_task BEFORE UPDATE ON roadmap_tasks
FOR EACH ROW EXECUTE FUNCTION content_before_task()
"""

REMOVE = """
DROP TRIGGER content_before_task ON roadmap_tasks;
DROP FUNCTION content_before_task();
DROP TRIGGER content_keep_version ON tutorial_metadata;
DROP FUNCTION content_keep_version();
DROP FUNCTION content_quiz_at(text, timestamp);
DROP FUNCTION content_merge_items(text);
DROP FUNCTION content_merge_resources(text);
DROP FUNCTION content_merge_quiz(text);
DROP FUNCTION content_replace_item(regclass, name, anyelement, anyelement);
DROP FUNCTION content_is_referenced(regclass, anyelement);
DROP FUNCTION content_references(regclass);
DROP INDEX content_archive_by_row;
ALTER TABLE content_archive DROP COLUMN row_id, DROP COLUMN replaced_by;
"""

ITEMS = {noun: TABLES[noun] for noun in ("resources", "quiz")}


def upgrade() -> None:
    op.execute(ARCHIVE)
    op.execute(REFERENCES)
    op.execute(REPLACE)
    for noun, (table, key) in ITEMS.items():
        op.execute(BEFORE_ITEM_IN_PLACE.format(noun=noun, table=table, key=key))
        op.execute(MERGE.format(noun=noun, table=table, key=key))
    op.execute(MERGE_ITEMS)
    op.execute(QUIZ_AT)
    op.execute(KEEP_VERSION)
    op.execute(BEFORE_TASK)


def downgrade() -> None:
    for noun, (table, key) in ITEMS.items():
        earlier = BEFORE_ITEM.format(noun=noun, table=table, key=key)
        op.execute(earlier.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
        op.execute(f"ALTER FUNCTION content_before_{noun}() SET enable_seqscan = off")  # of revision 0012
    op.execute(REMOVE)
