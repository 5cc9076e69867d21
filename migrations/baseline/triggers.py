"""The functions of this system, and its triggers on the product's tables.

- The product's timestamps have no time zone, and are local times. Ours must be of the same zone: durations
  between two clocks are hours too long, or negative. The zone is a function, so that every session has the
  same one, also through a pooler. It is UTC until `migrations.use_time_zone` sets another one.
- The product writes each tutorial as version 1, with a new id, and updates it with version 1 again: the
  versions and the mark of the latest are corrected.
- A second row of a concept's resources or quiz replaces the first, in place if another row refers to it (a
  foreign key, or `quiz_attempts` without one): a learner with the old quiz on the screen can save an attempt,
  and each page finds one row. `content_merge_items` merges rows that were inserted at the same moment.
- The content of a row is archived before the product changes or deletes it.
- At its start the product marks tasks in `processing` as failed at the step `recovery_failed`, also ours.
- Changes of rows are noted for the sweep: of roadmaps with a finished task of ours, once per transaction and
  roadmap. The next planned check finds changes that no trigger sees.

Save holds an exclusive advisory lock of the roadmap. An insert of the product takes the lock in shared
mode, and waits for less than `deadlock_timeout`: it is never cancelled because of a deadlock, and continues
without the lock instead of failing. Two inserts of the product do not wait for each other.

No trigger fails a write of the product, also after later migrations of its tables: `_TRIGGER` is around each
body. An error rolls the body back, with its locks and settings; the row is written as it came, and
`content_findings` gets a row. Errors at the COMMIT (conflicts of serializable transactions, deferred
constraints) and cancelled statements (57014) are not caught. A handler does not catch errors of its own
DECLARE section, nor those of compiling: no trigger's function declares a variable with the type of a table,
and bodies declare their variables inside the handler.

The functions run with the privileges of the migrating role, so the product's role needs none on our tables.
They must not run code of other roles with these privileges: they name the schema of each object, their
`search_path` has no schema in which a role may create an object, and only roles that `migrations.privileges`
names may call them. PostgreSQL checks no privilege on a trigger's function when the trigger fires.

Triggers and checks of the product may name objects without a schema, and inherit the path of the function
that fires them. So the statements that change rows of the product run in `content_rewrite`. Its path has the
schemas in which only the owners of the product's tables may create an object, and the statements name each
operator with its schema.

They look up rows by index (`enable_seqscan = off`): a session keeps the plan of a statement in a trigger,
and a plan that was made while a table was empty would read the whole table until the table is analyzed.

No trigger on a product's table has a `WHEN`: PostgreSQL refuses to change the type of a column that the
definition of a trigger names, and the product's own migrations must succeed.
"""

import re
from collections.abc import Iterable

from sqlalchemy import Connection, text

from migrations import time_zone_function

# The time zone of the product's columns, and the present local time in it.
CLOCK = f"""
{time_zone_function("UTC")};
CREATE FUNCTION content_now() RETURNS timestamp
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN timezone({{schema}}.content_time_zone(), now());
END $$
"""

# Waits until no Save holds the roadmap, but not for long. A separate function, so that only an insert that
# waits has the cost of the subtransaction. After a wait without success, the transaction's other inserts do
# not wait again.
WAIT = """
CREATE FUNCTION content_wait_for_savers(roadmap_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '800ms' AS $$
BEGIN
    IF current_setting('roadmap_content.waited', true) = 'in vain' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('content of ' || roadmap_id, 0));
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    PERFORM set_config('roadmap_content.waited', 'in vain', true);
END $$
"""

# The function of a trigger, around its body: after an error, the product's row is written as it came. The
# rollback of a block does not restore NEW, so its copy is returned.
_TRIGGER = """
CREATE FUNCTION {function}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    unchanged record;
BEGIN
    unchanged = NEW;
{body}
EXCEPTION WHEN OTHERS THEN
    BEGIN
        PERFORM {schema}.content_trigger_failed(TG_NAME || ' of ' || TG_TABLE_NAME, SQLSTATE, SQLERRM);
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'the failure of the trigger % of % is not recorded: %', TG_NAME, TG_TABLE_NAME, SQLERRM;
    END;
    RETURN unchanged;
END $$
"""

