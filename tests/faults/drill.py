"""`make drill`: 1,000 tasks are broken in four ways, and repaired with one recovery.

Real: PostgreSQL, the steps, the API's functions, the recovery and its rate. Emulated: S3 (in memory) and Step
Functions (`tests/support/runs.py`); Lambda is this process.
"""

import argparse
import importlib
import json
import queue
import resource
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.table import Table
from sqlalchemy import make_url, text

from migrations import migrate
from roadmap_command.load import load_bundle
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.capabilities.recoveries.advance import advance
from roadmap_content.content.bundle import read_bundle
from roadmap_content.content.generation.model import ModelBusyError
from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import RunInput
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import staged_key
from roadmap_content.state.services import Services
from tests.support.databases import temporary_server
from tests.support.evidence import Log
from tests.support.factories import USER, bundle_of, concept_ids, quiz, resources
from tests.support.generators import FakeModel
from tests.support.machine_model import Run, State, error_of
from tests.support.memory_s3 import MemoryS3
from tests.support.oracle import OracleOfOne
from tests.support.requests_to_api import Reply, request
from tests.support.runs import QueuedRuns
from tests.support.soak import Found, console

CONCEPTS = 2
WORKERS = 4
BUCKET = "content"
SETTINGS = {
    "CONTENT_BUCKET": BUCKET,
    "BATCH_SIZE": "10",
    "MAX_CONCURRENCY": "5",
    "GENERATOR": "offline",
}
SWEEP_SECONDS = 1
OUTAGES = ("a dead database", "a throttled model", "a bad release", "real poison")
ORACLE_SAMPLE = 100
TASKS = 1_000
BUSY = ModelBusyError("ThrottlingException: too many tokens, please wait")
ZEROS = ("lost", "repeated_calls", "wrong_statuses", "unaccounted")
"""The counts that must be 0."""

SAVED = """
SELECT roadmap_id, CAST(sum(items) AS integer) AS items FROM (
    SELECT roadmap_id, count(DISTINCT concept_id) AS items FROM tutorial_metadata GROUP BY roadmap_id
    UNION ALL SELECT roadmap_id, count(*) FROM resource_recommendation_metadata GROUP BY roadmap_id
    UNION ALL SELECT roadmap_id, count(*) FROM quiz_metadata GROUP BY roadmap_id) AS s
GROUP BY roadmap_id
"""


class PoisoningBucket(Bucket):
    """The bucket. While the faulty release runs, staged quizzes contain a NUL character."""

    bad = False

    def put(self, key: str, body: bytes, metadata: Mapping[str, str] | None = None) -> None:
        """Store an object as the current release does."""
        if self.bad and key.startswith("staged/") and "/quiz/" in key:
            body = json.dumps({**json.loads(body), "note": "\x00"}).encode()
        super().put(key, body, metadata)


class Machine(QueuedRuns):
    """Executions that threads run, each with its own connection."""

    def __init__(self, drill: "Drill") -> None:
        super().__init__()
        self._drill = drill
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        services = self._drill.services()
        services.executions = self
        while not (self._ended.is_set() and self.waiting.empty()):
            with suppress(queue.Empty):
                run = self.waiting.get(timeout=0.1)
                while run.running:
                    run.advance(services)
        services.engine.dispose()


