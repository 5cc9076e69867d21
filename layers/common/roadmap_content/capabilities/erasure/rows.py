"""The rows of a user in all tables. The rule of each table follows from the names of its columns in the
catalogue: `task_id`, `roadmap_id`, `user_id`, `actor` and so on name the same in every table. A table of ours
without such a column must be in `NAMELESS`.

The *subjects* of an erasure are the user's roadmaps and tasks. It goes through them page by page, the tasks
last: the copy of a task's user and roadmap in `content_attempts` is all that is left of a deleted task.
"""

import json
from collections.abc import Collection, Mapping, Sequence
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

# Takes the advisory lock under which contents and outcomes of a roadmap are written, of each roadmap in one
# order.
LOCK_CONTENTS = text("""
SELECT pg_advisory_xact_lock(hashtextextended('content of ' || id, 0))
FROM (SELECT DISTINCT id FROM unnest(CAST(:roadmaps AS text[])) AS id ORDER BY id) AS ordered
""")

# Locks the tasks against claims, before they are disowned or deleted.
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
"""The tables of the product with rows of a user about the roadmaps of others."""

# Finds our tables, which the migrations have recorded, and those of the product, each with its columns and
# those that are NOT NULL. The product may have put a view ('v') in the place of a table. It may also have
# created a table since the last migration, which has granted our roles no right on it: it is not `readable`.
CATALOGUE = text("""
SELECT CAST(c.relname AS text) AS table_name, has_table_privilege(c.oid, 'SELECT') AS readable,
    array_agg(CAST(a.attname AS text)) AS columns,
    coalesce(array_agg(CAST(a.attname AS text)) FILTER (WHERE a.attnotnull), '{}') AS required
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = CAST(quote_ident(current_schema()) AS regnamespace) AND c.relkind IN ('r', 'p', 'v')
    AND (c.relname = ANY(:product)
        OR c.relname IN (SELECT name FROM content_installation WHERE kind = 'table'))
GROUP BY c.oid ORDER BY c.relname
""")

# The condition of each column that names a subject. The first one that is NOT NULL decides alone, because
# indexes begin with it.
_SUBJECT_COLUMNS: Mapping[str, str] = {
    "task_id": "task_id = ANY(:tasks)",
    "roadmap_id": "roadmap_id = ANY(:roadmaps)",
    "quiz_id": "quiz_id IN (SELECT q.quiz_id FROM quiz_metadata q WHERE q.roadmap_id = ANY(:roadmaps))",
}
# Where either may be NULL: a row with a task follows the task alone, because another user's task may name the
# roadmap.
_BY_TASK_OR_ROADMAP = "(task_id = ANY(:tasks) OR task_id IS NULL AND roadmap_id = ANY(:roadmaps))"
# Our indexes have a hash of the roadmap's id, because an id may be too long for an index.
BY_HASH = """hashtextextended(roadmap_id, 0) IN (
    SELECT hashtextextended(one, 0) FROM unnest(CAST(:roadmaps AS text[])) AS one) AND """

_OF_PERSON = "{0} LIKE 'user:%' OR {0} LIKE 'operator:%'"
_TIMES = ("claimed_at", "changed_at", "recorded_at", "began_at", "created_at", "attempted_at")
"""The time of a row that names a user: the first of these columns that its table has."""

_DOCUMENT_COLUMNS = ("detail", "filter")  # of events: the actor; of recoveries
_NAME_COLUMNS = {"actor", "queue_key", *_DOCUMENT_COLUMNS}
"""The columns that name a user also in rows without a subject: `erase_names` handles them."""