# Records the failure of a trigger, once per transaction and trigger. A plain insert into a table without an
# index makes no session wait. Only messages of class 42 are kept: they name columns and tables, and others
# may quote content.
TRIGGER_FAILED = """
CREATE FUNCTION content_trigger_failed(failing text, state text, reason text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    recorded text = coalesce(current_setting('roadmap_content.failed', true), '');
BEGIN
    IF strpos(recorded, failing || ';') > 0 THEN
        RETURN;
    END IF;
    RAISE WARNING 'the trigger % failed, and the row is written as it came: % (%)', failing, reason, state;
    PERFORM set_config('roadmap_content.failed', recorded || failing || ';', true);
    INSERT INTO {schema}.content_findings (kind, object, sqlstate, message)
    VALUES ('trigger_fails', failing, state, CASE WHEN state LIKE '42%' THEN reason END);
END $$
"""

# Reads the roles that may create an object in a schema of the search path, besides its owner, superusers,
# this function's owner, and roles with the privileges of the owner of the product's tables.
CREATORS = """
CREATE FUNCTION content_creators() RETURNS TABLE (schema_name text, role_name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT n.nspname, coalesce(r.rolname, 'PUBLIC')
    FROM pg_namespace n CROSS JOIN aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE n.nspname = ANY(CAST({schemas} AS name[])) AND a.privilege_type = 'CREATE'
        AND a.grantee <> n.nspowner AND (r.oid IS NULL OR NOT r.rolsuper AND r.rolname <> current_user
            AND NOT pg_has_role(r.oid, (SELECT t.relowner FROM pg_class t
                WHERE t.oid = to_regclass('{schema}.roadmap_metadata')), 'USAGE'))
$$
"""

# Executes a statement that changes rows of the product, and sets off its triggers, with a path that is safe
# for them; `older` and `newer` are the statement's `$1` and `$2` (0 if it has none).
REWRITE = """
CREATE OR REPLACE FUNCTION content_rewrite(statement text, older anyelement, newer anycompatible) RETURNS void
LANGUAGE plpgsql SET search_path = {path} SET enable_seqscan = off AS $$
BEGIN
    EXECUTE statement USING older, newer;
END $$
"""

# The schemas of the search path in which no other role may create an object, each with a comma after it.
SAFE_PATH = """
SELECT coalesce(string_agg(quote_ident(name) || ', ', '' ORDER BY place), '')
FROM unnest(current_schemas(false)) WITH ORDINALITY AS p(name, place)
WHERE name NOT IN (SELECT schema_name FROM content_creators()) AND name <> 'pg_catalog'
"""


def digest(text_value: str) -> str:
    """The digest of an id in our indexes: an index entry holds 2,704 bytes, and an id may be any text. The
    cast lets the product change the column's type, and the collation its collation.
    """
    return f'hashtextextended(CAST({text_value} AS text) COLLATE "C", 0)'


def of_item(roadmap_id: str, concept_id: str) -> str:
    """The condition of an item's rows. Only the index of digests can answer it: while the statistics are
    stale, the planner would choose the product's index of `roadmap_id`, and read the whole roadmap.
    """
    return (
        f"{digest('roadmap_id')} = {digest(roadmap_id)} AND {digest('concept_id')} = {digest(concept_id)}"
        f" AND (roadmap_id, concept_id) IS NOT DISTINCT FROM ({roadmap_id}, {concept_id})"
    )


def of_roadmap(roadmap_id: str) -> str:
    """The condition of a roadmap's tasks `t`, which our index of 100 characters of the id answers."""
    return (
        f'"left"(t.roadmap_id, 100) COLLATE "C" = "left"({roadmap_id}, 100) AND t.roadmap_id = {roadmap_id}'
    )