class Drill:
    """A database, a bucket, and tasks to break and heal."""

    def __init__(self, url: str, tasks: int) -> None:
        self._credentials = Credentials.from_url(make_url(url))
        self._asking = threading.Lock()
        self.memory = MemoryS3()
        self.memory.create_bucket(Bucket=BUCKET)
        self.s3 = self.memory.client
        self.bucket = PoisoningBucket(BUCKET, self.s3)
        self.generator = FakeModel()
        self.tasks = [f"task-{number:05}" for number in range(tasks)]
        self.bundles: dict[str, dict[str, Any]] = {}
        self.machine = Machine(self)
        self.own = self.services()

    def services(self) -> Services:
        services = Services(Settings(SETTINGS), EVERY)
        services.engine = services.reading_engine = open_engine(lambda: self._credentials, tls=False)
        services.bucket = self.bucket
        services.generator = self.generator
        if hasattr(self, "machine"):
            services.executions = self.machine
        return services

    def outage_of(self, number: int) -> str:
        """The fault of a task: every twentieth has invalid content, the others fail in the three outages in
        turn.
        """
        return OUTAGES[3] if number % 20 == 0 else OUTAGES[number % 3]

    def load(self) -> None:
        """Load the tasks. The quizzes are not generated yet."""
        for number, task_id in enumerate(self.tasks):
            ids = concept_ids(CONCEPTS, f"r-{number}")
            bundle = bundle_of(ids, roadmap_id=f"r-{number}", task_id=task_id)
            for entry in bundle["content"]:
                del entry["quiz"]
            self.bundles[task_id] = bundle
            load_bundle(read_bundle(bundle), self.own.engine, self.bucket, Deadline.after(600))
            if self.outage_of(number) == OUTAGES[3]:
                self._poison(f"r-{number}", ids)

    def _poison(self, roadmap_id: str, ids: list[str]) -> None:
        """Invalid content, which PostgreSQL or the contracts refuse."""
        first, second = Item(ids[0], ContentType.QUIZ), Item(ids[1], ContentType.RESOURCES)
        self.bucket.put(staged_key(roadmap_id, first), json.dumps(quiz(ids[0], note="\x00")).encode())
        taken = resources(ids[1], id=resources(ids[0])["id"])
        self.bucket.put(staged_key(roadmap_id, second), json.dumps(taken).encode())

    def break_all(self) -> None:
        """Run every task once, under its outage."""
        for number, task_id in enumerate(self.tasks):
            outage = self.outage_of(number)
            self.generator.error = BUSY if outage == OUTAGES[1] else None
            self.bucket.bad = outage == OUTAGES[2]
            run = Run(f"arn:first-{number}", RunInput(task_id=task_id))
            self.run(run, dead_database=outage == OUTAGES[0])
        self.generator.error, self.bucket.bad = None, False

    def rows(self, sql: str) -> list[dict[str, Any]]:
        with self.own.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(text(sql))]

    def run(self, run: Run, *, dead_database: bool = False) -> None:
        """Run an execution in this thread, until its outcome is recorded."""
        while run.going:
            if dead_database and run.state is State.SAVE:
                run.catch(error_of(DatabaseUnavailableError("no connection: the server is gone")))
            else:
                run.advance(self.own)

    def ask(
        self,
        function: str,
        method: str,
        path: str,
        body: object = None,
        query: Mapping[str, str] | None = None,
        *,
        services: Services | None = None,
        roles: str = "owner,operator",
    ) -> Reply:
        """Send a request to the API, one at a time, as a function's process handles them."""
        module = importlib.import_module(f"functions.{function}.app")
        with self._asking:
            module.api.services = services or self.own
            user_id = "op" if "operator" in roles else USER
            return request(module, method, f"/api/v1{path}", query, user_id=user_id, roles=roles, body=body)

    def follow(self, recovery_id: str) -> dict[str, Any]:
        """Advance a recovery until it has ended; return its final state."""
        path = f"/recoveries/{recovery_id}"
        # The sweep's part: the rate also allows starts between the ends of runs.
        while (recovery := dict(self.ask("operator_api", "GET", path).body))["ended_at"] is None:
            advance(self.own, recovery_id, Deadline.after(600))
            time.sleep(SWEEP_SECONDS)
        return recovery

    def broken(self) -> int:
        """The number of tasks, of a sample, that break an invariant of the oracle."""
        found = 0
        for task_id in self.tasks[:: max(1, len(self.tasks) // ORACLE_SAMPLE)]:
            oracle = OracleOfOne(self.own.engine, self.s3, BUCKET, self.bundles[task_id], Log())
            broken = [*oracle.at_rest()]
            found += bool(broken)
            if broken:
                console.print(f"{task_id}: {broken[0]}")
        return found

    def close(self) -> None:
        """End the executions, and close the connections."""
        self.machine.end()
        self.own.engine.dispose()

    def rejected_generations(self) -> Counter[Item]:
        """The number of generated items that were refused as invalid and must be generated again."""
        found: Counter[Item] = Counter()
        for row in self.rows(
            "SELECT concept_id, content_type FROM content_failures WHERE error_code = 'InvalidContent'"
        ):
            found[Item(row["concept_id"], ContentType(row["content_type"]))] += 1
        return found


def heal(drill: Drill, rate: int, concurrency: int) -> tuple[dict[str, Any], float]:
    """Run one recovery of all failed tasks; return its final state and its duration."""
    body = {
        "filter": {"status": ["failed", "partial_failure"]},
        "reason": "the outage drill",
        "rate_per_minute": rate,
        "concurrency": concurrency,
    }
    started = time.monotonic()
    created = drill.ask("operator_api", "POST", "/recoveries", body)
    if created.status != 201:
        raise SystemExit(f"the recovery was not created: {created}")
    recovery = drill.follow(created.body["recovery_id"])
    return recovery, time.monotonic() - started


def verdict(drill: Drill, recovery: dict[str, Any], seconds: float, rate: int) -> dict[str, Any]:
    """Compare the tables with the expected state."""
    statuses = {row["task_id"]: row for row in drill.rows("SELECT * FROM roadmap_tasks")}
    saved_of = {row["roadmap_id"]: row["items"] for row in drill.rows(SAVED)}
    lost = wrong = 0
    for task_id, bundle in drill.bundles.items():
        roadmap_id = bundle["roadmap"]["roadmap_id"]
        saved = saved_of.get(roadmap_id, 0)
        missing = 3 * CONCEPTS - saved
        lost += missing
        says = statuses[task_id]["status"]
        wrong += says != ("completed" if not missing else "partial_failure" if saved else "failed")
    wrong += drill.broken()
    results = drill.rows("SELECT task_id, result FROM content_recovery_tasks")
    unaccounted = sum(row["result"] in ("waiting", "running") for row in results)
    unaccounted += len(set(drill.tasks) ^ {row["task_id"] for row in results})
    unaccounted += sum(
        (row["result"] == "recovered") != (statuses[row["task_id"]]["status"] == "completed")
        for row in results
    )
    refused = drill.rejected_generations()
    made = Counter(drill.generator.made)
    repeated = sum(max(0, times - 1 - refused[item]) for item, times in made.items())
    return {
        "tasks": len(drill.tasks),
        "healed": recovery["counts"]["recovered"],
        "lost": lost,
        "repeated_calls": repeated,
        "wrong_statuses": wrong,
        "unaccounted": unaccounted,
        "seconds": round(seconds, 1),
        "ideal_seconds": round(60 * (len(drill.tasks) - 1) / rate, 1),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def groups_table(drill: Drill) -> Table:
    """The failure groups after the outage, as an operator sees them."""
    table = Table("items", "tasks", "types", "error", "reason", "what the next attempt does")
    for group in drill.ask("task_api", "GET", "/failures").body["items"]:
        table.add_row(
            str(group["items"]),
            str(group["tasks"]),
            ", ".join(group["by_type"]),
            group["error_code"],
            group["reason"],
            group["remedy_text"],
        )
    return table


def wrong(counts: Mapping[str, Any], zeros: Sequence[str] = ZEROS) -> Found:
    """The counts, and those that must be 0 and are not; all tasks must be healed."""
    broken = [f"{counts[name]} {name.replace('_', ' ')}: must be 0" for name in zeros if counts[name]]
    if counts["healed"] != counts["tasks"]:
        broken.append("not all tasks were healed")
    return Found(counts, broken)


def play(options: argparse.Namespace) -> Found:
    logger.setLevel("CRITICAL")  # it causes the failures
    with temporary_server() as server:
        migrate(server.url)
        drill = Drill(server.url, options.tasks or TASKS)
        drill.load()
        console.print(f"{len(drill.tasks)} tasks of {USER} are loaded")
        drill.break_all()
        counts = Counter(row["status"] for row in drill.rows("SELECT status FROM roadmap_tasks"))
        console.print(f"after the outages: {dict(counts)}")
        console.print(groups_table(drill))
        recovery, seconds = heal(drill, options.rate, options.concurrency)
        console.print(f"recovery {recovery['state']}: {recovery['counts']}")
        found = verdict(drill, recovery, seconds, options.rate)
        drill.close()
    return wrong(found)
