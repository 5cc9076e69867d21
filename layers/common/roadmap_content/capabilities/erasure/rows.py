"""The rows of a user in all tables. The rules follow from the catalogue: a column names a task, a roadmap, a
user or an actor, in each table that has it. A table of ours without such a column must be in `NAMELESS`.

An erasure goes through the user's subjects: all roadmaps, then all tasks. The rows of the tasks come last,
because the copy of a task's user and roadmap in `content_attempts` is all that is left of a deleted task.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import Connection, text

from ...content.product import PRODUCT
from ...contracts.erasure import Removed
from ...platform.storage.keys import prefixes_of
from ...state.failures.current import forget_failures
from ...state.failures.groups import FailuresChanged
from ...state.tasks.time_zone import instant
from .errors import ErasureRefusedError
from .names import ERASED, replace_names

# Guarantees: takes the advisory lock of each roadmap, in one order.
LOCK_CONTENTS = text("""
SELECT pg_advisory_xact_lock(hashtextextended('content of ' || id, 0))
FROM (SELECT DISTINCT id FROM unnest(CAST(:roadmaps AS text[])) AS id ORDER BY id) AS ordered
""")

# An erasure makes the user's tasks the product's own again, or deletes them.
LOCK_TASKS = text("SELECT FROM roadmap_tasks WHERE task_id = ANY(:tasks) ORDER BY task_id FOR UPDATE")

NAMELESS = frozenset(
    {
        "content_capacity",
        "content_failure_groups",  # sums, from which the rows are subtracted
        "content_failure_hours",
        "content_findings",
        "content_installation",
        "content_model_leases",
        "content_model_quota",
        "content_schema_version",
        "content_sweeps",  # the places of a sweep, which `runs/reconciliation/sweeps.py` removes
        "content_token_hours",
    }
)
"""The tables of ours without the name of a user, task or roadmap."""

LEARNERS = ("quiz_attempts", "concept_progress")
"""Those of them with rows of a user about the roadmaps of others."""

CATALOGUE = text("""
SELECT CAST(c.relname AS text) AS table_name, has_table_privilege(c.oid, 'SELECT') AS readable,
    array_agg(CAST(a.attname AS text)) AS columns,
    coalesce(array_agg(CAST(a.attname AS text)) FILTER (WHERE a.attnotnull), '{}') AS required
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind IN ('r', 'p', 'v')
    AND (c.relname LIKE 'content\\_%' OR c.relname = 'generation_tokens' OR c.relname = ANY(:product))
GROUP BY c.oid ORDER BY c.relname
""")

# In the order of the list: the first that a row cannot lack decides alone, because indexes begin with it.
_SUBJECT_COLUMNS: Mapping[str, str] = {
    "task_id": "task_id = ANY(:tasks)",
    "roadmap_id": "roadmap_id = ANY(:roadmaps)",
    "quiz_id": "quiz_id IN (SELECT q.quiz_id FROM quiz_metadata q WHERE q.roadmap_id = ANY(:roadmaps))",
}
# A row that may lack both is counted once, and another user's task may name the roadmap.
_BY_EITHER = "(task_id = ANY(:tasks) OR task_id IS NULL AND roadmap_id = ANY(:roadmaps))"
# Our indexes have a hash in place of an id of any length.
BY_HASH = """hashtextextended(roadmap_id, 0) IN (
    SELECT hashtextextended(one, 0) FROM unnest(CAST(:roadmaps AS text[])) AS one) AND """

_OF_PERSON = "{0} LIKE 'user:%' OR {0} LIKE 'operator:%'"
_TIMES = ("claimed_at", "changed_at", "recorded_at", "began_at", "created_at", "attempted_at")
"""The time of a row that names a user: the first of these columns that its table has."""

_DOCUMENT_COLUMNS = ("detail", "filter")  # of events: the actor; of recoveries

# What a task or an attempt names stays if its owner is another: the product's row says who that is. Of a
# roadmap without a row, other users' attempts say it.
# A roadmap or task with a newer attempt is not older than `before`.
_SUBJECTS = f"""
WITH found AS (
    SELECT task_id, roadmap_id, claimed_at AS at FROM content_attempts WHERE user_id = :user_id
    UNION ALL SELECT task_id, NULL, first_seen FROM content_task_failures WHERE user_id = :user_id
    UNION ALL SELECT task_id, roadmap_id, {instant("created_at")} FROM roadmap_tasks WHERE user_id = :user_id
    UNION ALL SELECT NULL, roadmap_id, {instant("created_at")} FROM roadmap_metadata WHERE user_id = :user_id
), subjects AS (
    SELECT 'roadmap' AS kind, roadmap_id AS id, at FROM found f WHERE roadmap_id IS NOT NULL
        AND coalesce((SELECT r.user_id = :user_id FROM roadmap_metadata r WHERE r.roadmap_id = f.roadmap_id),
            NOT EXISTS (SELECT FROM content_attempts a WHERE a.user_id <> :user_id
                AND hashtextextended(a.roadmap_id, 0) = hashtextextended(f.roadmap_id, 0)
                AND a.roadmap_id = f.roadmap_id))
    UNION ALL SELECT 'task', task_id, at FROM found f WHERE task_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM roadmap_tasks t WHERE t.task_id = f.task_id AND t.user_id <> :user_id)
)
"""

SUBJECTS = text(f"""{_SUBJECTS}
SELECT s.kind, s.id FROM subjects s WHERE (s.kind, s.id) > (:after_kind, :after_id)
GROUP BY s.kind, s.id
HAVING CAST(:before AS timestamptz) IS NULL OR bool_or(coalesce(s.at < :before, true)) AND NOT EXISTS (
    SELECT FROM content_attempts n WHERE n.user_id = :user_id AND n.claimed_at >= :before
        AND s.id IN (n.task_id, n.roadmap_id))