OF_NEW = of_item("NEW.roadmap_id", "NEW.concept_id")
OF_MERGED = of_item("merged_roadmap", "merged_concept")

# Gives a new row that is inserted as the latest the version after the highest, unless its own is higher, or
# its key exists (`BEFORE_ITEM`).
BEFORE_TUTORIAL = """
DECLARE
    highest integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(hashtextextended('content of ' || NEW.roadmap_id, 0)) THEN
        PERFORM {schema}.content_wait_for_savers(NEW.roadmap_id);
    END IF;
    SELECT max(content_version) INTO highest FROM {schema}.tutorial_metadata
    WHERE {of_new};
    IF highest IS NULL OR NEW.is_latest IS NOT TRUE
        OR EXISTS (SELECT FROM {schema}.tutorial_metadata WHERE tutorial_id = NEW.tutorial_id) THEN
        RETURN NEW;
    END IF;
    IF NEW.content_version <= highest THEN
        NEW.content_version = highest + 1;
    END IF;
    RETURN NEW;
END;
"""

# Marks the concept's tutorials with lower versions as not the latest; below version 1 there is none. An AFTER
# trigger, because a statement that inserts a row and demotes the others itself fails (27000) if a trigger has
# updated them before. A row that another transaction is updating is skipped, because that transaction marks
# it as not the latest.
AFTER_TUTORIAL = """
DECLARE
    older record;
BEGIN
    IF NEW.is_latest IS NOT TRUE OR NEW.content_version <= 1 THEN
        RETURN NULL;
    END IF;
    FOR older IN SELECT tutorial_id FROM {schema}.tutorial_metadata
        WHERE {of_new} AND is_latest
            AND content_version < NEW.content_version
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM {schema}.content_rewrite('UPDATE {schema}.tutorial_metadata SET is_latest = false '
            'WHERE tutorial_id OPERATOR(pg_catalog.=) $1', older.tutorial_id, 0);
    END LOOP;
    RETURN NULL;
END;
"""

# `content_references`: the columns that refer to a table, by a foreign key (the first, if it has several), or
# as `quiz_attempts.quiz_id` without one. `content_is_referenced`: whether one of them refers to a row; of a
# quiz, true if a migration has seen `quiz_attempts.quiz_id`, and it is gone.
REFERENCES = """
CREATE FUNCTION content_references(target regclass)
RETURNS TABLE (referring regclass, own_column name, far_column name)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CAST(c.conrelid AS regclass), own.attname, far.attname
    FROM pg_constraint c
    JOIN pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = c.conkey[1]
    JOIN pg_attribute far ON far.attrelid = c.confrelid AND far.attnum = c.confkey[1]
    WHERE c.contype = 'f' AND c.confrelid = target
    UNION
    SELECT CAST(a.attrelid AS regclass), a.attname, CAST('quiz_id' AS name)
    FROM pg_attribute a
    WHERE target = to_regclass('{schema}.quiz_metadata')
        AND a.attrelid = to_regclass('{schema}.quiz_attempts')
        AND a.attname = 'quiz_id' AND NOT a.attisdropped
$$;

CREATE FUNCTION content_is_referenced(target regclass, item anyelement) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    reference record;
    referenced boolean;
BEGIN
    IF target = to_regclass('{schema}.quiz_metadata')
        AND NOT EXISTS (SELECT FROM {schema}.content_references(target))
        AND EXISTS (SELECT FROM {schema}.content_installation
            WHERE (kind, table_name, name) = ('column', 'quiz_attempts', 'quiz_id')) THEN
        RETURN true;
    END IF;
    FOR reference IN SELECT * FROM {schema}.content_references(target) LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE CAST(%I AS text) = CAST(($1).%I AS text))',
            reference.referring, reference.own_column, reference.far_column) INTO referenced USING item;
        IF referenced THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END $$
"""

