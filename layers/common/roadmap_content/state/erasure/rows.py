"""The rows of a user in all tables. The rules follow from the catalogue: a column names a task, a roadmap, a
user or an actor, in each table that has it. A table of ours without such a column must be in `NAMELESS`.

An erasure goes through the user's subjects: all roadmaps, then all tasks. The rows of the tasks come last,
because the copy of a task's user and roadmap in `content_attempts` is all that is left of a deleted task.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...content.product import PRODUCT
from ...content.roadmaps.metadata import lock_contents
from ...contracts.erasure import Removed
from ..failures.current import forget_failures
from ..tasks.task import disown_tasks, lock_tasks
from ..tasks.time_zone import instant

ERASED = "erased"
"""Replaces the name of a user in rows that are about others."""

NAMELESS = frozenset(
    {
        "content_erasures",  # the register: a keyed hash
        "content_failure_groups",  # sums, from which the rows are subtracted
        "content_failure_hours",
        "content_model_tokens",
        "content_schema_version",
        "content_sweeps",  # the place of a sweep, which `runs/reconciliation/sweeps.py` removes
        "content_token_hours",
    }
)
"""The tables of ours whose rows name no user, task or roadmap."""

LEARNERS = ("quiz_attempts", "concept_progress")
"""Those of them with rows of a user about the roadmaps of others."""

CATALOGUE = text("""
SELECT CAST(c.relname AS text) AS table_name, array_agg(CAST(a.attname AS text)) AS columns,
    coalesce(array_agg(CAST(a.attname AS text)) FILTER (WHERE a.attnotnull), '{}') AS required
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p')
    AND (c.relname LIKE 'content\\_%' OR c.relname = 'generation_tokens' OR c.relname = ANY(:product))
GROUP BY c.relname ORDER BY c.relname
""")

# In the order of the list: the first that a row cannot lack decides alone, because indexes begin with it.
_SUBJECT_COLUMNS: Mapping[str, str] = {
    "task_id": "task_id = ANY(:tasks)",
    "roadmap_id": "roadmap_id = ANY(:roadmaps)",
    "quiz_id": "quiz_id IN (SELECT q.quiz_id FROM quiz_metadata q WHERE q.roadmap_id = ANY(:roadmaps))",
}
# A row that may lack both is counted once.
_BY_EITHER = "(roadmap_id = ANY(:roadmaps) OR roadmap_id IS NULL AND task_id = ANY(:tasks))"
# Our indexes have a hash in place of an id of any length.
BY_HASH = """hashtextextended(roadmap_id, 0) IN (
    SELECT hashtextextended(one, 0) FROM unnest(CAST(:roadmaps AS text[])) AS one) AND """

_ACTOR_COLUMNS = ("actor", "changed_by")
_DOCUMENT_COLUMNS = ("detail", "filter")

# A roadmap or task with a newer attempt is not older than `before`.
_SUBJECTS = f"""
WITH found AS (
    SELECT task_id, roadmap_id, claimed_at AS at FROM content_attempts WHERE user_id = :user_id
    UNION ALL SELECT task_id, NULL, enqueued_at FROM content_queue WHERE queue_key = :queue_key
    UNION ALL SELECT task_id, NULL, first_seen FROM content_task_failures WHERE user_id = :user_id
    UNION ALL SELECT task_id, roadmap_id, {instant("created_at")} FROM roadmap_tasks WHERE user_id = :user_id
    UNION ALL SELECT NULL, roadmap_id, {instant("created_at")} FROM roadmap_metadata WHERE user_id = :user_id
), subjects AS (
    SELECT 'roadmap' AS kind, roadmap_id AS id, at FROM found WHERE roadmap_id IS NOT NULL
    UNION ALL SELECT 'task', task_id, at FROM found WHERE task_id IS NOT NULL
)
"""

SUBJECTS = text(f"""{_SUBJECTS}
SELECT s.kind, s.id FROM subjects s WHERE (s.kind, s.id) > (:after_kind, :after_id)
GROUP BY s.kind, s.id
HAVING CAST(:before AS timestamp) IS NULL OR bool_or(coalesce(s.at < :before, true)) AND NOT EXISTS (
    SELECT FROM content_attempts n WHERE n.user_id = :user_id AND n.claimed_at >= :before
        AND s.id IN (n.task_id, n.roadmap_id))
