"""Replaces our unique constraints by triggers, so that inserts of the product succeed.

The product writes each tutorial as version 1, with a new id, and may write a second row of resources or a
quiz. Our unique constraints would reject these rows. Triggers order the rows instead:
- a tutorial that is inserted as the latest, at a version that is not above the concept's others, gets the
  version after the highest, and the concept's other rows stop being the latest;
- of two rows of resources, or quizzes, of one concept, the older moves to `content_archive` with all columns,
  unless another table refers to it. In this case both stay, and readers use the newer.

Save holds an exclusive advisory lock of the roadmap. An insert of the product takes the lock in shared mode,
and waits for less than `deadlock_timeout`: it is never cancelled because of a deadlock, and continues without
the lock instead of failing. Two inserts of the product do not wait for each other.

The functions run with the privileges of the migrating role, so the product's role needs none on our tables.

Downgrading removes triggers, functions and indexes. The unique constraints are not restored, because rows
that they would reject may have been written.
"""

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"

CONSTRAINTS = (
    ("tutorial_metadata", "content_tutorial_version_key", "content_tutorial_by_version", "content_version"),
    ("resource_recommendation_metadata", "content_resources_concept_key", "content_resources_by_concept", ""),
    ("quiz_metadata", "content_quiz_concept_key", "content_quiz_by_concept", ""),
)

# A separate function, so that only an insert that waits has the cost of the subtransaction. After a wait
# without success, the transaction's other inserts do not wait again.
WAIT = """
CREATE FUNCTION content_wait_for_savers(roadmap_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '800ms' AS $$
BEGIN
    IF current_setting('roadmap_content.waited', true) = 'in vain' THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('content of ' || roadmap_id, 0));
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    PERFORM set_config('roadmap_content.waited', 'in vain', true);
END $$
"""

BEFORE_TUTORIAL = """
CREATE FUNCTION content_before_tutorial() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    highest integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(hashtextextended('content of ' || NEW.roadmap_id, 0)) THEN
        PERFORM content_wait_for_savers(NEW.roadmap_id);
    END IF;
    SELECT max(content_version) INTO highest FROM tutorial_metadata
    WHERE roadmap_id = NEW.roadmap_id AND concept_id = NEW.concept_id;
    IF highest IS NULL OR NEW.is_latest IS NOT TRUE
        OR EXISTS (SELECT FROM tutorial_metadata WHERE tutorial_id = NEW.tutorial_id) THEN
        RETURN NEW;
    END IF;
    IF NEW.content_version <= highest THEN
        NEW.content_version = highest + 1;
    END IF;
    RETURN NEW;
END $$
"""

# An AFTER trigger, because the previous release updates the same rows in the inserting statement, and fails
# (27000) if a trigger has updated them before. A row that another transaction is updating is skipped, because
# that transaction marks it as not the latest.
AFTER_TUTORIAL = """
CREATE FUNCTION content_after_tutorial() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF NEW.is_latest IS NOT TRUE OR NEW.content_version <= 1 THEN
        RETURN NULL;
    END IF;
    UPDATE tutorial_metadata SET is_latest = false WHERE tutorial_id IN (
        SELECT tutorial_id FROM tutorial_metadata
        WHERE roadmap_id = NEW.roadmap_id AND concept_id = NEW.concept_id AND is_latest
            AND content_version < NEW.content_version
        FOR UPDATE SKIP LOCKED);
    RETURN NULL;
END $$;
CREATE TRIGGER content_after_tutorial AFTER INSERT ON tutorial_metadata
FOR EACH ROW EXECUTE FUNCTION content_after_tutorial()
"""

# A row that others refer to is kept, because deleting it would delete or change the others, or fail.
BEFORE_ITEM = """
CREATE FUNCTION content_before_{noun}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    older {table};
    reference record;
    referenced boolean;
BEGIN
    IF NOT pg_try_advisory_xact_lock_shared(hashtextextended('content of ' || NEW.roadmap_id, 0)) THEN
        PERFORM content_wait_for_savers(NEW.roadmap_id);
    END IF;
    IF NOT EXISTS (SELECT FROM {table} WHERE roadmap_id = NEW.roadmap_id AND concept_id = NEW.concept_id)
        OR EXISTS (SELECT FROM {table} WHERE {key} = NEW.{key}) THEN
        RETURN NEW;
    END IF;
    FOR older IN SELECT * FROM {table}
        WHERE roadmap_id = NEW.roadmap_id AND concept_id = NEW.concept_id FOR UPDATE SKIP LOCKED
    LOOP
        referenced = false;
        FOR reference IN
            SELECT c.conrelid, own.attname AS own_column, far.attname AS far_column
            FROM pg_constraint c
            JOIN pg_attribute own ON own.attrelid = c.conrelid AND own.attnum = c.conkey[1]
            JOIN pg_attribute far ON far.attrelid = c.confrelid AND far.attnum = c.confkey[1]
            WHERE c.contype = 'f' AND c.confrelid = TG_RELID
        LOOP
            EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE CAST(%I AS text) = to_json($1)->>%L)',
                CAST(reference.conrelid AS regclass), reference.own_column, reference.far_column)
                INTO referenced USING older;
            EXIT WHEN referenced;
        END LOOP;
        IF NOT referenced THEN
            INSERT INTO content_archive (source_table, source_row, reason)
            VALUES ('{table}', to_json(older), 'a newer row was inserted for the same concept');
            DELETE FROM {table} WHERE {key} = older.{key};
        END IF;
    END LOOP;
    RETURN NEW;
END $$
"""

TRIGGER = """
CREATE TRIGGER content_before_{noun} BEFORE INSERT ON {table}
FOR EACH ROW EXECUTE FUNCTION content_before_{noun}()
"""

TABLES = {
    "tutorial": ("tutorial_metadata", "tutorial_id"),
    "resources": ("resource_recommendation_metadata", "id"),
    "quiz": ("quiz_metadata", "quiz_id"),
}

HAS_CONSTRAINT = text("""
SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = to_regclass(:table) AND conname = :name)
""")


def upgrade() -> None:
    connection = op.get_bind()
    for table, constraint, index, column in CONSTRAINTS:
        if connection.scalar(HAS_CONSTRAINT, {"table": table, "name": constraint}):
            columns = ", ".join(filter(None, ("roadmap_id", "concept_id", column)))
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
            op.execute(f"CREATE INDEX {index} ON {table} ({columns})")
    op.execute(WAIT)
    op.execute(BEFORE_TUTORIAL)
    op.execute(AFTER_TUTORIAL)
    for noun, (table, key) in TABLES.items():
        if noun != "tutorial":
            op.execute(BEFORE_ITEM.format(noun=noun, table=table, key=key))
        op.execute(TRIGGER.format(noun=noun, table=table))


def downgrade() -> None:
    op.execute("DROP TRIGGER content_after_tutorial ON tutorial_metadata")
    op.execute("DROP FUNCTION content_after_tutorial()")
    for noun, (table, _) in TABLES.items():
        op.execute(f"DROP TRIGGER content_before_{noun} ON {table}")
        op.execute(f"DROP FUNCTION content_before_{noun}()")
    op.execute("DROP FUNCTION content_wait_for_savers(text)")
    for _, _, index, _ in CONSTRAINTS:
        op.execute(f"DROP INDEX IF EXISTS {index}")