# Gives the row `kept` the content of `newer`. All columns but the key, because an adopted table may have
# columns that we do not know.
REPLACE = """
CREATE FUNCTION content_replace_item(target regclass, key_column name, kept anyelement, newer anycompatible)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    columns text;
    given text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', '), string_agg(format('($2).%I', attname), ', ')
    INTO columns, given FROM pg_attribute
    WHERE attrelid = target AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
        AND attidentity <> 'a' AND attname <> key_column;
    PERFORM {schema}.content_rewrite(
        format('UPDATE %s SET (%s) = (SELECT %s) WHERE %I OPERATOR(pg_catalog.=) ($1).%I',
            target, columns, given, key_column, key_column), kept, newer);
END $$
"""

# Archives a former row with the id `former_row`; `newer` is the id of the content that replaces it, NULL if
# the row goes. Its revision, `content_id`, is that of the last content which has replaced one in this row, or
# else its id.
ARCHIVE = """
CREATE FUNCTION content_archive_row(source text, former json, roadmap text, concept text, why text,
    former_row text, newer text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    INSERT INTO {schema}.content_archive
        (source_table, source_row, roadmap_id, concept_id, reason, row_id, content_id, replaced_by)
    VALUES (source, former, roadmap, concept, why, former_row,
        coalesce((SELECT a.replaced_by FROM {schema}.content_archive a
            WHERE a.row_id = former_row AND a.source_table = source AND a.replaced_by IS NOT NULL
            ORDER BY a.archive_id DESC LIMIT 1), former_row), newer)
$$
"""

# Lets a new row replace the concept's older ones: they are archived and deleted. One that another row refers
# to is kept: it gets the content of the new row, which is not inserted then. If there are several, the last
# gets it, and the others stay until `content_merge_items`. A row that cannot be locked for
# deletion, but can be locked for an update, is about to be referred to. A new row whose key exists changes
# nothing here: the insert becomes an update, or fails as it would without us.
BEFORE_ITEM = """
DECLARE
    older record;
    kept record;
    is_kept boolean = false;
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(hashtextextended('content of ' || NEW.roadmap_id, 0)) THEN
        PERFORM {schema}.content_wait_for_savers(NEW.roadmap_id);
    END IF;
    IF NOT EXISTS (SELECT FROM {schema}.{table}
            WHERE {of_new})
        OR EXISTS (SELECT FROM {schema}.{table} WHERE {key} = NEW.{key}) THEN
        RETURN NEW;
    END IF;
    FOR older IN SELECT t AS item, t.{key} AS key FROM {schema}.{table} t
        WHERE {of_new} FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        PERFORM FROM {schema}.{table} WHERE {key} = older.key FOR UPDATE SKIP LOCKED;
        IF NOT FOUND OR {schema}.content_is_referenced('{schema}.{table}', older.item) THEN
            kept = older;
            is_kept = true;
        ELSE
            PERFORM {schema}.content_archive_row('{table}', to_json(older.item),
                CAST(NEW.roadmap_id AS text), CAST(NEW.concept_id AS text),
                'a newer row was inserted for the same concept', CAST(older.key AS text), NULL);
            PERFORM {schema}.content_rewrite(
                'DELETE FROM {schema}.{table} WHERE {key} OPERATOR(pg_catalog.=) $1', older.key, 0);
        END IF;
    END LOOP;
    IF NOT is_kept THEN
        RETURN NEW;
    END IF;
    PERFORM {schema}.content_archive_row('{table}', to_json(kept.item),
        CAST(NEW.roadmap_id AS text), CAST(NEW.concept_id AS text),
        'a newer row replaced it in place', CAST(kept.key AS text), CAST(NEW.{key} AS text));
    PERFORM {schema}.content_replace_item('{schema}.{table}', '{key}', kept.item, NEW);
    RETURN NULL;
END;
"""

