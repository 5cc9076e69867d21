"""`python -m benchmarks.growth`: operations that read more with 1,000,000 tasks than with 1,000.

PostgreSQL counts the blocks that an operation reads, so the ratios do not depend on the machine. Each does
the same work at both sizes: a page, the groups, health, a sweep in which one task is due, an attempt's place
in the queue, an admission, a claim in a recovery. A hundred attempts wait, a tenth of the finished tasks is
incomplete, and half of a recovery of at most 200,000 tasks is over.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text

from roadmap_content.capabilities.erasure.exclusion import EXCLUSION
from roadmap_content.capabilities.recoveries.advance import advance
from roadmap_content.capabilities.recoveries.recovery_tasks import WaitingTask, claim_task
from roadmap_content.contracts.states import QueueState
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.state.queue import queue
from roadmap_content.state.queue.capacity import NOTHING, lock_capacity
from roadmap_content.state.queue.place import read_place
from roadmap_content.state.tasks.attempts import NewAttempt, user_start
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import S3, Pipeline, services_for
from tests.support.requests_to_api import request

from .database import migrated_database
from .report import Limit, amount, arguments_of, show_limits, show_table

SIZES = (1_000, 1_000_000)
MOST_TIMES = 5.0

# The same at every size: a hundred attempts that wait, and a recovery.
WAITING = (
    "UPDATE content_capacity SET stopped_reason = 'only the benchmark admits'",
    """
INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, roadmap_id, created_at, updated_at,
    attempt)
SELECT 'w-' || n, 'user-' || n % 10, 'processing', 'content_generation', 'r-1', now(), now(), 1
FROM generate_series(1, 100) AS n
""",
    """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step)
SELECT task_id, 1, 'user', 'retry', 'claimed' FROM roadmap_tasks WHERE task_id LIKE 'w-%'
""",
    """
INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants)
SELECT task_id, 1, 'interactive', 'user:' || user_id, 'waiting', 1000, 1
FROM roadmap_tasks WHERE task_id LIKE 'w-%'
""",
    """
INSERT INTO content_queue_keys (class, queue_key, virtual_time, waiting)
SELECT DISTINCT 'interactive', queue_key, 1000, true FROM content_queue WHERE state = 'waiting'
ON CONFLICT (class, queue_key) DO UPDATE SET waiting = true
""",
    """
INSERT INTO content_recoveries (recovery_id, state, actor, reason, filter, rate_per_minute, concurrency,
    canary, breaker) VALUES ('all', 'paused', 'operator', 'r', '{}', 60, 10, 0, 20)
""",
)

# Tasks that ended, a tenth of them incomplete, and half of a recovery's tasks.
FINISHED = (
    """
INSERT INTO roadmap_metadata (roadmap_id, user_id, title)
SELECT 'p-' || n, 'user-' || n % 10, 'Roadmap ' || n FROM generate_series(:first, :last) AS n
""",
    """
INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, roadmap_id, created_at, updated_at,
    completed_at, execution_summary, attempt)
SELECT 'p-' || n, 'user-' || n % 10, CASE WHEN n % 10 = 0 THEN 'partial_failure' ELSE 'completed' END,
    'completed', 'p-' || n, ended.at, ended.at, ended.at, '{"attempt": 1, "duration_seconds": 9}', 1
FROM generate_series(:first, :last) AS n,
    LATERAL (SELECT content_now() - n * interval '1 second' AS at) AS ended
""",
    """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step, claimed_at, ended_at, outcome, saved,
    user_id, roadmap_id)
SELECT task_id, 1, 'console', 'first_run', 'ended', updated_at, updated_at, status, '{}', user_id, roadmap_id
FROM roadmap_tasks
WHERE task_id IN (SELECT 'p-' || n FROM generate_series(:first, :last) AS n)
""",
    """
INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants, enqueued_at,
    admitted_at, ended_at)
SELECT task_id, 1, 'interactive', 'user:' || user_id, 'ended', 1000, 1, updated_at, updated_at, updated_at
FROM roadmap_tasks WHERE task_id IN (SELECT 'p-' || n FROM generate_series(:first, :last) AS n)
""",
    """