# Finds the next subjects of a user after (`:after_kind`, `:after_id`); 'roadmap' comes before 'task'.
# A subject that a row of the user names is not the user's if the product's row has another owner; a roadmap
# without a row is not if another user has attempts for it. With `:before`, a subject is old enough if one of
# its rows is, or has no time, and the user has no newer attempt for it.
SUBJECTS = text(f"""
WITH named AS (
    SELECT task_id, roadmap_id, claimed_at AS at FROM content_attempts WHERE user_id = :user_id
    UNION ALL SELECT task_id, NULL, first_seen FROM content_task_failures WHERE user_id = :user_id
    UNION ALL SELECT task_id, roadmap_id, {instant("created_at")} FROM roadmap_tasks WHERE user_id = :user_id
    UNION ALL SELECT NULL, roadmap_id, {instant("created_at")} FROM roadmap_metadata WHERE user_id = :user_id
), owned AS (
    SELECT 'roadmap' AS kind, roadmap_id AS id, at FROM named f WHERE roadmap_id IS NOT NULL
        AND coalesce((SELECT r.user_id = :user_id FROM roadmap_metadata r WHERE r.roadmap_id = f.roadmap_id),
            NOT EXISTS (SELECT FROM content_attempts a WHERE a.user_id <> :user_id
                AND hashtextextended(a.roadmap_id, 0) = hashtextextended(f.roadmap_id, 0)
                AND a.roadmap_id = f.roadmap_id))
    UNION ALL SELECT 'task', task_id, at FROM named f WHERE task_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM roadmap_tasks t WHERE t.task_id = f.task_id AND t.user_id <> :user_id)
)
SELECT s.kind, s.id FROM owned s WHERE (s.kind, s.id) > (:after_kind, :after_id)
GROUP BY s.kind, s.id
HAVING CAST(:before AS timestamptz) IS NULL OR (bool_or(coalesce(s.at < :before, true)) AND NOT EXISTS (
    SELECT FROM content_attempts n WHERE n.user_id = :user_id AND n.claimed_at >= :before
        AND s.id IN (n.task_id, n.roadmap_id)))
ORDER BY s.kind, s.id LIMIT :limit
""")

# Whether a row of ours names a task of the user. The product's own rows may stay after an erasure.
IS_NAMED = text("""
SELECT EXISTS (SELECT FROM content_attempts WHERE user_id = :user_id)
    OR EXISTS (SELECT FROM content_task_failures WHERE user_id = :user_id)
""")

# Finds the URLs of the texts that the product's rows of roadmaps name.
TEXTS = text("SELECT content_url FROM tutorial_metadata WHERE roadmap_id = ANY(:roadmaps)")

# Finds the texts below these prefixes that rows of other roadmaps name, in any form of URL. The table is read
# as a whole, in 0.1 s for 20,000 tutorials: an index on its URLs would have to survive the product's
# migrations. The rows of a user who is erased with the product's rows do not count, nor those of a deleted
# roadmap. Collation "C": that of the column may be nondeterministic, which permits no search for a part.
TEXTS_OF_OTHERS = text("""
SELECT content_url FROM tutorial_metadata t
WHERE NOT starts_with(content_url COLLATE "C", roadmap_id || '/concepts/')
    AND EXISTS (SELECT FROM unnest(CAST(:prefixes AS text[])) AS p
        WHERE strpos(content_url COLLATE "C", p) > 0)
    AND EXISTS (SELECT FROM roadmap_metadata r
        WHERE r.roadmap_id = t.roadmap_id AND r.user_id IS DISTINCT FROM :user_id)
""")

# Finds the roadmaps of tasks.
ROADMAPS = text("SELECT roadmap_id FROM roadmap_tasks WHERE task_id = ANY(:tasks) AND roadmap_id IS NOT NULL")


class RuleMissingError(Exception):
    """A fault of this module: no rule covers a table of ours, or an erasure does not find all of its rows."""


class Subjects(NamedTuple):
    """A page of subjects: some roadmaps and tasks of a user."""

    roadmaps: list[str]
    tasks: list[str]
    last: tuple[str, str] = ("", "")
    """Kind and id of the last one: the place of the next page, if they are of a page."""


class Rule(NamedTuple):
    """The treatment of the rows of a table by an erasure."""

    table: str
    condition: str
    """SQL that selects the rows of a page's subjects; empty: no column names a subject."""

    columns: frozenset[str]

    @property
    def documents(self) -> list[str]:
        """The JSON columns that may name an actor or a user."""
        return sorted(self.columns & {*_DOCUMENT_COLUMNS})

    @property
    def at(self) -> str | None:
        """SQL of the time of a row, as `timestamptz`; `None` if rows have none."""
        column = next((name for name in _TIMES if name in self.columns), None)
        return column if column is None or not self.is_of_product else instant(column)

    @property
    def is_of_product(self) -> bool:
        return self.table in PRODUCT


