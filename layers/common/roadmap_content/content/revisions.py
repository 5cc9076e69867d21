"""The table `content_archive`: the former content of rows that are replaced in place. No I/O."""


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


def archive_sql(table: str, key: str) -> str:
    """A statement that archives the rows of `locked`: each as `older`, with the id of its new content."""
    return (
        "INSERT INTO content_archive (source_table, source_row, reason, row_id, replaced_by)"
        f" SELECT '{table}', to_json(l.older), 'replaced in place', (l.older).{key}, l.replaced_by"
        " FROM locked l"
    )
