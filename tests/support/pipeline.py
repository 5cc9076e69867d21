"""Run the steps one after another on real PostgreSQL, without a state machine."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine, make_url

from roadmap_command.load import load_bundle
from roadmap_content.api.status import read_status
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.content.bundle import read_bundle
from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.api.tasks import TaskStatus
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.items import Item
from roadmap_content.contracts.payloads import BatchRequest, Execution, FinalizeResult, RunInput, StateError
from roadmap_content.platform.aws.executions import Executions, ExecutionState
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import staged_key
from roadmap_content.platform.storage.staging import Staging
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, ReconcileResult, reconcile
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.runs.steps.accounting import LostBatch
from roadmap_content.runs.steps.finalize import record_run_end
from roadmap_content.runs.steps.generate import GenerateReport, generate_content
from roadmap_content.runs.steps.plan import PlanResult, plan_batches
from roadmap_content.runs.steps.save import SaveReport, save_batch
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.task import read_task
from tests.support.factories import LATER_KINDS, USER, concepts_of
from tests.support.machine_model import Run, State, batch_requests
from tests.support.memory_s3 import MemoryS3
from tests.support.tables import Tables

S3 = MemoryS3()
"""The S3 of all services; the fixture `bucket_name` creates the bucket."""

SETTINGS = {
    "CONTENT_BUCKET": "content",
    "BATCH_SIZE": "10",
    "MAX_CONCURRENCY": "5",
    "GENERATOR": "offline",
    "LOG_RETENTION_DAYS": "30",
    "ACCESS_LOG_RETENTION_DAYS": "30",
}


class RecordedExecutions(Executions):
    """A fake Step Functions client: records started executions and returns the states that the test sets."""

    def __init__(self) -> None:
        super().__init__("arn:aws:states:us-east-1:123456789012:stateMachine:save-content")
        self.states: dict[str, ExecutionState] = {}
        self.started: list[tuple[str, int]] = []
        self.names: list[str] = []
        self.redriven: list[str] = []

    def state(self, execution_arn: str) -> ExecutionState:
        """The state that the test set; `OVER` by default."""
        return self.states.get(execution_arn, ExecutionState.OVER)

    def start(self, execution_arn: str, task_id: str, attempt: int) -> None:
        self.started.append((task_id, attempt))
        self.names.append(execution_arn)

    def redrive(self, execution_arn: str) -> None:
        """Record the redrive; the execution is running from now on."""
        self.redriven.append(execution_arn)
        self.states[execution_arn] = ExecutionState.RUNNING


def services_for(database_url: str, settings: Mapping[str, str] = SETTINGS) -> Services:
    """Services with the test's database and an S3 in memory."""
    services = Services(Settings(settings), EVERY)
    services.bucket = Bucket(services.settings.content_bucket, S3.client)
    credentials = Credentials.from_url(make_url(database_url))
    services.engine = services.reading_engine = open_engine(lambda: credentials, tls=False)
    services.executions = RecordedExecutions()
    services.erasure_key = "the key of the register"
    return services


def log_of(caplog: pytest.LogCaptureFixture) -> str:
    """The lines of the log. The handler's stream is none that pytest's `capfd` captures."""
    return "\n".join(logger.registered_formatter.format(record) for record in caplog.records)


class Pipeline(Tables):
    """Runs the steps for one task."""

    seconds = 600.0
    """The time of each step."""

    def __init__(self, services: Services, task_id: str = "t-1", engine: Engine | None = None) -> None:
        self.services = services
        self.engine = engine or services.engine
        self.task_id = task_id
        self.roadmap_id = ""
        self.runs = 0

    @property
    def bucket(self) -> Bucket:
        return self.services.bucket

    @property
    def executions(self) -> RecordedExecutions:
        assert isinstance(self.services.executions, RecordedExecutions)
        return self.services.executions

    def load(self, bundle: dict[str, Any]) -> None:
        loaded = read_bundle(bundle)
        self.roadmap_id = loaded.roadmap.roadmap_id
        load_bundle(loaded, self.engine, self.bucket, Deadline.after(self.seconds))

    def stage(self, item: Item, body: bytes) -> None:
        """Stage any bytes, as the product's generator would."""
        self.bucket.put(staged_key(self.roadmap_id, item), body)

    def staging(self) -> Staging:
        return Staging(self.bucket, self.roadmap_id)

    def execution(self) -> Execution:
        return Execution(arn=f"arn:run-{self.runs}")

    def start(self) -> Run:
        """Start an execution, which claims an attempt itself."""
        self.runs += 1
        return Run(self.execution().arn, RunInput(task_id=self.task_id))

    def plan(self) -> PlanResult:
        return plan_batches(self.start().plan_request(), self.services, Deadline.after(self.seconds))

    def requests(self, planned: PlanResult) -> list[BatchRequest]:
        return batch_requests(planned, self.execution().arn)

    def generate(self, request: BatchRequest, seconds: float = 600.0) -> GenerateReport:
        return generate_content(request, self.services, Deadline.after(seconds))

    def save(self, request: BatchRequest) -> SaveReport:
        return save_batch(request, self.services, Deadline.after(self.seconds))

    def finalize(
        self,
        planned: PlanResult | None,
        lost: list[LostBatch] | None = None,
        error: StateError | None = None,
    ) -> FinalizeResult:
        run = Run(self.execution().arn, RunInput(task_id=self.task_id))
        run.planned, run.lost, run.error = planned, lost or [], error
        return record_run_end(run.finalize_request(), self.services, Deadline.after(self.seconds))

    def run(self) -> FinalizeResult:
        """Run the state machine until its outcome is recorded."""
        run = self.start()
        while run.outcome is None:
            try:
                run.step(self.services, Deadline.after(self.seconds))
            except ContentError as error:
                if run.state is State.FINALIZE:
                    raise
                run.catch(StateError(error=type(error).__name__, cause=str(error)))
        return run.outcome

    def retry(self, user_id: str = USER, task_id: str | None = None) -> RetryAnswer:
        """Send a user's retry, without the run that it starts."""
        deadline = Deadline.after(self.seconds)
        return retry_task(self.services, task_id or self.task_id, user_id, deadline, user_start(user_id))

    def sweep(self, **request: Any) -> ReconcileResult:
        """Sweep by hand; with `time`, as the schedule does; with `detail`, record the end of a run."""
        return reconcile(ReconcileRequest(**request), self.services, Deadline.after(self.seconds))

    def status(self, user_id: str = USER) -> TaskStatus:
        """The task's status, as the API returns it to the user."""
        with self.engine.connect() as connection:
            task = read_task(connection, self.task_id, user_id)
            return read_status(connection, task, self.services.framework_cache, self.services.capabilities)

    def task(self) -> dict[str, Any]:
        return self.rows("SELECT * FROM roadmap_tasks WHERE task_id = :id", id=self.task_id)[0]

    def later_fields(self, concept_id: str) -> dict[str, Any]:
        """A concept's fields in `framework_data` that belong to later content types, from their rows."""
        return {
            key: value
            for kind in LATER_KINDS
            for row in self.rows(f"SELECT * FROM {kind.table} WHERE concept_id = :id", id=concept_id)
            for key, value in kind.project(row).items()
        }

    def concepts(self) -> dict[str, dict[str, Any]]:
        return {concept["concept_id"]: concept for concept in concepts_of(self.framework())}
