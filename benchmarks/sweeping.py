"""`python -m benchmarks.sweeping`: the cost of a scheduled sweep, with few and with many finished tasks.

The work is the same: a part of the tasks of the last hours is due. All other tasks ended long ago, and have
reached the longest pause between two checks. PostgreSQL counts the cost of the sweep.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import NullPool, create_engine, text

from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.checks import LONGEST_PAUSE
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, ReconcileResult, reconcile
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import S3, Pipeline, services_for

from .database import migrated_database
from .report import amount, arguments_of, finish
from .result import Matrix, Result, Target, versions

SIZES = (10_000, 1_000_000)
MOST_TIMES = 1.5
SWEEP_MINUTES = 5
CONCEPTS = 30

ABOUT = f"""
A scheduled sweep, in this process, on a separate PostgreSQL that counts. The work is that of 20,000 tasks a
day: 70 tasks have ended since the last sweep, and of each of the five pauses of the last 8 hours, 70 are due.
Each has {CONCEPTS} concepts, and nothing differs from the tables. All other tasks ended long ago: one in
{LONGEST_PAUSE.days * 24 * 60 // SWEEP_MINUTES:,} is due, because each is checked once in {LONGEST_PAUSE.days}
days.
"""


@dataclass(frozen=True)
class Work:
    """The tasks of the last hours that a sweep checks."""

    ended: int
    """Tasks that have ended since the last sweep."""

    pauses: int
    """The number of pauses since the end after which as many tasks are due."""

    @property
    def checks(self) -> int:
        """The checks of a sweep."""
        return self.ended * (1 + self.pauses)


DAY = Work(ended=70, pauses=5)
"""The work of 20,000 tasks a day."""

PAST = (
    """
INSERT INTO roadmap_metadata (roadmap_id, user_id, title)
SELECT 'past-' || n, 'user-' || mod(n, 1000), 'Roadmap ' || n FROM generate_series(:first, :last) AS n
""",
    """
INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, roadmap_id, attempt, created_at,
    updated_at, completed_at, execution_summary)
SELECT 'past-' || n, 'user-' || mod(n, 1000), 'completed', 'completed', 'past-' || n, 1, ended.at,
    ended.at, ended.at, '{"attempt": 1, "duration_seconds": 9}'
FROM generate_series(:first, :last) AS n,
    LATERAL (SELECT content_now() - n * interval '1 second' AS at) AS ended
""",
    """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, outcome)
SELECT 'past-' || n, 1, 'console', 'first_run', 'ended', now(), 'completed'
FROM generate_series(:first, :last) AS n
""",
    """
INSERT INTO content_checks (task_id, checked_at, next_check_at, pause)
SELECT 'past-' || n, now(), timezone('utc', now()) + interval '1 day' + random() * interval '29 days',
    interval '30 days'
FROM generate_series(:first, :last) AS n
""",
    "TRUNCATE content_changes",
)

CONTENT = (
    """
UPDATE roadmap_metadata c SET framework_data = r.framework_data FROM roadmap_metadata r
WHERE r.roadmap_id = 'r-1' AND c.roadmap_id IN (SELECT 'past-' || n FROM generate_series(:first, :last) AS n)
""",
    *(
        f"""
INSERT INTO {table} SELECT (json_populate_record(r, json_build_object(
    '{key}', n || '-' || md5(r.{key}), 'roadmap_id', 'past-' || n))).*
FROM {table} r, generate_series(:first, :last) AS n WHERE r.roadmap_id = 'r-1'
"""
        for table, key in (
            ("tutorial_metadata", "tutorial_id"),
            ("resource_recommendation_metadata", "id"),
            ("quiz_metadata", "quiz_id"),
        )
    ),
)
"""Gives tasks a framework and its content. A sweep then repairs the ids in the framework."""

BECOME_DUE = (
    "UPDATE content_checks SET next_check_at = next_check_at + interval '30 days'",
    """
UPDATE content_checks SET next_check_at = timezone('utc', now())
WHERE task_id IN (SELECT 'past-' || n FROM generate_series(:ended + 1, :last) AS n)
""",
    """