ORDER BY s.kind, s.id LIMIT :limit
""")

# Not the product's own rows: an erasure may leave them.
LEFT = text("""
SELECT EXISTS (SELECT FROM content_attempts WHERE user_id = :user_id)
    OR EXISTS (SELECT FROM content_queue WHERE queue_key = :queue_key)
    OR EXISTS (SELECT FROM content_task_failures WHERE user_id = :user_id)
""")

TEXTS = text("SELECT content_url FROM tutorial_metadata WHERE roadmap_id = ANY(:roadmaps)")

ROADMAPS = text("SELECT roadmap_id FROM roadmap_tasks WHERE task_id = ANY(:tasks) AND roadmap_id IS NOT NULL")

USERS = text("""
SELECT user_id FROM roadmap_tasks UNION SELECT user_id FROM roadmap_metadata
UNION SELECT user_id FROM content_attempts UNION SELECT user_id FROM content_task_failures
UNION SELECT substr(queue_key, 6) FROM content_queue_keys WHERE queue_key LIKE 'user:%'
""")


class RuleMissingError(Exception):
    """A table of ours has no column that names a user, and is not known to need none."""


class Subjects(NamedTuple):
    """One page of the roadmaps and tasks of a user."""

    roadmaps: list[str]
    tasks: list[str]
    last: tuple[str, str]


class Rule(NamedTuple):
    """The treatment of the rows of a table by an erasure."""

    table: str
    condition: str
    """Selects the rows of a page's roadmaps and tasks; empty: none."""

    columns: frozenset[str]

    @property
    def is_of_product(self) -> bool:
        """Whether the product owns the rows."""
        return self.table in PRODUCT


def rules(connection: Connection) -> list[Rule]:
    """The rule of each table, the product's first. Raises RuleMissingError: a table has none."""
    found = []
    for table in connection.execute(CATALOGUE, {"product": list(PRODUCT)}):
        columns = frozenset(table.columns)
        named = [column for column in _SUBJECT_COLUMNS if column in columns]
        decisive = [column for column in named if column in table.required][:1] or named
        if decisive == ["task_id", "roadmap_id"]:
            condition = _BY_EITHER
        else:
            condition = "".join(_SUBJECT_COLUMNS[column] for column in decisive[:1])
        if table.table_name not in PRODUCT and decisive == ["roadmap_id"]:
            condition = BY_HASH + condition
        others = columns & {"queue_key", *_ACTOR_COLUMNS, *_DOCUMENT_COLUMNS}
        if table.table_name in NAMELESS:
            continue
        if not condition and not others:
            raise RuleMissingError(f"no column of {table.table_name} is known to name a user")
        found.append(Rule(table.table_name, condition, columns))
    order = {table: place for place, table in enumerate(PRODUCT)}
    return sorted(found, key=lambda rule: order.get(rule.table, len(order)))


def next_subjects(
    connection: Connection, user_id: str, after: tuple[str, str], before: datetime | None, limit: int | None
) -> Subjects | None:
    """The next roadmaps and tasks of a user, older than `before`, if it is given; `None` after the last."""
    parameters = _user(user_id) | {"after_kind": after[0], "after_id": after[1], "before": before}
    found = connection.execute(SUBJECTS, parameters | {"limit": limit}).all()
    if not found:
        return None
    ids = {kind: [row.id for row in found if row.kind == kind] for kind in ("roadmap", "task")}
    return Subjects(ids["roadmap"], ids["task"], (found[-1].kind, found[-1].id))


def count_rows(
    connection: Connection, subjects: Subjects, known: Sequence[Rule] = ()
) -> tuple[Removed, Removed]:
    """The numbers of rows of a page: ours, and the product's."""
    chosen = [rule for rule in known or rules(connection) if rule.condition]
    counts = " UNION ALL ".join(
        f"SELECT '{rule.table}' AS name, count(*) AS rows FROM {rule.table} WHERE {rule.condition}"
        for rule in chosen
    )
    counted = {row.name: row.rows for row in connection.execute(text(counts), _page(subjects)) if row.rows}
    of_product = {name: count for name, count in counted.items() if name in PRODUCT}
    ours = {name: count for name, count in counted.items() if name not in PRODUCT}
    return Removed(rows=ours), Removed(rows=of_product)


def lock_subjects(connection: Connection, subjects: Subjects) -> None:
    """Wait for claims, saves and outcomes of a page, and hold up later ones."""
    of_tasks = connection.scalars(ROADMAPS, {"tasks": subjects.tasks}).all()
    lock_contents(connection, [*subjects.roadmaps, *of_tasks])
    lock_tasks(connection, subjects.tasks)