def rules(connection: Connection) -> list[Rule]:
    """The rule of each table, the product's first, without those of the product that we may not read.
    Raises RuleMissingError: a table has none.
    """
    found = []
    for table in connection.execute(CATALOGUE, {"product": list(PRODUCT)}):
        is_of_product = table.table_name in PRODUCT
        if table.table_name in NAMELESS or (is_of_product and not table.readable):
            continue
        columns = frozenset(table.columns)
        condition = _condition(columns, table.required, is_of_product=is_of_product)
        if not condition and not columns & _NAME_COLUMNS:
            raise RuleMissingError(f"no column of {table.table_name} is known to name a user")
        found.append(Rule(table.table_name, condition, columns))
    order = {table: place for place, table in enumerate(PRODUCT)}
    return sorted(found, key=lambda rule: order.get(rule.table, len(order)))


def _condition(columns: Collection[str], required: Collection[str], *, is_of_product: bool) -> str:
    """The `condition` of a table's rule. `required` are the columns that are NOT NULL."""
    naming = [column for column in _SUBJECT_COLUMNS if column in columns]
    never_null = [column for column in naming if column in required]
    if not naming:
        return ""
    if naming == ["task_id", "roadmap_id"] and not never_null:
        return _BY_TASK_OR_ROADMAP
    column = (never_null or naming)[0]
    by_hash = BY_HASH if column == "roadmap_id" and not is_of_product else ""
    return by_hash + _SUBJECT_COLUMNS[column]


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
    connection: Connection, subjects: Subjects, known_rules: Sequence[Rule] = ()
) -> tuple[Removed, Removed]:
    """Count the rows of a page by table: ours, and the product's."""
    chosen = [rule for rule in known_rules or rules(connection) if rule.condition]
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
    connection.execute(LOCK_CONTENTS, {"roadmaps": [*subjects.roadmaps, *of_tasks]})
    connection.execute(LOCK_TASKS, {"tasks": subjects.tasks})


def erase_rows(
    connection: Connection, hooks: Sequence[FailuresChanged], subjects: Subjects, *, product_rows: bool
) -> Removed:
    """Delete the rows of a page, the product's only with `product_rows`; return their numbers. The caller has
    locked the page (`lock_subjects`).
    """
    all_rules = rules(connection)
    ours, of_product = count_rows(connection, subjects, all_rules)
    forget_failures(connection, hooks, subjects.tasks)  # has been counted, and is more than a DELETE
    for rule in all_rules:  # ours last: the triggers of the product's tables write into them
        if rule.condition and (product_rows or not rule.is_of_product):
            connection.execute(text(f"DELETE FROM {rule.table} WHERE {rule.condition}"), _page(subjects))
        if "filter" in rule.columns:  # of a recovery: it may be about many users, and keeps the others
            either = [*subjects.tasks, *subjects.roadmaps]
            ids = {"task_ids": subjects.tasks, "roadmap_id": subjects.roadmaps, "q": either}
            _Changes(connection).replace(rule, "filter", ids)
    return ours + of_product if product_rows else ours


def rehearse(connection: Connection, hooks: Sequence[FailuresChanged], subjects: Subjects) -> None:
    """Delete the rows of a page, also the product's, check the constraints, and undo it: the product may
    refuse it, and objects, which cannot come back, are deleted before the rows that name them.
    """
    with connection.begin_nested() as deleted:
        lock_subjects(connection, subjects)
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
    """Delete the user's rows that have no subject (counters in the queue; with `product_rows`, what a learner
    did in the roadmaps of others), and replace the user's name in rows about others. Return the numbers.

    With `before`, newer rows stay, and so do the counters of a user who came back. `dry_run` only counts.
    """
    is_back = before is not None and is_named(connection, user_id)
    names = [f"user:{user_id}", f"operator:{user_id}"]
    own = None
    if dry_run:  # the pages count the rows of the subjects
        own = next_subjects(connection, user_id, ("", ""), None, None) or Subjects([], [])
    changes = _Changes(connection, before, own)
    rows, replaced = {}, {}
    for rule in rules(connection):
        table, delete = rule.table, f"DELETE FROM {rule.table}"
        if product_rows and table in LEARNERS:
            rows[table] = changes.change(rule, delete, "user_id = :value", {"value": user_id})
        if rule.is_of_product:  # whatever it names in columns of these names
            continue
        # The counters of the queue: its attempts, which have a task, are subjects.
        if "queue_key" in rule.columns and not rule.condition and not is_back:
            rows[table] = changes.change(rule, delete, "queue_key = :value", {"value": f"user:{user_id}"})
        replaced[table] = 0
        if "actor" in rule.columns:
            update, values = f"UPDATE {table} SET actor = :erased", {"names": names, "erased": ERASED}
            replaced[table] += changes.change(rule, update, "actor = ANY(:names)", values)
        for column in rule.documents:
            in_fields = {"user_id": [user_id]} if column == "filter" else {"actor": names}
            replaced[table] += changes.replace(rule, column, in_fields)
    return Removed() + Removed(rows=rows, names=replaced)  # the sum leaves out tables without any


