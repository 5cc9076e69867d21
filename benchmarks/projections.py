"""`python -m benchmarks.projections`: the cost of Plan, Finalize, status and retry by roadmap size.

Every trial creates its roadmap again outside the measured time, with the task in the same state.
"""

import gc
import json
import logging
import multiprocessing
import re
import resource
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, make_url, text

from roadmap_content.api.item_map import DEFAULT_CONCEPTS
from roadmap_content.api.status import TaskStatus, read_status
from roadmap_content.api.task_items import read_item_map
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.metadata import WRITE_FRAMEWORK
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.payloads import Execution, Plan, RunInput
from roadmap_content.platform.aws.executions import Executions, ExecutionState
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.log import logger
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.runs.steps.finalize import FinalizeRequest, finalize_task
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.task import read_task

from .curriculum import concept_ids
from .database import Database, own_database
from .framework import framework_of
from .measuring import in_turn, seconds_of
from .report import arguments_of, finish
from .result import Figure, Result, Series, Target, versions
from .stock import PLAN_SETTINGS

SIZES = (30, 300, 3_000, 30_000, 100_000)
ROUNDS = 7
USER, TASK = "user-1", "task-1"
FEW_MISSING = "plan, a tenth missing"
RATIOS = {
    "plan": (
        "floor: read and list, nothing saved",
        1.3,
        "Plan divides the items into batches in Python code; the floor parses and encodes, in C.",
    ),
    FEW_MISSING: (
        "floor: read",
        1.3,
        "",
    ),
    "finalize": (
        "floor: read and write",
        1.5,
        "Finalize also compares every field with the tables, and verifies that no other byte changes.",
    ),
    "status": ("floor: read", 1.3, ""),
}
"""Step → its floor in the same run, the maximum ratio to it, and the reason if it is exceeded."""

GROWING = ("plan", "finalize", "status", "status again", "items page", "retry")
MAX_EXPONENT = 1.1
"""The maximum exponent of the time's growth between the two largest sizes."""

RESIDENT_SIZE, MAX_RESIDENT = 30_000, 400

ABOUT = """
Each step runs against an embedded PostgreSQL on the same machine, with fsync and a warm connection. S3 is a
dictionary, and Step Functions responds immediately that no execution is running. *Plan* and *retry*: no
item is saved. *A tenth missing*: all items are saved except the quizzes of every tenth concept. *Finalize*:
all items are saved and `framework_data` is not updated yet, so it is written. *Finalize again*: nothing has
changed, and nothing is written. *Status*: the first request for a completed task since `framework_data` was
written. *Status again*: a later request, as from a page that polls.
*Items page*: the first page of the item map.

*Floor: read*: one transaction fetches and parses the framework, and reads the three tables. *Read and
list*: it also encodes every concept, as a manifest requires. *Read and write*: it also encodes the
framework and writes it back. Limits are ratios to these floors, measured in the same run. Resident memory
is the maximum of a new process that finalizes once, with Python and packages.
"""

_FRAMEWORK = text("SELECT CAST(framework_data AS text) FROM roadmap_metadata WHERE roadmap_id = :roadmap_id")
_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data)
VALUES (:roadmap_id, :user_id, 'A roadmap', CAST(:framework_data AS json))
""")
_TASK = text("""
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, user_request, created_at, updated_at)
VALUES (:task_id, :user_id, :roadmap_id, 'pending', '{}', now(), now())
""")
_SAVED = (
    text("""
INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
    content_status, content_version, is_latest, estimated_completion_time, generated_at)
SELECT 't-' || id, id, :roadmap_id, 'A title', repeat('A summary. ', 40), 'r/concepts/' || id || '/v1.md',
    'completed', 1, true, 10, now()
FROM json_array_elements_text(CAST(:ids AS json)) AS id
"""),
    text("""
INSERT INTO resource_recommendation_metadata (id, concept_id, roadmap_id, resources, resources_count,
    search_queries_used, generated_at)
SELECT 'r-' || id, id, :roadmap_id, '[]', 5, '[]', now()
FROM json_array_elements_text(CAST(:ids AS json)) AS id
"""),
    text("""
INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count,
    medium_count, hard_count, generated_at)