UPDATE roadmap_tasks SET updated_at = updated_at
WHERE task_id IN (SELECT 'past-' || n FROM generate_series(1, :ended) AS n)
""",
)
"""Only some tasks are due: those that have ended, which their trigger records, and others after their
pause."""

COUNTERS: Mapping[str, str] = {
    "transactions": "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
    "rows read": "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables",
    "blocks read": """SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0))
        FROM pg_statio_user_tables""",
    "bytes of WAL": "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')",
}

# A session's counters are complete when it has ended.
SESSIONS = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
""")


class Stack:
    """A database with finished tasks, which a sweep checks."""

    def __init__(self, url: str) -> None:
        # VACUUM cannot run in a transaction.
        self._administrator = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._pipeline = Pipeline(services_for(url))
        self._pipeline.load(bundle_of(concept_ids(CONCEPTS)))
        self._pipeline.run()
        self._past = self._with_content = 0

    def sweep_costs(self, past: int, work: Work) -> dict[str, float]:
        """The cost of a sweep with `past` finished tasks, at least as many as before."""
        due = work.checks + past * SWEEP_MINUTES // (LONGEST_PAUSE.days * 24 * 60)
        self._run(PAST, first=self._past + 1, last=past)
        self._run(CONTENT, first=self._with_content + 1, last=due)
        self._past, self._with_content = past, due
        while self._sweep().repairs:
            pass
        self._run(BECOME_DUE, ended=work.ended, last=due)
        self._run(("VACUUM ANALYZE", "CHECKPOINT"))
        before, started = self._counters(), time.perf_counter()
        swept = self._sweep()
        seconds = time.perf_counter() - started
        if swept.repairs or not swept.finished:
            raise SystemExit(f"the sweep repaired something, or did not finish: {swept}")
        return {
            "checks": swept.checked,
            **{name: value - before[name] for name, value in self._counters().items()},
            "seconds": seconds,
        }

    def close(self) -> None:
        """Close the sweep's connection."""
        self._pipeline.services.engine.dispose()

    def _sweep(self) -> ReconcileResult:
        request = ReconcileRequest(time=datetime.now(UTC))
        return reconcile(request, self._pipeline.services, Deadline.after(3600))

    def _run(self, statements: Sequence[str], **parameters: int) -> None:
        with self._administrator.connect() as connection:
            for statement in statements:
                for name, value in parameters.items():
                    statement = statement.replace(f":{name}", str(value))
                connection.execute(text(statement))

    def _counters(self) -> dict[str, float]:
        self.close()
        with self._administrator.connect() as connection:
            while connection.scalar(SESSIONS):
                time.sleep(0.01)
            return {name: float(connection.scalar(text(sql)) or 0) for name, sql in COUNTERS.items()}


def main() -> None:
    """Measure both sizes, show, and keep the result."""
    arguments = arguments_of(__doc__, sizes=SIZES, number=2)
    few, many = sorted(arguments.sizes)
    with migrated_database() as url:
        S3.create_bucket(Bucket="content")
        stack = Stack(url)
        costs = {size: stack.sweep_costs(size, DAY) for size in (few, many)}
    kinds = {kind: (value, costs[many][kind]) for kind, value in costs[few].items()}
    ratios = {kind: larger / value for kind, (value, larger) in kinds.items()}
    result = Result(
        name="sweeping",
        title="The sweep",
        about=ABOUT.strip(),
        versions=versions("SQLAlchemy", "pg8000"),
        matrices=[
            Matrix(
                name="costs",
                title="A sweep, by the number of finished tasks",
                columns=[f"{few:,}", f"{many:,}", "ratio"],
                rows={
                    kind: [*(amount(value, "") for value in values), amount(ratios[kind], "×")]
                    for kind, values in kinds.items()
                },
            )
        ],
        targets=[
            Target(
                label=f"the sweep: {kind}, {many:,} finished tasks against {few:,}",
                value=ratios[kind],
                limit=MOST_TIMES,
            )
            for kind in COUNTERS
        ],
    )
    finish(result, short=arguments.short, room=0.0)


if __name__ == "__main__":
    main()
