"""The revision of a row that is replaced in place, in the table `content_archive`. No I/O."""


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
