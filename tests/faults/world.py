"""A model of the system around the steps: executions that advance step by step, and faults.

The state machine is a model (`tests/support/machine_model.py`), emulated from documentation; the steps,
the database, the bucket and the faults at a COMMIT are real.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from roadmap_content.capabilities.recoveries.create import create
from roadmap_content.capabilities.recoveries.request import RecoveryFilter, RecoveryRequest
from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.payloads import BatchRequest, RunInput, StateError
from roadmap_content.platform.aws.event_bus import Entry
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.steps.finalize import record_run_end
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.plan import plan_batches
from roadmap_content.runs.steps.save import save_batch
from tests.support.commits import Commits, ProcessDied, Strike
from tests.support.evidence import DELETED, HAS_CONCEPT_METADATA, TABLES, Log
from tests.support.machine_model import Run, State
from tests.support.memory_s3 import MemoryS3
from tests.support.oracle import Oracle
from tests.support.pipeline import Pipeline, services_for
from tests.support.received_events import Received
from tests.support.runs import Runs

# Statements of one transaction, as the product writes them.
PUBLISH = (
    "SELECT FROM roadmap_metadata WHERE roadmap_id = :r FOR NO KEY UPDATE",
    "UPDATE tutorial_metadata SET is_latest = false WHERE roadmap_id = :r AND concept_id = :c",
    """
    INSERT INTO tutorial_metadata
        (tutorial_id, concept_id, roadmap_id, title, summary, content_url, content_version)
    VALUES (gen_random_uuid(), :c, :r, 'T', 'S', :u, :v)
    """,
)


# A task of the product without a roadmap.
DELETED_LATER = text("""
INSERT INTO roadmap_tasks (task_id, user_id, status, attempt) VALUES (:task_id, 'somebody', 'failed', 1)
ON CONFLICT DO NOTHING
""")

TABLES_IN_ORDER = (
    *(table for table, _ in TABLES.values()),
    "content_attempts",
    "content_task_failures",
    "content_failure_groups",
    "content_failure_hours",
    "content_token_hours",
    "roadmap_metadata",
    "roadmap_tasks",
    "content_failures",
    "content_attempts",
    "content_checks",
    "content_changes",
    "content_recovery_tasks",
    "content_recoveries",
    "content_queue",
    "content_queue_keys",
    "content_events",
    "content_origins",
    "content_sweeps",
)


class RecordingGenerator(OfflineGenerator):
    """A generator that records every call in the log of the oracle, because every call would be paid for."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        """Generate an item and record the call."""
        self._log.generated.append((request.concept.concept_id, str(request.content_type)))
        return super().generate(request, allowance)


class Bus(Received):
    """A bus that records its events in the log of the oracle, too."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def put(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Receive events, unless the bus is unavailable."""
        answer = super().put(entries)
        self._log.delivered += [entry.event_id for entry in entries]
        return answer


class Scene:
    """The database, bucket and connections that worlds use. Faults do not affect these connections."""

    def __init__(self, database_url: str, bucket: str) -> None:
        self.database_url = database_url
        self.memory = MemoryS3()
        self.memory.create_bucket(Bucket=bucket)
        self.s3 = self.memory.client
        self.aside = services_for(database_url)
        self.aside.bucket = Bucket(bucket, self.s3)

    def close(self) -> None:
        self.aside.engine.dispose()

    def empty(self) -> None:
        """Remove every row and object, for the next world."""
        with self.aside.engine.begin() as connection:
            if connection.scalar(HAS_CONCEPT_METADATA):
                connection.execute(text("DELETE FROM concept_metadata"))
            for table in TABLES_IN_ORDER:
                connection.execute(text(f"DELETE FROM {table}"))
        bucket = self.aside.bucket.name
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                self.s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})  # type: ignore[typeddict-item]