INSERT INTO content_checks (task_id, checked_at, next_check_at, pause)
SELECT 'p-' || n, now(), now() + interval '30 days', interval '30 days'
FROM generate_series(:first, :last) AS n
""",
    """
INSERT INTO content_task_failures (task_id, group_id, attempt, error_code, stage, content_type, reason,
    transient, items, first_seen, last_seen, example_concept_id, example_reason, user_id, created_at)
SELECT task_id, 'g-' || n / 10 % 2, 1, 'Error' || n / 10 % 2, 'save', 'quiz', 'the reason', false, 3,
    updated_at, updated_at, 'c', 'the reason', user_id, created_at
FROM generate_series(:first, :last) AS n JOIN roadmap_tasks ON task_id = 'p-' || n WHERE n % 10 = 0
""",
    "TRUNCATE content_failure_groups",
    """
INSERT INTO content_failure_groups (group_id, error_code, stage, reason, transient, tasks, items, by_type,
    first_seen, last_seen)
SELECT group_id, min(error_code), 'save', min(reason), false, count(*), sum(items),
    json_build_object('quiz', sum(items)), min(first_seen), max(last_seen)
FROM content_task_failures GROUP BY group_id
""",
    """
INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary, result, attempt, ended_at)
SELECT 'all', n, 'p-' || n, false, CASE WHEN n % 2 = 0 THEN 'recovered' ELSE 'waiting' END,
    CASE WHEN n % 2 = 0 THEN 2 END, CASE WHEN n % 2 = 0 THEN now() END
FROM generate_series(:first, least(:last, 200000)) AS n
""",
    """
INSERT INTO content_erasures (erasure_id, user_hash, actor, product_rows, ended_at, removed)
SELECT 'e-' || n, '0', 'operator', false, content_now() - n * interval '1 minute', '{}'
FROM generate_series(5 * :first - 4, 5 * :last) AS n
""",
    "TRUNCATE content_changes",
    "VACUUM ANALYZE",
)

# One task is due, and the next sweep looks up a whole page of tasks, at every size.
IS_DUE = text("""
WITH anew AS (UPDATE content_sweeps SET places = '{}')
UPDATE content_checks SET next_check_at = now() WHERE task_id = 't-1'
""")

BLOCKS = text("""
SELECT sum(heap_blks_read + heap_blks_hit + coalesce(idx_blks_read + idx_blks_hit, 0))
FROM pg_statio_user_tables
""")

# A session's counters are complete when it has ended.
SESSIONS = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
""")

PAGES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "a page of tasks": ("/tasks", {}),
    "… that failed": ("/tasks", {"status": "partial_failure"}),
    "… with an error code": ("/tasks", {"error_code": "Error1"}),
    "… of a group": ("/tasks", {"group_id": "g-1"}),
    "… of a user": ("/tasks", {"user_id": "user-7"}),
    "the failure groups": ("/failures", {}),
    "health": ("/health", {}),
}