ORDER BY s.kind, s.id LIMIT :limit
""")

# Not the product's own rows: an erasure may leave them.
LEFT = text("""
SELECT EXISTS (SELECT FROM content_attempts WHERE user_id = :user_id)
    OR EXISTS (SELECT FROM content_task_failures WHERE user_id = :user_id)
""")

TEXTS = text("SELECT content_url FROM tutorial_metadata WHERE roadmap_id = ANY(:roadmaps)")

# The texts below these prefixes that rows of other roadmaps name, in any form of URL. The table is read as a
# whole, in 0.1 s for 20,000 tutorials: an index on its URLs would have to survive the product's migrations.
# The rows of a user that is erased with the product's rows do not count, nor those of a deleted roadmap. A
# column's own collation may have no search for a part.
TEXTS_OF_OTHERS = text("""
SELECT content_url FROM tutorial_metadata t
WHERE NOT starts_with(content_url COLLATE "C", roadmap_id || '/concepts/')
    AND EXISTS (SELECT FROM unnest(CAST(:prefixes AS text[])) AS p
        WHERE strpos(content_url COLLATE "C", p) > 0)
    AND EXISTS (SELECT FROM roadmap_metadata r
        WHERE r.roadmap_id = t.roadmap_id AND r.user_id IS DISTINCT FROM :user_id)
