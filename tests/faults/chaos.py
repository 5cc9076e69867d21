"""`make chaos`: run many tasks while PostgreSQL and function processes are killed; then check.

In addition, backends of PostgreSQL are stopped for seconds, idle sessions hold locks on roadmaps, and a
trigger refuses rows with its own SQLSTATE. During the faults, an operator creates a recovery of all tasks so
far. After the faults, there is one sweep of Reconcile, the end of the recovery, and one retry of each task.
Then the oracle checks the invariants of each task, every row is compared with the staged content, and the
recovery and the events are compared with the audit trail.

The minute after which the sweep counts an attempt as never started is simulated by changing `updated_at`.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus

from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError

from local_stack.cloud import DEFAULT_EVENT_BUS_ARN
from tests.faults.stack_soak import PromiseBrokenError, StackSoak, Subject, raise_first, soak
from tests.support.evidence import TYPES
from tests.support.factories import bundle_of, concept_ids
from tests.support.http_api import Api
from tests.support.soak import Found, console

TASKS = 500
CONCEPTS = 30
AT_ONCE = 8
BATCH_SIZE = 30
TASKS_PER_STRIKE = 4
"""Average number of tasks that end between two faults, so that fast and slow machines get equally many
faults.
"""

STORM_SECONDS = 300
"""Time of the last fault, so that a slow machine has enough time left for the checks."""

OUTAGE_SECONDS = 1.5
"""Duration of an outage of a function's processes, in which every retry of the current work fails."""

HOLD_SECONDS = 4.0
"""Seconds for which a backend is stopped or a roadmap is locked. Longer than the lock timeout."""

# Refuses the rows of one item in fifty, as a rule of the product would.
REFUSE = """
CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF mod(abs(hashtext(NEW.concept_id)), 50) = 0 THEN
        RAISE EXCEPTION 'no' USING ERRCODE = 'U0001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER strike BEFORE INSERT ON quiz_metadata FOR EACH ROW EXECUTE FUNCTION strike()
"""

FROM_STAGED = {
    "tutorial": ("tutorial_id", "title", "summary", "content_version", "estimated_completion_time"),
    "resources": ("id", "resources", "search_queries_used"),
    "quiz": ("quiz_id", "questions", "total_questions"),
}
"""The columns of a row that are copied from staged content, by content type."""

ACCOUNTS = {
    "recoveries that have not ended": "SELECT count(*) FROM content_recoveries WHERE ended_at IS NULL",
    "tasks of recoveries without a result": (
        "SELECT count(*) FROM content_recovery_tasks WHERE result IN ('waiting', 'running')"
    ),
    "tasks whose recovery names another attempt than the audit trail": """
        SELECT count(*) FROM content_recovery_tasks r WHERE r.attempt IS DISTINCT FROM (
            SELECT max(a.attempt) FROM content_attempts a
            WHERE a.task_id = r.task_id AND a.actor = 'recovery:' || r.recovery_id)""",
    "events that were not delivered": "SELECT count(*) FROM content_events WHERE delivered_at IS NULL",
    "attempts without one event of their start": """
        SELECT count(*) FROM content_attempts a WHERE 1 <> (
            SELECT count(*) FROM content_events e
            WHERE e.task_id = a.task_id AND e.detail_type = 'Attempt Started'
                AND e.detail #>> '{data,attempt}' = CAST(a.attempt AS text))
            AND NOT (a.outcome = 'cancelled' AND a.planned::text = a.failed::text)""",
    "events of attempts that do not exist": """
        SELECT count(*) FROM content_events e WHERE e.detail_type = 'Attempt Started' AND NOT EXISTS (
            SELECT FROM content_attempts a WHERE a.task_id = e.task_id
                AND e.detail #>> '{data,attempt}' = CAST(a.attempt AS text))""",
}
"""The counts that must be 0 in the end (I9, I10)."""

SWEPT_AT = "2026-01-01T00:00:00Z"
"""The time of the sweep. Scheduled sweeps check finished tasks that have changed or are due."""


def subject(number: int, seed: int) -> Subject:
    """Task `number` of a seed. In every fifth task one item is not staged and must be generated."""
    roadmap_id = f"r-{number:04}"
    ids = concept_ids(CONCEPTS, roadmap_id)
    bundle = bundle_of(ids, roadmap_id=roadmap_id, task_id=f"t-{number:04}", user_id=f"user-{number % 7}")
    if number % 5 == 0:
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - to be repeated
        del chance.choice(bundle["content"])[chance.choice(TYPES)]
    return Subject(bundle)