# Merges the rows of each concept of a roadmap into one, and returns the number of those that are gone. The
# row that others refer to is kept, with the content of the newest row. If others refer to several rows, they
# then refer to this one; if a constraint of theirs does not allow it, the row stays. The archived copy of
# content that is current in another row has no `content_id`, so that its origin does not go with the copy.
MERGE = """
CREATE FUNCTION content_merge_{noun}(merged_roadmap text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    merged_concept text;
    newest {schema}.{table};
    kept {schema}.{table};
    other {schema}.{table};
    reference record;
    merged integer = 0;
BEGIN
    FOR merged_concept IN SELECT concept_id FROM {schema}.{table} WHERE roadmap_id = merged_roadmap
        GROUP BY concept_id HAVING count(*) > 1
    LOOP
        PERFORM FROM {schema}.{table}
        WHERE {of_merged} FOR UPDATE;
        SELECT * INTO newest FROM {schema}.{table}
        WHERE {of_merged}
        ORDER BY generated_at DESC NULLS LAST, {key} DESC LIMIT 1;
        SELECT q.* INTO kept FROM {schema}.{table} q
        WHERE {of_merged}
        ORDER BY {schema}.content_is_referenced('{schema}.{table}', q) DESC,
            generated_at DESC NULLS LAST, {key} DESC LIMIT 1;
        FOR other IN SELECT * FROM {schema}.{table}
            WHERE {of_merged} AND {key} <> kept.{key}
        LOOP
            BEGIN
                FOR reference IN SELECT * FROM {schema}.content_references('{schema}.{table}') LOOP
                    PERFORM {schema}.content_rewrite(format('UPDATE %s SET %I = ($2).%I '
                        'WHERE CAST(%I AS text) OPERATOR(pg_catalog.=) CAST(($1).%I AS text)',
                        reference.referring, reference.own_column, reference.far_column,
                        reference.own_column, reference.far_column), other, kept);
                END LOOP;
                PERFORM {schema}.content_archive_row('{table}', to_json(other),
                    merged_roadmap, merged_concept,
                    'merged with another row of the concept', CAST(other.{key} AS text), NULL);
                PERFORM {schema}.content_rewrite(
                    'DELETE FROM {schema}.{table} WHERE {key} OPERATOR(pg_catalog.=) $1', other.{key}, 0);
                merged = merged + 1;
            EXCEPTION WHEN integrity_constraint_violation THEN
                RAISE WARNING 'the row % of {table} is referred to and stays', other.{key};
            END;
        END LOOP;
        IF kept.{key} <> newest.{key} THEN
            UPDATE {schema}.content_archive SET content_id = NULL
            WHERE row_id = newest.{key} AND content_id = newest.{key} AND source_table = '{table}';
            PERFORM {schema}.content_archive_row('{table}', to_json(kept), merged_roadmap, merged_concept,
                'a newer row replaced it in place', CAST(kept.{key} AS text), CAST(newest.{key} AS text));
            PERFORM {schema}.content_replace_item('{schema}.{table}', '{key}', kept, newest);
        END IF;
    END LOOP;
    RETURN merged;
END $$
"""

# Merges the rows of each content type that has one row for an item.
MERGE_ITEMS = """
CREATE FUNCTION content_merge_items(roadmap_id text) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    SELECT {schema}.content_merge_resources(roadmap_id) + {schema}.content_merge_quiz(roadmap_id)
$$
"""

# The questions of a quiz at a local time: those that were archived first after it, or the present ones.
QUIZ_AT = """
CREATE FUNCTION content_quiz_at(quiz text, at timestamp) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
    SELECT coalesce(
        (SELECT a.source_row->'questions' FROM {schema}.content_archive a
        WHERE a.row_id = quiz AND a.source_table = 'quiz_metadata' AND a.replaced_by IS NOT NULL
            AND timezone({schema}.content_time_zone(), a.archived_at) > at
        ORDER BY a.archive_id LIMIT 1),
        (SELECT q.questions FROM {schema}.quiz_metadata q WHERE q.quiz_id = quiz))
$$
"""