""")

ROADMAPS = text("SELECT roadmap_id FROM roadmap_tasks WHERE task_id = ANY(:tasks) AND roadmap_id IS NOT NULL")


class RuleMissingError(Exception):
    """A table of ours has no column that names a user, and is not known to need none; or an erasure does not
    find all rows of a user.
    """


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
    def documents(self) -> list[str]:
        """The JSON columns that may name an actor or a user."""
        return sorted(self.columns & {*_DOCUMENT_COLUMNS})

    @property
    def at(self) -> str | None:
        """The time of a row in UTC, as SQL; `None` if rows have none."""
        column = next((name for name in _TIMES if name in self.columns), None)
        return column if column is None or not self.is_of_product else instant(column)

    @property
    def is_of_product(self) -> bool:
        """Whether the product owns the rows."""
        return self.table in PRODUCT


def rules(connection: Connection) -> list[Rule]:
    """The rule of each table, the product's first, without those of the product that we may not read.
    Raises RuleMissingError: a table has none.
    """
    found = []
    for table in connection.execute(CATALOGUE, {"product": list(PRODUCT)}):
        if table.table_name in PRODUCT and not table.readable:
            continue
        columns = frozenset(table.columns)
        named = [column for column in _SUBJECT_COLUMNS if column in columns]
        decisive = [column for column in named if column in table.required][:1] or named
        if decisive == ["task_id", "roadmap_id"]:
            condition = _BY_EITHER
        else:
            condition = "".join(_SUBJECT_COLUMNS[column] for column in decisive[:1])
        if table.table_name not in PRODUCT and decisive == ["roadmap_id"]:
            condition = BY_HASH + condition
        others = columns & {"queue_key", "actor", *_DOCUMENT_COLUMNS}
        if table.table_name in NAMELESS:
            continue
        if not condition and not others:
            raise RuleMissingError(f"no column of {table.table_name} is known to name a user")
        found.append(Rule(table.table_name, condition, columns))
    order = {table: place for place, table in enumerate(PRODUCT)}
    return sorted(found, key=lambda rule: order.get(rule.table, len(order)))


def require_privileges(connection: Connection) -> None:
    """Require that the product's rows can be deleted. Raises ErasureRefusedError: a table has been created
    since the last migration, which grants the privileges.
    """
    for table in connection.execute(CATALOGUE, {"product": list(PRODUCT)}):
        if table.table_name in PRODUCT and not table.readable:
            raise ErasureRefusedError(
                f"the product has created {table.table_name} since the last migration, which grants the"
                " privileges: deploy again, or erase without the product's rows"
            )


def next_subjects(
    connection: Connection, user_id: str, after: tuple[str, str], before: datetime | None, limit: int | None
) -> Subjects | None:
    """The next roadmaps and tasks of a user, older than `before`, if it is given; `None` after the last."""
    place = {"after_kind": after[0], "after_id": after[1]}
    parameters = {"user_id": user_id, "before": before, "limit": limit}
    found = connection.execute(SUBJECTS, parameters | place).all()
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
    connection: Connection, hooks: Sequence[FailuresChanged], subjects: Subjects, *, product_rows: bool
) -> Removed:
    """Delete the rows of a page; return their numbers."""
    lock_subjects(connection, subjects)
    known = rules(connection)
    ours, of_product = count_rows(connection, subjects, known)
    forget_failures(connection, hooks, subjects.tasks)
    for rule in known:  # ours last: the triggers of the product's tables write into them
        if rule.condition and (product_rows or not rule.is_of_product):
            connection.execute(text(f"DELETE FROM {rule.table} WHERE {rule.condition}"), _page(subjects))
        if "filter" in rule.columns:
            both = [*subjects.tasks, *subjects.roadmaps]
            ids = {"task_ids": subjects.tasks, "roadmap_id": subjects.roadmaps, "q": both}
            _replace(connection, rule, "filter", ids)
    return ours + of_product if product_rows else ours


def rehearse(connection: Connection, hooks: Sequence[FailuresChanged], subjects: Subjects) -> None:
    """Delete the rows of a page, also the product's, check the constraints, and undo it: the product may
    refuse it, and objects, which cannot come back, are deleted before the rows that name them.
    """
    with connection.begin_nested() as deleted:
        erase_rows(connection, hooks, subjects, product_rows=True)
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        deleted.rollback()


def erase_names(
    connection: Connection,
    user_id: str,
    *,
    product_rows: bool,
    before: datetime | None = None,
    dry_run: bool = False,
) -> Removed:
    """Delete the user's counters, and replace the user's name in rows about others, if they are older than
    `before`; return the numbers. The counters of a user who came back after it stay. `dry_run` only counts.
    """
    is_back = before is not None and is_left(connection, user_id)
    names = [f"user:{user_id}", f"operator:{user_id}"]
    own = None
    if dry_run:
        own = next_subjects(connection, user_id, ("", ""), None, None) or Subjects([], [], ("", ""))
    rows, replaced = {}, {}
    for rule in rules(connection):
        table = rule.table
        of_user = {"user_id": user_id} if product_rows and table in LEARNERS else {}
        if "queue_key" in rule.columns and not rule.condition and not is_back:
            of_user = {"queue_key": f"user:{user_id}"}
        for column, value in of_user.items():
            where, named = f"{column} = :value", {"value": value, "before": before}
            rows[table] = _change(connection, rule, f"DELETE FROM {table}", where, own, named)
        replaced[table] = 0
        if "actor" in rule.columns:
            change, where = f"UPDATE {table} SET actor = :erased", "actor = ANY(:names)"
            values = {"names": names, "erased": ERASED, "before": before}
            replaced[table] += _change(connection, rule, change, where, own, values)
        for column in rule.documents:
            wanted = {"user_id": [user_id]} if column == "filter" else {"actor": names}
            replaced[table] += _replace(connection, rule, column, wanted, own, before)
    return Removed() + Removed(rows=rows, names=replaced)


def is_left(connection: Connection, user_id: str) -> bool:
    """Whether a row of ours still names a user's task."""
    return bool(connection.scalar(LEFT, {"user_id": user_id}))


def named_texts(connection: Connection, roadmap_ids: Sequence[str]) -> list[str]:
    """The URLs of the texts that rows of the product name."""
    return [url for url in connection.scalars(TEXTS, {"roadmaps": list(roadmap_ids)}) if url]