class Chaos(StackSoak):
    """Faults, a pause, one sweep, one retry per task."""

    def run(self) -> list[str]:
        """Faults, a pause, one sweep, one retry per task; returns every failed check."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                self._execute(REFUSE)
                self._storm(pool)
                self._execute("DROP FUNCTION strike CASCADE")
                self._sweep()
                self._end_recovery()
                self._prepare_oracles()
                broken = [*self._held(pool, "after the sweep", lambda oracle: oracle.at_any_time())]
                self._retry_each(pool)
                self._list_the_bucket()
                broken += self._held_in_the_end(pool)
                return broken + self._wrong_rows(pool) + self._wrong_accounts()
            except BaseException:
                pool.shutdown(cancel_futures=True, wait=False)
                raise

    # The faults.

    def _storm(self, pool: ThreadPoolExecutor) -> None:
        futures = [pool.submit(self._first_run, each) for each in self._subjects]
        holders: list[threading.Thread] = []
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=("storm", futures, over))
        watcher.start()
        # PostgreSQL stops with the thread that started it, so this thread kills and restarts it.
        try:
            strike_at, ends_at = 0.0, time.monotonic() + STORM_SECONDS
            while not over.wait(0.05) and time.monotonic() < ends_at:
                if sum(future.done() for future in futures) >= strike_at:
                    strike_at += self._chance.expovariate(1 / TASKS_PER_STRIKE)
                    self._strike(holders)
        finally:
            watcher.join()
            for holder in holders:
                holder.join()
        raise_first(futures)

    def _strike(self, holders: list[threading.Thread]) -> None:
        match self._chance.randrange(14):
            case 0 | 1:
                self._kill_database("and started again")
            case 2:
                self.counts["outages of all functions"] += 1
                ends_at = time.monotonic() + OUTAGE_SECONDS
                while time.monotonic() < ends_at:
                    for worker in self._workers():
                        self._kill(worker)
                    time.sleep(0.05)
            case 3 | 4:
                holders.append(threading.Thread(target=self._stop_a_backend))
                holders[-1].start()
            case 5 | 6:
                each = self._chance.choice(self._subjects)
                holders.append(threading.Thread(target=self._hold_a_roadmap, args=(each,)))
                holders[-1].start()
            case _:
                if workers := self._workers():
                    self._kill(self._chance.choice(workers))

    def _stop_a_backend(self) -> None:
        """Stop the backend of some function for a while, so that it neither refuses nor answers."""
        busy = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'roadmap-content' AND state <> 'idle'"
            " AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
        )
        with suppress(DBAPIError, ProcessLookupError):
            pid = self._scalar(busy)
            if pid:
                os.kill(pid, signal.SIGSTOP)
                self.counts["backends of PostgreSQL stopped for a while"] += 1
                time.sleep(HOLD_SECONDS)
                os.kill(pid, signal.SIGCONT)

    def _hold_a_roadmap(self, each: Subject) -> None:
        """Lock a roadmap for a while, like a session that is idle in a transaction."""
        engine = create_engine(self._stack.database_url, poolclass=NullPool)
        with suppress(DBAPIError), engine.begin() as connection:
            lock = text("SELECT 1 FROM roadmap_metadata WHERE roadmap_id = :id FOR UPDATE")
            if connection.execute(lock, {"id": each.bundle["roadmap"]["roadmap_id"]}).first():
                self.counts["roadmaps held for a while"] += 1
                time.sleep(HOLD_SECONDS)

    def _first_run(self, each: Subject) -> None:
        self._load(each)
        attempt = self._begin(each)
        self.counts["first runs that ended " + self._follow(each, attempt)] += 1
        if self._subjects.index(each) == len(self._subjects) // 2:
            self._create_recovery()

    # After the faults.

    def _sweep(self) -> None:
        """Run one sweep of Reconcile, a minute later. No task may stay `processing`."""
        for name, sql in (
            ("tasks that were not finalized yet", "status = 'processing'"),
            ("tasks that were incomplete after their first run", "status NOT IN ('processing', 'completed')"),
        ):
            self.counts[name] += self._scalar(f"SELECT count(*) FROM roadmap_tasks WHERE {sql}")
        with self._target.engine.connect() as connection:
            why = "SELECT error_code, count(*) FROM content_failures GROUP BY error_code"
            for error_code, count in connection.execute(text(why)):
                self.counts[f"items missing at first: {error_code}"] += count
        self._execute(
            "UPDATE roadmap_tasks SET updated_at = updated_at - interval '61 seconds'"
            " WHERE status = 'processing'"
        )
        # The leases of senders that were killed end, too.
        self._execute("UPDATE content_events SET due_at = due_at - interval '61 seconds'")
        result = self._target.invoke("ReconcileTaskFunction", {})
        self.counts["tasks that the sweep repaired"] += len(result["repairs"])
        if left := self._scalar("SELECT count(*) FROM roadmap_tasks WHERE status = 'processing'"):
            raise PromiseBrokenError(f"{left} tasks are left processing after the sweep")

    def _create_recovery(self) -> None:
        """Retry all tasks that have run so far, and some that are running, while the faults go on."""
        body = {
            "filter": {"status": ["failed", "partial_failure", "completed", "processing"]},
            "reason": "in the middle of the outage",
            "rate_per_minute": 6_000,
            "concurrency": AT_ONCE,
        }
        for _ in self._tries("the API to create a recovery"):
            try:
                answer = Api.of_operator(self._target).send("POST", "/recoveries", body)
            except (OSError, http.client.HTTPException, json.JSONDecodeError):
                continue
            if answer.status == HTTPStatus.CREATED:
                return

    def _end_recovery(self) -> None:
        """Sweep until every recovery has ended."""
        for _ in self._tries("the recovery to end"):
            if not self._scalar("SELECT count(*) FROM content_recoveries WHERE ended_at IS NULL"):
                break
            self._target.invoke("ReconcileTaskFunction", {"time": SWEPT_AT})
        with self._target.engine.connect() as connection:
            results = "SELECT result, count(*) FROM content_recovery_tasks GROUP BY result"
            for result, count in connection.execute(text(results)):
                self.counts[f"tasks of a recovery that are {result}"] += count

    def _wrong_accounts(self) -> list[str]:
        """Tasks without a correct result in a recovery, and events that are missing or have no cause."""
        self._target.invoke("ReconcileTaskFunction", {"time": SWEPT_AT})  # delivers the remaining events
        return [f"{count} {what}" for what, sql in ACCOUNTS.items() if (count := self._scalar(sql))]

    def _retry_each(self, pool: ThreadPoolExecutor) -> None:
        futures = [pool.submit(self._retry_once, each) for each in self._subjects]
        self._watch("one retry each", futures)
        raise_first(futures)

    def _retry_once(self, each: Subject) -> None:
        """Retry once. Repeats the request if the API was too busy to accept it."""
        for _ in self._tries(f"the API to take the retry of {each.task_id}"):
            answer = self._retry(each)
            if answer is None or answer.status != 429:
                break
        if answer is None or answer.status not in (200, 202):
            raise PromiseBrokenError(f"the retry of {each.task_id} was answered {answer}")
        self.counts[f"retries answered {answer.status}"] += 1
        if answer.status == 202:
            self.counts["retries that ended " + self._follow(each, answer.body["attempt"])] += 1

    # The checks.

    def _wrong_rows(self, pool: ThreadPoolExecutor) -> list[str]:
        """Rows that differ from the staged content, items without a row, and rows without a task."""

        def compare(each: Subject) -> list[str]:
            with self._looking:
                now = self._oracles[each.task_id].look()
            staged = {entry["concept_id"]: entry for entry in each.bundle["content"]}
            wrong = [
                f"{each.task_id}: the row of {concept_id}, {kind} is not what was staged"
                for kind in TYPES
                for concept_id, row in now.completed(kind).items()
                if kind in staged[concept_id]
                and any(row[key] != staged[concept_id][kind][key] for key in FROM_STAGED[kind])
            ]
            rows = sum(len(now.rows[kind]) for kind in TYPES)
            self.counts["rows"] += rows
            self.counts["items lost"] += len(now.missing())
            self.counts["wrong rows"] += len(wrong) + rows - len(now.items()) + len(now.missing())
            return wrong

        futures = [pool.submit(compare, each) for each in self._subjects]
        self._watch("every row", futures)
        broken = [line for future in futures for line in future.result()]
        processing = self._scalar("SELECT count(*) FROM roadmap_tasks WHERE status <> 'completed'")
        self.counts["tasks not completed"] += processing
        nobodys = sum(
            self._scalar(f"SELECT count(*) FROM {table}")
            for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata")
        )
        self.counts["wrong rows"] += nobodys - self.counts["rows"]
        return broken + [
            f"{self.counts[name]} {name}"
            for name in ("items lost", "wrong rows", "tasks not completed")
            if self.counts[name]
        ]


def play(options: argparse.Namespace) -> Found:
    tasks = options.tasks or TASKS
    seed = options.seed if options.seed is not None else secrets.randbelow(10**6)
    console.print(f"CHAOS_SEED={seed} CHAOS_TASKS={tasks}: {CONCEPTS} concepts each, {AT_ONCE} at a time")
    subjects = [subject(number, seed) for number in range(tasks)]
    return soak(
        lambda stack, deadline: Chaos(stack, deadline, subjects, seed),
        {"BatchSize": str(BATCH_SIZE), "EventBusArn": DEFAULT_EVENT_BUS_ARN},
    )