def is_named(connection: Connection, user_id: str) -> bool:
    """Whether a row of ours names a task of the user."""
    return bool(connection.scalar(IS_NAMED, {"user_id": user_id}))


def named_texts(connection: Connection, roadmap_ids: Sequence[str]) -> list[str]:
    """The URLs of the texts that the product's rows of roadmaps name."""
    return [url for url in connection.scalars(TEXTS, {"roadmaps": list(roadmap_ids)}) if url]


def texts_of_others(
    connection: Connection, roadmap_ids: Sequence[str], user_id: str | None = None
) -> list[str]:
    """The URLs of texts of these roadmaps that rows of other roadmaps name. The rows of the user `user_id` do
    not count, if it is given.
    """
    if not roadmap_ids:
        return []
    # A URL has the prefix as it is, or percent-encoded.
    forms = {prefix for prefix, kind in prefixes_of(roadmap_ids, []).items() if kind == "texts"}
    prefixes = sorted(forms.union(map(quote, forms)))
    return list(connection.scalars(TEXTS_OF_OTHERS, {"prefixes": prefixes, "user_id": user_id}))


def hand_over(connection: Connection, user_id: str) -> None:
    """Where our rows of a task name this user, but the product has given the task to another one, write the
    name of the present owner. The user's waiting attempts have left the queue before.
    """
    for rule in rules(connection):
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
        persons = [*(rule.columns & {"actor", "queue_key"})]  # expressions with values such as `user:<id>`
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


class _Changes(NamedTuple):
    """Changes of rows that name a user, also of rows about others."""

    connection: Connection
    before: datetime | None = None
    """Change only older rows, and those without a time; `None`: all."""

    own: Subjects | None = None
    """Change nothing; count what would be changed, without the rows of these subjects, which the erasure
    deletes.
    """

    def change(self, rule: Rule, change: str, where: str, parameters: Mapping[str, object]) -> int:
        """Execute an UPDATE or DELETE without its WHERE; return the number of its rows."""
        parameters = {**parameters, "before": self.before}
        if rule.at is not None:
            where += f" AND coalesce({rule.at} < CAST(:before AS timestamptz), true)"
        if self.own is None:
            return self.connection.execute(text(f"{change} WHERE {where}"), parameters).rowcount
        is_own = rule.condition or "false"
        count = f"SELECT count(*) FROM {rule.table} WHERE {where} AND ({is_own}) IS NOT TRUE"
        return int(self.connection.execute(text(count), {**parameters, **_page(self.own)}).scalar_one())

    def replace(self, rule: Rule, column: str, names_by_field: Mapping[str, Sequence[str]]) -> int:
        """Replace names in a JSON column (`replace_names`); return the number of rows."""
        document = f"CAST({column} AS text)"
        # As `json.dumps` has written it into the column, which keeps the text: with escapes in place of
        # characters beyond ASCII.
        quoted = sorted({json.dumps(name) for names in names_by_field.values() for name in names})
        may_name = text(
            f"SELECT DISTINCT {document} FROM {rule.table}"
            " WHERE EXISTS (SELECT FROM unnest(CAST(:quoted AS text[])) AS q"
            f" WHERE strpos({document}, q) > 0)"
        )
        update, where = f"UPDATE {rule.table} SET {column} = CAST(:new AS json)", f"{document} = :old"
        changed = 0
        for old in self.connection.scalars(may_name, {"quoted": quoted}).all():
            document_before = json.loads(old)
            document_after = replace_names(document_before, names_by_field)
            if document_after != document_before:
                values = {"old": old, "new": json.dumps(document_after)}
                changed += self.change(rule, update, where, values)
        return changed


def _page(subjects: Subjects) -> dict[str, list[str]]:
    """The parameters of a rule's condition."""
    return {"tasks": subjects.tasks, "roadmaps": subjects.roadmaps}
