"""Run one task through the real state machine, with ways to make it fail."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine, text

from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import start_run, task_status
from roadmap_command.target import Target
from roadmap_content.content.bundle import read_bundle
from roadmap_content.contracts.api.tasks import TaskStatus
from roadmap_content.contracts.items import Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from tests.support.evidence import Log
from tests.support.factories import USER, bundle_of
from tests.support.http_api import Api
from tests.support.oracle import Oracle
from tests.support.published_machine import PublishedMachine
from tests.support.tables import Tables


def await_end(describe: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Wait until an execution ends; return its description."""
    found: dict[str, Any] = {}

    def is_over() -> bool:
        found.update(describe())
        return bool(found["status"] != "RUNNING")

    assert becomes_true(is_over, 600), "the execution does not end"
    return found


class Machine(Tables):
    """The state machine of a stack, with one task."""

    def __init__(self, stack: LocalStack, target: Target) -> None:
        self.stack = stack
        self.target, self.engine = target, target.engine
        self.client = stack.client("stepfunctions")
        self.roadmap_id = f"r-{uuid.uuid4().hex[:8]}"
        self.task_id = str(uuid.uuid4())
        self.bundle: dict[str, Any] = {}

    def another(self) -> "Machine":
        """The same state machine with another task."""
        return Machine(self.stack, self.target)

    def api(self, user_id: str = USER) -> Api:
        return Api.of(self.target, user_id)

    def concept_ids(self, count: int) -> list[str]:
        """Concept ids that only this roadmap has."""
        return [f"{self.roadmap_id}:c-1-1-{number}" for number in range(1, count + 1)]

    def load(self, count: int) -> list[str]:
        """Load a roadmap with content for every concept; return the concept ids."""
        ids = self.concept_ids(count)
        self.load_bundle(bundle_of(ids, roadmap_id=self.roadmap_id, task_id=self.task_id))
        return ids

    def require_invariants(self) -> None:
        """Check I1–I7 against the tables and the bucket, with an independent oracle."""
        s3 = self.stack.client("s3")
        oracle = Oracle(self.target.engine, s3, self.stack.bucket, self.bundle, Log())
        oracle.require(oracle.at_any_time(), oracle.at_rest())

    def load_bundle(self, bundle: dict[str, Any]) -> None:
        self.bundle = bundle
        loaded = read_bundle(bundle)
        self.roadmap_id, self.task_id = loaded.roadmap.roadmap_id, loaded.task.task_id
        load_bundle(loaded, self.target.engine, self.target.bucket, Deadline.after(600))

    def stage(self, item: Item, body: bytes) -> None:
        """Stage any bytes, as the product's generator would."""
        self.target.bucket.put(staged_key(self.roadmap_id, item), body)

    def unstage(self, item: Item) -> None:
        """Remove staged content, so that a run generates it."""
        self.target.bucket.delete(staged_key(self.roadmap_id, item))

    def start(self) -> str:
        """Start an execution without an attempt, as from the console; return its ARN."""
        return start_run(self.client, self.stack.state_machine_arn, self.task_id)

    def wait(self, execution_arn: str) -> dict[str, Any]:
        """Wait until an execution ends; return its description."""
        return await_end(lambda: self.client.describe_execution(executionArn=execution_arn))

    def run(self) -> dict[str, Any]:
        """Run an execution to its end; return its description."""
        return self.wait(self.start())

    def status(self) -> TaskStatus:
        return task_status(self.target.engine, self.task_id)

    def holding(self) -> AbstractContextManager[Connection]:
        """Block inserts of quizzes, and so of batches with quizzes, for the duration of the block.

        It locks the table and not a row, because an insert would take the roadmap's lock, which Save and
        Finalize need.
        """
        return self.locking("quiz_metadata", "SHARE")

    @contextmanager
    def locking(self, table: str, mode: str = "ACCESS EXCLUSIVE") -> Iterator[Connection]:
        """Lock a table for the duration of the block."""
        with create_engine(self.stack.database_url, poolclass=NullPool).connect() as connection:
            connection.execute(text(f"LOCK TABLE {table} IN {mode} MODE"))
            yield connection
            connection.rollback()

    @contextmanager
    def function_changed(self, logical_id: str, **changes: Any) -> Iterator[None]:
        """Change the configuration of a function for the duration of the block."""
        functions, name = self.stack.client("lambda"), self.stack.functions[logical_id]
        before = functions.get_function_configuration(FunctionName=name)
        machine = PublishedMachine(self.client, self.stack.state_machine_arn)
        machine.change_function(functions, name, **changes)
        try:
            yield
        finally:
            machine.change_function(functions, name, **{key: before[key] for key in changes})