# Keeps the version of a tutorial if its update has one that another row of the concept has.
KEEP_VERSION = """
BEGIN
    IF NEW.content_version IS DISTINCT FROM OLD.content_version AND EXISTS (
        SELECT FROM {schema}.tutorial_metadata WHERE {of_new} AND content_version = NEW.content_version) THEN
        NEW.content_version = OLD.content_version;
    END IF;
    RETURN NEW;
END;
"""

# Lets the product's mark `recovery_failed` change nothing of a task of ours whose attempt is open, or which
# has left `processing`: the update succeeds.
BEFORE_TASK = """
BEGIN
    IF OLD.attempt <= 0 OR NEW.status IS DISTINCT FROM 'failed'
        OR NEW.current_step IS DISTINCT FROM 'recovery_failed'
        OR OLD.current_step IS NOT DISTINCT FROM 'recovery_failed' THEN
        RETURN NEW;
    END IF;
    IF OLD.status <> 'processing' OR EXISTS (SELECT FROM {schema}.content_attempts
        WHERE task_id = OLD.task_id AND attempt = OLD.attempt AND ended_at IS NULL) THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END;
"""

# Archives the content of a row that is changed or deleted, unless Save has just done so: then the newest
# archived row is the same, and after a change it has the id of the new content (`replaced_by`); a change by
# the product gets one here. Nothing is archived of a row that a foreign key deletes after its roadmap, whose
# archive is deleted already.
KEEP = """
DECLARE
    former json;
    newest text;
BEGIN
    IF TG_OP = 'UPDATE' AND NOT ({changed}) OR {skipped} OR TG_OP = 'DELETE' AND NOT EXISTS (
        SELECT FROM {schema}.roadmap_metadata r WHERE r.roadmap_id = OLD.roadmap_id) THEN
        RETURN NULL;
    END IF;
    former = to_json(OLD);
    SELECT CASE WHEN TG_OP = 'DELETE' OR replaced_by IS NOT NULL THEN CAST(source_row AS text) END
    INTO newest FROM {schema}.content_archive
    WHERE row_id = OLD.{key} AND source_table = '{table}' ORDER BY archive_id DESC LIMIT 1;
    IF newest IS DISTINCT FROM CAST(former AS text) THEN
        PERFORM {schema}.content_archive_row('{table}', former, CAST(OLD.roadmap_id AS text),
            CAST(OLD.concept_id AS text), coalesce(
                nullif(current_setting('roadmap_content.reason', true), ''),
                CASE TG_OP WHEN 'UPDATE' THEN 'the row was changed' ELSE 'the row was deleted' END),
            CAST(OLD.{key} AS text), CASE TG_OP WHEN 'UPDATE' THEN CAST(gen_random_uuid() AS text) END);
    END IF;
    RETURN NULL;
END;
"""

# Deletes what we keep of a roadmap that is deleted, or of all.
FORGET = """
DECLARE
    digest bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM {schema}.content_archive;
        DELETE FROM {schema}.content_origins;
        RETURN NULL;
    END IF;
    digest = hashtextextended(OLD.roadmap_id, 0);
    DELETE FROM {schema}.content_archive
    WHERE hashtextextended(roadmap_id, 0) = digest AND roadmap_id = OLD.roadmap_id;
    DELETE FROM {schema}.content_origins
    WHERE hashtextextended(roadmap_id, 0) = digest AND roadmap_id = OLD.roadmap_id;
    RETURN NULL;
END;
"""