class World:
    """One task, its executions, and the product and users around it."""

    seconds = 600.0
    """The time limit of each invocation, longer than any invocation."""

    def __init__(self, scene: Scene, bundle: dict[str, Any], database_url: str | None = None) -> None:
        self.services = services_for(database_url or scene.database_url)
        self.services.bucket = scene.aside.bucket
        self.pipeline = Pipeline(self.services, engine=scene.aside.engine)
        self.pipeline.load(bundle)
        self.task_id = self.pipeline.task_id
        self.log = Log()
        self.runs: list[Run] = []
        self.services.executions = Runs(self.runs)
        self.services.generator = RecordingGenerator(self.log)
        self.bus = Bus(self.log)
        self.services.event_bus = self.bus
        with scene.aside.engine.begin() as connection:
            connection.execute(DELETED_LATER, {"task_id": DELETED})
        self.commits = Commits(self.services.engine, scene.aside.engine)
        self.oracle = Oracle(scene.aside.engine, scene.s3, scene.aside.bucket.name, bundle, self.log)

    def close(self) -> None:
        self.services.engine.dispose()

    def deadline(self) -> Deadline:
        """The deadline of an invocation that begins now."""
        return Deadline.after(self.seconds)

    def start_by_hand(self) -> Run:
        """StartExecution from the console, with an arbitrary name: the execution claims an attempt itself."""
        run = Run(f"arn:by-hand-{len(self.runs)}", RunInput(task_id=self.task_id))
        self.runs.append(run)
        return run

    def attempt(self, work: Callable[[], object], strike: Strike | None = None) -> str:
        """Run an action in a process that may be killed at a COMMIT; return how it ended."""
        with self.commits.struck(strike):
            try:
                work()
            except ProcessDied:
                return "died"
            except ContentError as error:
                return error.code
        return "done"

    def advance(self, run: Run) -> str:
        """Advance an execution by one state; return how it first ended. After a crash, the state is retried.

        If it fails, the error is caught as in the state machine, or ends the execution.
        """
        ended = last = self.attempt(lambda: self._step(run))
        if ended == "died":
            last = self.attempt(lambda: self._step(run))
        if last != "done":
            name = "Runtime.ExitError" if last == "died" else last
            run.catch(StateError(error=name, cause="as it was thrown"))
        self._note_live(run)
        return ended

    def run_to_its_end(self, run: Run) -> None:
        while run.running:
            self.advance(run)

    def stop(self, run: Run) -> None:
        run.status = "ABORTED"
        self._note_live(run)

    def _step(self, run: Run) -> None:
        state = run.state
        with self._noting_what_is_generated_late(run):
            run.step(self.services, self.deadline())
        if state is State.FINALIZE and run.outcome is not None:
            self.log.note_outcome(run.outcome)

    @contextmanager
    def _noting_what_is_generated_late(self, run: Run) -> Iterator[None]:
        """Record items that are generated for an ended attempt, or for another execution's."""
        if run.input.task_id != self.task_id:
            yield
            return
        task = self.pipeline.task()
        attempt = None if run.planned is None else run.planned.plan.attempt
        is_open = task["completed_at"] is None and (task["attempt"], task["execution_arn"]) == (
            attempt,
            run.arn,
        )
        before = len(self.log.generated)
        try:
            yield
        finally:
            if not is_open:
                self.log.generated_late += self.log.generated[before:]

    def _note_live(self, run: Run) -> None:
        """Record for the oracle which executions are running with an attempt that has no outcome yet."""
        attempt = run.input.attempt if run.planned is None else run.planned.plan.attempt
        if run.going and run.at_work and attempt is not None and run.error is None:
            self.log.live[run.arn] = attempt
        else:
            self.log.live.pop(run.arn, None)

    # Recoveries.

    def recover(self) -> None:
        """An operator creates a recovery, which starts the task and another one."""
        request = RecoveryRequest(
            filter=RecoveryFilter(task_ids=[self.task_id, DELETED]),
            reason="why",
            rate_per_minute=100_000,
            concurrency=2,
            canary=0,
            breaker=0,
        )
        create(self.services, request, "operator:op", self.deadline())

    def recovery_ids(self) -> list[str]:
        """The recoveries, oldest first."""
        rows = self.pipeline.rows(
            "SELECT recovery_id FROM content_recoveries ORDER BY created_at, recovery_id"
        )
        return [row["recovery_id"] for row in rows]

    def delete_other_task(self) -> None:
        """The product deletes the other task of the recoveries."""
        self.pipeline.execute("DELETE FROM roadmap_tasks WHERE task_id = :id", id=DELETED)

    # Late and repeated deliveries.

    def plan_again(self, run: Run) -> None:
        plan_batches(run.plan_request(), self.services, self.deadline())

    def generate_again(self, run: Run, request: BatchRequest) -> None:
        """Generate is delivered once more."""
        with self._noting_what_is_generated_late(run):
            generate_content(request, self.services, self.deadline())

    def save_again(self, request: BatchRequest) -> None:
        save_batch(request, self.services, self.deadline())

    def finalize_again(self, run: Run) -> None:
        self.log.note_outcome(record_run_end(run.finalize_request(), self.services, self.deadline()))

    # Repairs.

    def reconcile(self, ended: Run | None = None) -> None:
        """Reconcile the end of an execution, or sweep as the schedule does: the changed and due tasks."""
        detail = ended and ExecutionEnd(
            execution_arn=ended.arn, status=ended.status, input=ended.input.model_dump_json()
        )
        reconcile(ReconcileRequest(detail=detail, time=datetime.now(UTC)), self.services, self.deadline())

    def let_a_minute_pass(self) -> None:
        """Simulate more than the time after which an attempt counts as never started, and the lease of an
        event ends.
        """
        self.pipeline.execute(
            "UPDATE roadmap_tasks SET updated_at = updated_at - interval '61 seconds' WHERE task_id = :id",
            id=self.task_id,
        )
        self.pipeline.execute("UPDATE content_events SET due_at = due_at - interval '61 seconds'")
        self.pipeline.execute(
            "UPDATE content_queue SET admitted_at = admitted_at - interval '61 seconds',"
            " enqueued_at = enqueued_at - interval '61 seconds'"
        )

    # Changes by the product.

    def tutorials(self, concept_id: str) -> list[dict[str, Any]]:
        """Every version of a concept's tutorial, lowest first."""
        return self.pipeline.rows(
            "SELECT * FROM tutorial_metadata WHERE roadmap_id = :r AND concept_id = :c"
            " ORDER BY content_version",
            r=self.pipeline.roadmap_id,
            c=concept_id,
        )

    def delete_roadmap(self, *, deleted: bool) -> None:
        """The product soft-deletes the roadmap, or restores it."""
        self.pipeline.execute(
            "UPDATE roadmap_metadata SET deleted_at = CASE WHEN :deleted THEN now() END"
            " WHERE roadmap_id = :id",
            deleted=deleted,
            id=self.pipeline.roadmap_id,
        )