class Stand:
    """A database with many tasks, and the operations on it."""

    def __init__(self, url: str) -> None:
        # VACUUM cannot run in a transaction.
        self._administrator = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._services = services_for(url)
        self._tasks = 0
        pipeline = Pipeline(self._services)
        pipeline.load(bundle_of(concept_ids(30)))
        pipeline.run()
        self._administer(WAITING)
        self._api = importlib.import_module("functions.task_api.app")
        self._operations: dict[str, Callable[[], object]] = {
            **{name: self._page(*page) for name, page in PAGES.items()},
            "a sweep": self._sweep,
            "a place in the queue": self._rolled_back(lambda connection: read_place(connection, "w-5", 1)),
            "an admission": self._rolled_back(_admit),
            "a claim in a recovery": self._rolled_back(_claim),
            "an advance of a recovery": lambda: advance(self._services, "all", Deadline.after(600)),
        }

    def costs(self, tasks: int) -> dict[str, float]:
        """The cost of each operation with so many tasks, at least as many as before."""
        first, last = str(self._tasks + 1), str(tasks)
        self._administer([each.replace(":first", first).replace(":last", last) for each in FINISHED])
        self._tasks = tasks
        self._sweep()  # forgets old attempts of the queue: what it deletes is not the cost of the next ones
        self._administer(["VACUUM"])
        return {name: self._cost(operation) for name, operation in self._operations.items()}

    def _administer(self, statements: Sequence[str]) -> None:
        with self._administrator.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def _cost(self, operation: Callable[[], object]) -> float:
        """The least of some rounds: PostgreSQL's own work in the background is counted, too."""
        operation()
        rounds = []
        for _ in range(3):
            with self._administrator.connect() as connection:
                connection.execute(IS_DUE)
            before = self._blocks()
            operation()
            rounds.append(self._blocks() - before)
        return min(rounds)

    def _blocks(self) -> float:
        self._services.engine.dispose()
        with self._administrator.connect() as connection:
            while connection.scalar(SESSIONS):
                time.sleep(0.01)
            return float(connection.scalar(BLOCKS) or 0)

    def _page(self, path: str, query: Mapping[str, str]) -> Callable[[], object]:
        def ask() -> None:
            self._api.api.services = self._services
            answer = request(self._api, "GET", f"/api/v1{path}", query, roles="owner,operator")
            if answer.status != 200:
                raise SystemExit(f"{path}: {answer}")

        return ask

    def _sweep(self) -> None:
        swept = reconcile(ReconcileRequest(time=datetime.now(UTC)), self._services, Deadline.after(3600))
        if swept.repairs or not swept.finished or swept.checked > 1:
            raise SystemExit(f"the sweep did other work: {swept}")

    def _rolled_back(self, work: Callable[[Connection], object]) -> Callable[[], object]:
        def operation() -> None:
            with self._services.engine.connect() as connection:
                work(connection)
                connection.rollback()

        return operation


def _admit(connection: Connection) -> None:
    connection.execute(text("UPDATE content_capacity SET stopped_reason = NULL"))
    lock_capacity(connection)
    if len(queue.admit(connection, 1)) != 1:
        raise SystemExit("nothing was admitted")


def _claim(connection: Connection) -> None:
    connection.execute(text("UPDATE content_recoveries SET state = 'running'"))
    claim_task(connection, "all", WaitingTask("p-1", "completed", 1, None), 2)
    EXCLUSION.require(connection, ["p-1"], datetime.now(UTC))
    queue.enqueue(connection, NewAttempt("p-1", 2, None, user_start("u")), QueueState.RUNNING, NOTHING)


@contextmanager
def stand() -> Iterator[Stand]:
    """A stand on a server of its own."""
    with migrated_database() as url:
        S3.create_bucket(Bucket="content")
        yield Stand(url)


def ratios(few: Mapping[str, float], many: Mapping[str, float]) -> dict[str, float]:
    """How many times as many blocks each operation reads."""
    return {name: many[name] / blocks for name, blocks in few.items()}


def too_much(grown: Mapping[str, float]) -> dict[str, float]:
    """The operations that grow."""
    return {name: ratio for name, ratio in grown.items() if ratio > MOST_TIMES}


def main() -> None:
    """Measure both sizes, and print the ratios."""
    arguments = arguments_of(__doc__ or "", sizes=SIZES, short=(1_000, 100_000))
    few, many = sorted(arguments.sizes)
    with stand() as measured:
        costs: dict[int, Any] = {size: measured.costs(size) for size in (few, many)}
    grown = ratios(costs[few], costs[many])
    rows = {
        name: [*(f"{costs[size][name]:,.0f}" for size in (few, many)), amount(ratio, "×")]
        for name, ratio in grown.items()
    }
    show_table("Blocks that an operation reads", [f"{few:,} tasks", f"{many:,}", "ratio"], rows)
    show_limits([Limit(name, ratio, MOST_TIMES) for name, ratio in grown.items()])
    if arguments.short and (missed := too_much(grown)):
        raise SystemExit(f"read more with more tasks: {missed}")


if __name__ == "__main__":
    main()