# Notes a change of a roadmap with a finished task of ours. Several rows of one roadmap in one transaction are
# one change. The tasks' own trigger does not use this: a task may finish in a transaction that has changed
# its roadmap before.
NOTE_CHANGE = """
DECLARE
    changed text = coalesce(NEW.roadmap_id, OLD.roadmap_id);
BEGIN
    IF changed = current_setting('roadmap_content.changed', true) THEN
        RETURN NULL;
    END IF;
    INSERT INTO {schema}.content_changes (roadmap_id) SELECT changed
    WHERE EXISTS (SELECT FROM {schema}.roadmap_tasks t
        WHERE {of_changed} AND t.attempt > 0 AND t.status <> 'processing');
    PERFORM set_config('roadmap_content.changed', changed, true);
    RETURN NULL;
END;
"""

# Notes the end of a task of ours, and each later change; of a task of the product only the roadmap, and only
# if a finished task of ours has the same: it is checked when the product's has ended.
NOTE_TASK = """
BEGIN
    IF NEW.status = 'processing' THEN
        RETURN NULL;
    END IF;
    INSERT INTO {schema}.content_changes (roadmap_id, task_id)
    SELECT NEW.roadmap_id, CASE WHEN NEW.attempt > 0 THEN NEW.task_id END
    WHERE NEW.attempt > 0 OR EXISTS (SELECT FROM {schema}.roadmap_tasks t
        WHERE {of_new_roadmap} AND t.attempt > 0 AND t.status <> 'processing');
    RETURN NULL;
END;
"""

ITEMS = (("resources", "resource_recommendation_metadata", "id"), ("quiz", "quiz_metadata", "quiz_id"))
"""The content types with one row for each item: the name, the table and its key."""

WATCHED = ("roadmap_metadata", "tutorial_metadata", *(table for _, table, _ in ITEMS), "concept_metadata")

# Removes our triggers, wherever their tables are now, and then the functions. Guarantees: it fails while an
# object of the product uses a function. A trigger of a partition goes with that of the partitioned table.
REMOVE = r"""
DO $$
DECLARE
    ours record;
BEGIN
    FOR ours IN SELECT tgname, CAST(tgrelid AS regclass) AS place
        FROM pg_trigger JOIN pg_proc p ON p.oid = tgfoid
        WHERE tgname LIKE 'content\_%' AND tgparentid = 0
            AND proname LIKE 'content\_%' AND pg_get_userbyid(proowner) = current_user
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', ours.tgname, ours.place);
    END LOOP;
END $$;

DROP FUNCTION IF EXISTS
    content_after_tutorial, content_archive_row, content_before_quiz, content_before_resources,
    content_before_task, content_before_tutorial, content_creators, content_forget_roadmap,
    content_is_referenced, content_keep_quiz, content_keep_resources, content_keep_tutorial,
    content_keep_version, content_merge_items, content_merge_quiz, content_merge_resources,
    content_note_change, content_note_task, content_now, content_quiz_at, content_references,
    content_replace_item, content_rewrite, content_time_zone, content_trigger_failed,
    content_wait_for_savers
"""


def create_triggers(connection: Connection) -> None:
    """Create the functions and the triggers. PostgreSQL checks a function in SQL when it is created, so each
    comes after those that it calls.
    """
    for template in (CLOCK, WAIT, TRIGGER_FAILED, REFERENCES, REPLACE, ARCHIVE):
        _create(connection, template)
    schemas = connection.scalar(text("SELECT quote_literal(CAST(current_schemas(false) AS text))"))
    _create(connection, CREATORS, schemas=schemas)
    create_rewrite(connection)
    for noun, table, key in ITEMS:
        create_trigger(connection, f"content_before_{noun}", "BEFORE INSERT", table, BEFORE_ITEM, key=key)
        _create(connection, MERGE, noun=noun, table=table, key=key)
        content = ["questions"] if noun == "quiz" else ["resources", "search_queries_used"]
        keep_content(connection, noun, table, key, content)
    for template in (MERGE_ITEMS, QUIZ_AT):
        _create(connection, template)
    tutorials, tasks, roadmaps = "tutorial_metadata", "roadmap_tasks", "roadmap_metadata"
    content = ["title", "summary", "content_url", "estimated_completion_time"]
    prepared = "OLD.content_status IS DISTINCT FROM 'completed'"
    keep_content(connection, "tutorial", tutorials, "tutorial_id", content, prepared)
    create_trigger(connection, "content_before_tutorial", "BEFORE INSERT", tutorials, BEFORE_TUTORIAL)
    create_trigger(connection, "content_after_tutorial", "AFTER INSERT", tutorials, AFTER_TUTORIAL)
    create_trigger(connection, "content_keep_version", "BEFORE UPDATE", tutorials, KEEP_VERSION)
    create_trigger(connection, "content_before_task", "BEFORE UPDATE", tasks, BEFORE_TASK)
    create_trigger(connection, "content_note_task", "AFTER INSERT OR UPDATE", tasks, NOTE_TASK)
    create_trigger(connection, "content_forget_roadmap", "AFTER DELETE", roadmaps, FORGET)
    truncated = ("content_forget_roadmaps", "AFTER TRUNCATE", roadmaps, "content_forget_roadmap", "STATEMENT")
    _add_trigger(connection, *truncated)
    _create_function(connection, "content_note_change", NOTE_CHANGE)
    for table in WATCHED:
        watch_table(connection, table)


