"""The table `content_archive`: former content of rows, and the revision of a row replaced in place."""

from sqlalchemy import Connection, text

MERGE = text("SELECT content_merge_items(:roadmap_id)")


def revision_sql(table: str, row_id: str) -> str:
    """An SQL expression for a row's revision: the id of the content that replaced it last, or its own id.

    A row that is replaced in place keeps its id, because other rows, and pages on a learner's screen, refer
    to it.
    """
    return (
        f"coalesce((SELECT a.replaced_by FROM content_archive a WHERE a.row_id = {row_id}"
        f" AND a.source_table = '{table}' AND a.replaced_by IS NOT NULL"
        f" ORDER BY a.archive_id DESC LIMIT 1), {row_id})"
    )


def merge_items(connection: Connection, roadmap_id: str) -> int:
    """Merge rows of resources, and quizzes, of the same concept; return the number of merged rows.

    Two transactions of the product can each insert a row. Its pages expect one.
    """
    return int(connection.scalar(MERGE, {"roadmap_id": roadmap_id}))