def erase_rows(
    connection: Connection, user_id: str | None, subjects: Subjects, *, product_rows: bool
) -> Removed:
    """Delete the rows of a page; return their numbers. Without a user, its tasks are deleted ones."""
    lock_subjects(connection, subjects)
    known = rules(connection)
    ours, of_product = count_rows(connection, subjects, known)
    forget_failures(connection, subjects.tasks)
    if user_id is not None and not product_rows:
        disown_tasks(connection, user_id, subjects.tasks)
    for rule in known:  # ours last: the triggers of the product's tables write into them
        if rule.condition and (product_rows or not rule.is_of_product):
            connection.execute(text(f"DELETE FROM {rule.table} WHERE {rule.condition}"), _page(subjects))
        if "filter" in rule.columns:
            _replace(connection, rule, "filter", (*subjects.tasks, *subjects.roadmaps))
    return ours + of_product if product_rows else ours


def erase_names(
    connection: Connection, user_id: str, *, product_rows: bool, dry_run: bool = False
) -> Removed:
    """Delete the user's counters, and replace the user's name in rows about others; return the numbers."""
    names = [f"user:{user_id}", f"operator:{user_id}"]
    own = None
    if dry_run:
        own = next_subjects(connection, user_id, ("", ""), None, None) or Subjects([], [], ("", ""))
    rows, replaced = {}, {}
    for rule in rules(connection):
        table = rule.table
        of_user = {"user_id": user_id} if product_rows and table in LEARNERS else {}
        if "queue_key" in rule.columns and not rule.condition:
            of_user = {"queue_key": f"user:{user_id}"}
        for column, value in of_user.items():
            rows[table] = _change(
                connection, rule, f"DELETE FROM {table}", f"{column} = :value", own, value=value
            )
        replaced[table] = 0
        for column in rule.columns & {*_ACTOR_COLUMNS}:
            change, where = f"UPDATE {table} SET {column} = :erased", f"{column} = ANY(:names)"
            replaced[table] += _change(connection, rule, change, where, own, names=names, erased=ERASED)
        for column in rule.columns & {*_DOCUMENT_COLUMNS}:
            wanted = (*names, user_id) if column == "filter" else names
            replaced[table] += _replace(connection, rule, column, wanted, own)
    return Removed() + Removed(rows=rows, names=replaced)


def is_left(connection: Connection, user_id: str) -> bool:
    """Whether a row of ours still names a user's task."""
    return bool(connection.scalar(LEFT, _user(user_id)))


def named_texts(connection: Connection, roadmap_ids: Sequence[str]) -> list[str]:
    """The URLs of the texts that rows of the product name."""
    return [url for url in connection.scalars(TEXTS, {"roadmaps": list(roadmap_ids)}) if url]


def all_users(connection: Connection) -> list[str]:
    """Every user that the database names."""
    return [user for user in connection.scalars(USERS) if user]


def _replace(
    connection: Connection, rule: Rule, column: str, names: Sequence[str], own: Subjects | None = None
) -> int:
    """Replace texts of JSON documents that equal one of the names; return the number of documents."""
    document = f"CAST({column} AS text)"
    change = f"UPDATE {rule.table} SET {column} = CAST(replace({document}, :quoted, :erased) AS json)"
    where, erased = f"strpos({document}, :quoted) > 0", json.dumps(ERASED)
    return sum(
        _change(connection, rule, change, where, own, quoted=json.dumps(name), erased=erased)
        for name in names
    )


def _change(
    connection: Connection, rule: Rule, change: str, where: str, own: Subjects | None, **parameters: object
) -> int:
    """Change rows; or only count them, without the user's `own`, which are deleted. Return their number."""
    if own is None:
        return connection.execute(text(f"{change} WHERE {where}"), parameters).rowcount
    count = f"SELECT count(*) FROM {rule.table} WHERE {where} AND ({rule.condition or 'false'}) IS NOT TRUE"
    return int(connection.execute(text(count), parameters | _page(own)).scalar_one())


def _user(user_id: str) -> dict[str, str]:
    return {"user_id": user_id, "queue_key": f"user:{user_id}"}


def _page(subjects: Subjects) -> dict[str, list[str]]:
    return {"tasks": subjects.tasks, "roadmaps": subjects.roadmaps}