def texts_of_others(
    connection: Connection, roadmap_ids: Sequence[str], user_id: str | None = None
) -> list[str]:
    """The URLs of texts of these roadmaps that rows of other roadmaps name, without those of a user."""
    if not roadmap_ids:
        return []
    forms = {prefix for prefix, kind in prefixes_of(roadmap_ids, []).items() if kind == "texts"}
    prefixes = sorted(forms.union(map(quote, forms)))
    return list(connection.scalars(TEXTS_OF_OTHERS, {"prefixes": prefixes, "user_id": user_id}))


def hand_over(connection: Connection, user_id: str) -> None:
    """Give the rows of tasks that have another owner now, and not this user any more, to their owner."""
    for rule in rules(connection):  # waiting attempts have left the queue before
        for column, mark in (("user_id", ""), ("queue_key", "user:")):
            if not rule.is_of_product and {"task_id", column} <= rule.columns:
                statement = text(
                    f"UPDATE {rule.table} r SET {column} = '{mark}' || t.user_id FROM roadmap_tasks t"
                    f" WHERE t.task_id = r.task_id AND t.user_id <> :user_id AND r.{column} = :name"
                )
                connection.execute(statement, {"user_id": user_id, "name": f"{mark}{user_id}"})


def all_users(connection: Connection) -> list[str]:
    """Every user that the database names: also those that are only learners or operators."""
    parts = []
    for rule in rules(connection):
        persons = [*(rule.columns & {"actor", "queue_key"})]
        if "user_id" in rule.columns:
            parts.append(f"SELECT user_id AS name FROM {rule.table}")
        if "filter" in rule.columns:
            parts.append(f"SELECT filter ->> 'user_id' FROM {rule.table}")
        if "detail" in rule.columns:
            persons.append("detail #>> '{data,actor}'")
        parts += [
            f"SELECT substr({person}, strpos({person}, ':') + 1) FROM {rule.table}"
            f" WHERE {_OF_PERSON.format(f'({person})')}"
            for person in persons
        ]
    return [user for user in connection.scalars(text(" UNION ".join(parts))) if user]


def _replace(
    connection: Connection,
    rule: Rule,
    column: str,
    names: Mapping[str, Sequence[str]],
    own: Subjects | None = None,
    older_than: datetime | None = None,
) -> int:
    """Replace the names that are values of these fields in JSON documents; return the number of documents."""
    document = f"CAST({column} AS text)"
    quoted = sorted({json.dumps(name) for values in names.values() for name in values})
    found = text(
        f"SELECT DISTINCT {document} FROM {rule.table}"
        f" WHERE EXISTS (SELECT FROM unnest(CAST(:quoted AS text[])) AS q WHERE strpos({document}, q) > 0)"
    )
    change, where = f"UPDATE {rule.table} SET {column} = CAST(:new AS json)", f"{document} = :old"
    changed = 0
    for old in connection.scalars(found, {"quoted": quoted}).all():
        read = json.loads(old)
        new = replace_names(read, names)
        if new != read:
            values = {"old": old, "new": json.dumps(new), "before": older_than}
            changed += _change(connection, rule, change, where, own, values)
    return changed


def _change(
    connection: Connection,
    rule: Rule,
    change: str,
    where: str,
    own: Subjects | None,
    parameters: Mapping[str, object],
) -> int:
    """Change rows older than `before`; return their number. With `own`, only count them, without the rows of
    these subjects of the user, which the erasure deletes.
    """
    if rule.at is not None:
        where += f" AND coalesce({rule.at} < CAST(:before AS timestamptz), true)"
    if own is None:
        return connection.execute(text(f"{change} WHERE {where}"), parameters).rowcount
    count = f"SELECT count(*) FROM {rule.table} WHERE {where} AND ({rule.condition or 'false'}) IS NOT TRUE"
    return int(connection.execute(text(count), {**parameters, **_page(own)}).scalar_one())


def _page(subjects: Subjects) -> dict[str, list[str]]:
    return {"tasks": subjects.tasks, "roadmaps": subjects.roadmaps}


def lock_contents(connection: Connection, roadmap_ids: Sequence[str]) -> None:
    """Wait for the transactions that write contents or outcomes of roadmaps, and hold up later ones."""
    connection.execute(LOCK_CONTENTS, {"roadmaps": list(roadmap_ids)})


def lock_tasks(connection: Connection, task_ids: Sequence[str]) -> None:
    """Lock tasks against claims, before they are disowned or deleted."""
    connection.execute(LOCK_TASKS, {"tasks": list(task_ids)})