def create_rewrite(connection: Connection) -> None:
    """Create or replace the function in which the product's triggers run, with the path that is safe now."""
    path = connection.scalar(text(SAFE_PATH))
    _create(connection, REWRITE, path=f"pg_catalog, {path}pg_temp")


def keep_content(
    connection: Connection, noun: str, table: str, key: str, columns: Iterable[str], skipped: str = "false"
) -> None:
    """Create the index of a content table's items, and the triggers that archive former content: the values
    of `columns`. `noun` is the content type, for the names; rows that meet `skipped` are not archived.
    """
    changed = " OR ".join(  # `json` has no operator for equality
        f"CAST(OLD.{column} AS text) IS DISTINCT FROM CAST(NEW.{column} AS text)" for column in columns
    )
    connection.exec_driver_sql(
        f"CREATE INDEX content_{noun}_by_concept ON {table} ({digest('roadmap_id')}, {digest('concept_id')})"
    )
    function = f"content_keep_{noun}"
    _create_function(connection, function, KEEP, table=table, key=key, changed=changed, skipped=skipped)
    _add_trigger(connection, f"{function}_changed", "AFTER UPDATE", table, function)
    _add_trigger(connection, f"{function}_deleted", "AFTER DELETE", table, function)


def watch_table(connection: Connection, table: str) -> None:
    """Create the trigger of a table, if it exists, that notes changes for the sweep."""
    if connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is not None:
        event = "AFTER INSERT OR UPDATE OR DELETE"
        _add_trigger(connection, "content_note_change", event, table, "content_note_change")


def create_trigger(
    connection: Connection, name: str, event: str, table: str, body: str, **names: str
) -> None:
    """Create a trigger and its function, which has the same name."""
    _create_function(connection, name, body, table=table, **names)
    _add_trigger(connection, name, event, table, name)


def _add_trigger(
    connection: Connection, name: str, event: str, table: str, function: str, level: str = "ROW"
) -> None:
    """Create a trigger that calls a function for each row, or for each statement."""
    connection.exec_driver_sql(
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()"
    )


def _create_function(connection: Connection, function: str, body: str, **names: str) -> None:
    _create(connection, _TRIGGER.replace("{body}", body.strip()), function=function, **names)


def _create(connection: Connection, template: str, **names: str) -> None:
    """Execute the statements of a template. No role but the owner may call a function that they create."""
    schema = connection.scalar(text("SELECT quote_ident(current_schema())"))
    conditions = {"of_new": OF_NEW, "of_merged": OF_MERGED}
    conditions |= {"of_changed": of_roadmap("changed"), "of_new_roadmap": of_roadmap("NEW.roadmap_id")}
    statements = template.format(schema=schema, **conditions, **names)
    connection.execute(text(statements))
    for function in re.findall(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)", statements):
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
