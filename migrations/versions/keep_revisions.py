"""Keeps each former content of an item, also if the product replaces it.

- `content_archive` gets the ids of the item. They are not generated from the archived row: PostgreSQL's
  operators decode the whole document, and fail if it contains an escaped NUL character, which `json` accepts.
  `content_archived_item` adds them for the writers of earlier releases.
- `content_keep_tutorial`, `content_keep_resources` and `content_keep_quiz` archive a row's content before the
  product changes or deletes it. A writer that has archived the row itself is passed by: the newest archived
  row then equals the old one. A failure is a warning, because the product's write must succeed.
- `content_forget_roadmap`: when the product deletes a roadmap, its archived content is deleted, too.

They look up rows by index, whatever the size of a table, for the reason in revision 0012.

Downgrading removes all of this; archived rows stay.
"""

from alembic import op

from migrations.versions.stand_aside_for_the_product import TABLES

revision = "0019"
down_revision = "0018"

ARCHIVE = """
ALTER TABLE content_archive ADD COLUMN roadmap_id text, ADD COLUMN concept_id text;
DO $$
DECLARE
    archived record;
BEGIN
    FOR archived IN SELECT archive_id FROM content_archive LOOP
        BEGIN
            UPDATE content_archive SET roadmap_id = source_row ->> 'roadmap_id',
                concept_id = source_row ->> 'concept_id' WHERE archive_id = archived.archive_id;
        EXCEPTION WHEN untranslatable_character OR invalid_text_representation THEN
            RAISE WARNING 'the archived row % cannot be decoded, and is not listed', archived.archive_id;
        END;
    END LOOP;
END $$;
CREATE INDEX content_archive_by_item ON content_archive
    (hashtextextended(roadmap_id, 0), hashtextextended(concept_id, 0));
"""

# Writers that do not give the ids archive a row that still exists.
ARCHIVED_ITEM = """
CREATE FUNCTION content_archived_item() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    EXECUTE format('SELECT roadmap_id, concept_id FROM %I WHERE CAST(%I AS text) = $1', NEW.source_table,
        CASE NEW.source_table WHEN 'tutorial_metadata' THEN 'tutorial_id' WHEN 'quiz_metadata' THEN 'quiz_id'
            ELSE 'id' END) INTO NEW.roadmap_id, NEW.concept_id USING NEW.row_id;
    RETURN NEW;
END $$;
CREATE TRIGGER content_archived_item BEFORE INSERT ON content_archive
FOR EACH ROW WHEN (NEW.roadmap_id IS NULL AND NEW.row_id IS NOT NULL)
EXECUTE FUNCTION content_archived_item()
"""

KEEP = """
CREATE FUNCTION content_keep_{noun}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    former json;
    newest text;
BEGIN
    IF TG_OP = 'UPDATE' AND NOT ({changed}) OR {prepared} THEN
        RETURN NULL;
    END IF;
    former = to_json(OLD);
    SELECT CAST(source_row AS text) INTO newest FROM content_archive
    WHERE row_id = OLD.{key} AND source_table = '{table}' ORDER BY archive_id DESC LIMIT 1;
    IF newest IS DISTINCT FROM CAST(former AS text) THEN
        INSERT INTO content_archive
            (source_table, source_row, roadmap_id, concept_id, reason, row_id, replaced_by)
        VALUES ('{table}', former, OLD.roadmap_id, OLD.concept_id,
            coalesce(nullif(current_setting('roadmap_content.reason', true), ''),
                CASE TG_OP WHEN 'UPDATE' THEN 'the row was changed' ELSE 'the row was deleted' END),
            OLD.{key}, CASE TG_OP WHEN 'UPDATE' THEN CAST(gen_random_uuid() AS text) END);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'the former content of % in {table} is not archived: %', OLD.{key}, SQLERRM;
    RETURN NULL;
END $$;
CREATE TRIGGER content_keep_{noun}_changed AFTER UPDATE ON {table}
FOR EACH ROW EXECUTE FUNCTION content_keep_{noun}();
CREATE TRIGGER content_keep_{noun}_deleted AFTER DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION content_keep_{noun}()
"""

FORGET = """
CREATE FUNCTION content_forget_roadmap() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
BEGIN
    DELETE FROM content_archive WHERE hashtextextended(roadmap_id, 0) = hashtextextended(OLD.roadmap_id, 0)
        AND roadmap_id = OLD.roadmap_id;
    RETURN NULL;
END $$;
CREATE TRIGGER content_forget_roadmap AFTER DELETE ON roadmap_metadata
FOR EACH ROW EXECUTE FUNCTION content_forget_roadmap()
"""

CONTENT = {
    "tutorial": ("title", "summary", "content_url", "estimated_completion_time"),
    "resources": ("resources", "search_queries_used"),
    "quiz": ("questions",),
}
"""The columns of each table with the content of an item. `json` has no operator for equality."""


def upgrade() -> None:
    op.execute(ARCHIVE)
    op.execute(ARCHIVED_ITEM)
    for noun, (table, key) in TABLES.items():
        changed = " OR ".join(
            f"CAST(OLD.{column} AS text) IS DISTINCT FROM CAST(NEW.{column} AS text)"
            for column in CONTENT[noun]
        )
        # Only the rows of tutorials may be prepared, without content.
        prepared = "OLD.content_status IS DISTINCT FROM 'completed'" if noun == "tutorial" else "false"
        op.execute(KEEP.format(noun=noun, table=table, key=key, changed=changed, prepared=prepared))
    op.execute(FORGET)


def downgrade() -> None:
    op.execute("DROP TRIGGER content_forget_roadmap ON roadmap_metadata")
    op.execute("DROP FUNCTION content_forget_roadmap()")
    for noun, (table, _) in TABLES.items():
        op.execute(f"DROP TRIGGER content_keep_{noun}_changed ON {table}")
        op.execute(f"DROP TRIGGER content_keep_{noun}_deleted ON {table}")
        op.execute(f"DROP FUNCTION content_keep_{noun}()")
    op.execute("DROP TRIGGER content_archived_item ON content_archive")
    op.execute("DROP FUNCTION content_archived_item()")
    op.execute("DROP INDEX content_archive_by_item")
    op.execute("ALTER TABLE content_archive DROP COLUMN roadmap_id, DROP COLUMN concept_id")