SELECT 'q-' || id, id, :roadmap_id, '[]', 5, 2, 2, 1, now()
FROM json_array_elements_text(CAST(:ids AS json)) AS id
"""),
)


class _Idle(Executions):
    """A fake Step Functions without running executions."""

    def state(self, execution_arn: str) -> ExecutionState:  # noqa: ARG002
        return ExecutionState.OVER

    def start(self, execution_arn: str, task_id: str, attempt: int) -> None:
        """Start nothing."""


class _Objects(Bucket):
    """A bucket that accepts every object and stores nothing."""

    def put(self, key: str, body: bytes, metadata: object = None) -> None:
        """Do nothing."""

    def keys(self, prefix: str, after: str) -> list[str]:  # noqa: ARG002 - as Bucket's
        """Nothing is staged."""
        return []

    def holds(self, key: str) -> bool:  # noqa: ARG002 - as Bucket's
        """Nothing is staged."""
        return False


class Ground(NamedTuple):
    """A roadmap of one size with its task."""

    services: Services
    roadmap_id: str
    concept_ids: Sequence[str]
    framework_data: str

    def reset(self, *, saved: bool) -> None:
        """Reset the task, and the roadmap to its planned state; with all its rows, or none."""
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "TRUNCATE roadmap_metadata, roadmap_tasks, content_failures, tutorial_metadata, "
                    "resource_recommendation_metadata, quiz_metadata CASCADE"
                )
            )
            names = {"roadmap_id": self.roadmap_id, "user_id": USER}
            connection.execute(_ROADMAP, names | {"framework_data": self.framework_data})
            connection.execute(_TASK, names | {"task_id": TASK})
            if saved:
                for statement in _SAVED:
                    connection.execute(
                        statement, {"roadmap_id": self.roadmap_id, "ids": json.dumps(self.concept_ids)}
                    )

    @property
    def engine(self) -> Engine:
        """The product's own."""
        return self.services.engine

    def plan(self) -> None:
        """Plan, as a run that claims its attempt itself."""
        request = PlanRequest(input=RunInput(task_id=TASK), execution=Execution(arn="arn:run"))
        plan_batches(request, self.services, Deadline.after(60))

    def finalize(self) -> None:
        """Finalize the task's attempt."""
        plan = Plan(
            task_id=TASK,
            roadmap_id=self.roadmap_id,
            attempt=1,
            claimed_at=datetime.now(UTC).replace(tzinfo=None),
            manifest="manifests/none",
            planned=dict.fromkeys(ContentType, len(self.concept_ids)),
        )
        request = FinalizeRequest(input=RunInput(task_id=TASK), execution=Execution(arn="arn:run"), plan=plan)
        finalize_task(request, self.services, Deadline.after(60))

    def status(self) -> None:
        """Return the task's status as JSON."""

        def read(connection: Connection) -> TaskStatus:
            return read_status(connection, read_task(connection, TASK, USER), self.services.framework_cache)

        transact(self.engine, read, Deadline.after(60)).model_dump_json()

    def items_page(self) -> None:
        """Return the first page of the item map as JSON."""
        deadline = Deadline.after(60)
        read_item_map(
            self.services, TASK, USER, None, DEFAULT_CONCEPTS, deadline, with_stages=True
        ).model_dump_json()

    def retry(self) -> None:
        """Retry the task."""
        retry_task(self.services, TASK, USER, Deadline.after(60), user_start(USER)).model_dump_json()

    def read(self) -> Any:  # noqa: ANN401 - any JSON
        """The floor for steps that read the framework and the tables."""
        with self.engine.begin() as connection:
            return self._read(connection)

    def read_and_list(self) -> None:
        """The floor for a step that also processes every concept."""
        framework = self.read()
        concepts = [
            concept
            for stage in framework["stages"]
            for module in stage["modules"]
            for concept in module["concepts"]
        ]
        json.dumps(concepts).encode()

    def read_and_write(self) -> None:
        """The floor for steps that also write the framework."""
        with self.engine.begin() as connection:
            framework = self._read(connection)
            parameters = {"roadmap_id": self.roadmap_id, "framework_data": json.dumps(framework)}
            connection.execute(WRITE_FRAMEWORK, parameters)

    def _read(self, connection: Connection) -> Any:  # noqa: ANN401 - any JSON
        names = {"roadmap_id": self.roadmap_id}
        framework = json.loads(connection.scalar(_FRAMEWORK, names) or "null")
        for kind in CONTENT_KINDS.values():
            connection.execute(text(kind.current_sql), names).all()
        return framework

    def lose_some(self) -> None:
        """Delete the quiz of every tenth concept."""
        with self.engine.begin() as connection:
            connection.execute(text("DELETE FROM quiz_metadata WHERE concept_id LIKE '%-1'"))

    def claim(self) -> None:
        """Claim the first attempt of the task."""
        with self.engine.begin() as connection:
            connection.execute(text("UPDATE roadmap_tasks SET attempt = 1, status = 'processing'"))


def main() -> None:
    """Measure, print and store the result."""
    arguments = arguments_of(__doc__, sizes=SIZES, rounds=ROUNDS)
    logging.getLogger(logger.name or "roadmap-content").disabled = True
    sizes = sorted(arguments.sizes)
    resident_size = min(RESIDENT_SIZE, sizes[-1])
    values: dict[str, dict[int, list[float]]] = {}
    with own_database() as database:
        for size in sizes:
            for name, seconds in _measure(database, size, arguments.rounds).items():
                values.setdefault(name, {})[size] = seconds
        resident = _resident(database.url, resident_size)
        version = database.version()
    series = Series(
        name="time",
        title="A step, from its request to its answer",
        unit="s",
        size_name="concepts",
        base="finalize",
        values=values,
    )
    result = Result(
        name="projections",
        title="Plan, finalize, status, retry",
        about=ABOUT.strip(),
        versions=versions("SQLAlchemy", "pg8000") | {"PostgreSQL": version},
        series=[series],
        figures=[Figure(label=f"finalize, {RESIDENT_SIZE:,} concepts: resident", value=resident, unit="MB")],
        targets=[
            *_targets(series, sizes),
            Target(label="resident", value=resident, limit=MAX_RESIDENT, unit="MB"),
        ],
    )
    finish(result, short=arguments.short)


def _measure(database: Database, size: int, rounds: int) -> dict[str, list[float]]:
    ground = ground_of(database.url, size)

    def on(work: Callable[[], object], *before: Callable[[], object], saved: bool) -> Callable[[], float]:
        def trial() -> float:
            ground.reset(saved=saved)
            database.administer(["ANALYZE", "CHECKPOINT"])
            for step in before:
                step()
            gc.collect()
            return seconds_of(work)

        return trial

    trials = {
        "floor: read and list, nothing saved": on(ground.read_and_list, saved=False),
        "floor: read": on(ground.read, saved=True),
        "floor: read and write": on(ground.read_and_write, saved=True),
        "plan": on(ground.plan, saved=False),
        FEW_MISSING: on(ground.plan, ground.lose_some, saved=True),
        "finalize": on(ground.finalize, ground.claim, saved=True),
        "finalize again": on(ground.finalize, ground.claim, ground.finalize, saved=True),
        "status": on(ground.status, ground.claim, ground.finalize, saved=True),
        "status again": on(ground.status, ground.claim, ground.finalize, ground.status, saved=True),
        "items page": on(ground.items_page, ground.claim, ground.finalize, saved=True),
        "retry": on(ground.retry, saved=False),
    }
    try:
        return in_turn(trials, rounds)
    finally:
        ground.engine.dispose()


def ground_of(url: str, size: int) -> Ground:
    """A roadmap of `size` concepts on a migrated database, with its own connections."""
    services = Services(Settings(PLAN_SETTINGS))
    credentials = Credentials.from_url(make_url(url))
    services.engine = open_engine(lambda: credentials, tls=False, statement_timeout=600)
    services.reading_engine = services.engine
    services.bucket = _Objects("none")
    services.executions = _Idle("arn:aws:states:us-east-1:123456789012:stateMachine:save-content")
    roadmap_id = "serverless-python-9b2c8d4e"
    ids = concept_ids(roadmap_id, size)
    return Ground(services, roadmap_id, ids, json.dumps(framework_of(ids)))


def _resident(url: str, size: int) -> float:
    """The maximum resident megabytes of a fresh process that finalizes once."""
    ground = ground_of(url, size)
    ground.reset(saved=True)
    ground.claim()
    ground.engine.dispose()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_finalize_in_this_process, args=(url, ground.roadmap_id, size, sender))
    process.start()
    most = float(receiver.recv())
    process.join()
    return most


def _finalize_in_this_process(url: str, roadmap_id: str, size: int, sender: Any) -> None:  # noqa: ANN401
    logging.getLogger(logger.name or "roadmap-content").disabled = True
    services = ground_of(url, 1).services
    Ground(services, roadmap_id, range(size), "").finalize()  # type: ignore[arg-type]
    sender.send(_most_memory())
    services.engine.dispose()


def _most_memory() -> float:
    """The maximum resident megabytes of this process so far.

    Linux starts `ru_maxrss` with the memory of the process that started this one; `VmHWM` is without it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        assert found is not None  # noqa: S101 - each Linux has it
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS: in bytes


def _targets(series: Series, sizes: Sequence[int]) -> list[Target]:
    """The limits: ratios to the floors at the largest size, and exponents of growth."""
    largest = sizes[-1]
    targets = [
        Target(
            label=f"{name} against the {floor}, {largest:,} concepts",
            value=series.ratio(name, largest, floor).median,
            limit=limit,
            reason=reason,
        )
        for name, (floor, limit, reason) in RATIOS.items()
    ]
    if len(sizes) > 1:
        targets += [
            Target(
                label=f"{name}: exponent of growth, {sizes[-2]:,} to {largest:,} concepts",
                value=series.exponent(name, sizes[-2], largest),
                limit=MAX_EXPONENT,
                unit="",
                reason="It parses the whole text of framework_data. The floor *read and list*, which only"
                " reads, parses and lists, grows as fast between these sizes.",
            )
            for name in GROWING
        ]
    return targets


if __name__ == "__main__":
    main()
