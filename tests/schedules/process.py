"""A process of this system that stops before each of its steps, until it is let go on.

A step is a statement, a COMMIT, or a request to S3 or Step Functions. A COMMIT of a transaction that only
read is none: no other session can tell when it happens.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, ExceptionContext, event
from sqlalchemy.exc import DBAPIError

from roadmap_content.contracts.errors import ContentError
from roadmap_content.platform.aws.event_bus import Entry
from roadmap_content.platform.aws.executions import ExecutionState
from roadmap_content.platform.postgres.transactions import sqlstate_and_reason
from roadmap_content.platform.storage.bucket import Bucket
from tests.faults.world import Bus, Scene, World
from tests.schedules.actors import Actor
from tests.support.commits import ProcessDied
from tests.support.endpoint_calls import operation_of
from tests.support.evidence import Log
from tests.support.generators import OF_A_MODEL, offline_function
from tests.support.memory_s3 import ObservedS3
from tests.support.pipeline import SETTINGS as DEFAULTS
from tests.support.pipeline import services_for
from tests.support.runs import Runs

# As in production: an insert of the product gives up before a session of this system looks for a deadlock.
# No limit of time: a process that is stopped waits as long as the other one needs.
_SESSION = """
SELECT pg_backend_pid(), set_config('deadlock_timeout', '1s', false), set_config('lock_timeout', '0', false),
    set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false)
"""

_CHANGES = re.compile(r"\b(?:UPDATE|INSERT|DELETE|pg_(?:try_)?advisory\w*)\b")
_WRITTEN = re.compile(r"\b(UPDATE|INSERT INTO|DELETE FROM) (?!SET\b|OF\b|SKIP\b|LIMIT\b)(\w+)")
_READ = re.compile(r"^\s*FROM (\w+)", re.MULTILINE), re.compile(r"\bFROM (\w+)")

# A batch per concept: a run that was stopped after its first batch misses something.
SETTINGS = DEFAULTS | OF_A_MODEL | {"EVENT_BUS": "bus", "BATCH_SIZE": "1"}

LASTING = ("COMMIT", "PutObject", "CopyObject", "DeleteObject", "PutEvents", "Start", "Redrive", "Stop")
"""The beginnings of the steps with an effect that outlives the process."""


class Step(NamedTuple):
    """A line of a trace: a step of a process, by its number."""

    process: int
    label: str


_thread = threading.local()
"""Its `process` is the one for which the thread works."""


def sleep(_seconds: float) -> None:
    """Instead of `time.sleep`: gives the other process its turn. Outside a process, it returns at once."""
    process: Process | None = getattr(_thread, "process", None)
    if process is not None:
        process.pause("pause", sleeps=True)


class Process:
    """One process: its connection, its clients, and the thread of its present work."""

    def __init__(self, number: int, scene: Scene, database_url: str) -> None:
        self.number, self.name = number, f"p{number}"
        self.services = services_for(database_url, SETTINGS)
        observed = ObservedS3(scene.s3, lambda request, asked: self.pause(_s3_label(request, asked)))
        self.services.bucket = Bucket(scene.aside.bucket.name, observed.client)
        engine = self.services.engine
        event.listen(engine, "connect", self._on_connect)
        event.listen(engine, "before_cursor_execute", self._on_statement)
        event.listen(engine, "commit", self._on_commit)
        event.listen(engine, "rollback", self._on_rollback)
        event.listen(engine, "handle_error", self._on_error)
        self.pid = 0
        self._go, self._arrived = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._arrived.acquire()
        self._thread = threading.current_thread()

    def begin(self, world: World, work: Actor, trace: list[Step]) -> None:
        """Begin some work, and stop before its first step. Each step is added to the `trace`."""
        self._answered: list[tuple[str, str]] = []

        def called(asked: dict[str, Any]) -> None:
            self._answered.append((asked["concept"]["concept_id"], asked["content_type"]))
            world.log.generated.append(self._answered[-1])

        self.services.executions = _Runs(world.runs, self)
        self.services.generator = offline_function(called)
        self.services.event_bus = _Bus(world.log, self)
        self.steps: list[str] = []
        self._trace, self._free_steps = trace, 0
        self.positions: list[int] = []
        """Those of its steps in the trace."""
        self.ended_at: int | None = None
        """The length of the trace when its work had ended."""
        self.started: set[str] = set()
        """The executions that it has started or redriven."""
        self.answer: object = None
        self.fault: BaseException | None = None
        self.deadlocks = 0
        """Deadlocks that ended one of its transactions, which was tried again."""
        self.ended = self.sleeps = self.killed = self._has_changed = False
        self.moving = True
        self._thread = threading.Thread(target=self._run, args=(world, work), daemon=True)
        self._thread.start()

    def _run(self, world: World, work: Actor) -> None:
        _thread.process = self
        try:
            self.answer = work(world, self.services)
        except ContentError as error:
            self.answer = error.code
        except ProcessDied:
            self.answer = "died"
            if not any(step.startswith("PutObject staged/") for step in self.steps):
                world.log.unstaged.update(self._answered)  # an answer is lost with its process
        except Exception as error:  # noqa: BLE001 - reported as a violation
            self.fault = error
        self.ended_at = len(self._trace)
        self.ended = True
        self._arrived.release()

    def pause(self, label: str, *, sleeps: bool = False) -> None:
        """Stop before a step. Called by the process's own thread; does nothing in another one."""
        if threading.current_thread() is not self._thread or self.killed:
            if self.killed:
                raise ProcessDied
            return
        self.sleeps = sleeps
        if sleeps or not self._free_steps:
            self._arrived.release()
            self._go.acquire()
            if self.killed:
                raise ProcessDied
        self._free_steps -= 1
        self.sleeps = False
        self.steps.append(label)
        self.positions.append(len(self._trace))
        self._trace.append(Step(self.number, f"{len(self.steps):2} {label}"))

    def let_go(self, steps: int) -> None:
        """Let a stopped process do some steps, or less if it sleeps or ends before."""
        self._free_steps = steps
        self.moving = True
        self._go.release()

    def must_stop(self) -> None:
        """Make a process that waits for a lock stop before its next step."""
        self._free_steps = 0

    def arrives_within(self, seconds: float) -> bool:
        """Whether the process has stopped before its next step, or ended."""
        if self.moving and self._arrived.acquire(timeout=seconds):
            self.moving = False
        return not self.moving

    def kill(self) -> None:
        """End a process that has stopped, or ended. Its session ends with it."""
        if self.ended:
            return
        self.killed = self.moving = True
        self._go.release()
        self.arrives_within(60)
        self._thread.join()
        self.services.engine.dispose()

    def ending(self) -> str:
        """How its work ended, in a few words."""
        if self.fault is not None or isinstance(self.answer, str):
            return str(self.answer if self.fault is None else repr(self.fault))
        fields = ("status", "attempt", "replan", "stopped_execution")
        found = [f"{name}={getattr(self.answer, name)}" for name in fields if hasattr(self.answer, name)]
        return " ".join(["done" if self.answer is None else type(self.answer).__name__, *found])

    # The places where it stops.

    def _on_connect(self, driver: Any, _record: object) -> None:
        cursor = driver.cursor()
        cursor.execute(_SESSION)
        self.pid = cursor.fetchone()[0]
        driver.commit()
        driver.longest_wait = None

    def _on_statement(self, _connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        self._has_changed = self._has_changed or bool(_CHANGES.search(statement))
        self.pause(_sql_label(statement))

    def _on_commit(self, _connection: Connection) -> None:
        if self._has_changed:
            self.pause("COMMIT")
            self._has_changed = False

    def _on_rollback(self, _connection: Connection) -> None:
        self._has_changed = False

    def _on_error(self, context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if isinstance(error, DBAPIError) and sqlstate_and_reason(error)[0] == "40P01":
            self.deadlocks += 1


class _Runs(Runs):
    """Step Functions, as one process calls it. The names of its executions follow from the process."""

    def __init__(self, runs: list[Any], process: Process) -> None:
        super().__init__(runs)
        self._process = process

    def new_arn(self, task_id: str, attempt: int) -> str:
        return self.named_arn(f"{task_id}-r{attempt}-{self._process.name}")

    def state(self, execution_arn: str) -> ExecutionState:
        self._process.pause("DescribeExecution")
        return super().state(execution_arn)

    def start(self, execution_arn: str, task_id: str, attempt: int) -> None:
        self._process.pause("StartExecution")
        self._process.started.add(execution_arn)
        super().start(execution_arn, task_id, attempt)

    def redrive(self, execution_arn: str) -> None:
        self._process.pause("RedriveExecution")
        super().redrive(execution_arn)
        self._process.started.add(execution_arn)

    def stop(self, execution_arn: str) -> bool:
        if self.state(execution_arn) is not ExecutionState.RUNNING:
            return False
        self._process.pause("StopExecution")
        run = self._find(execution_arn)
        if run is not None and run.running:
            run.status = "ABORTED"
        return True


class _Bus(Bus):
    """EventBridge, as one process calls it."""

    def __init__(self, log: Log, process: Process) -> None:
        super().__init__(log)
        self._process = process

    def put(self, entries: Sequence[Entry]) -> dict[str, str]:
        self._process.pause("PutEvents")
        return super().put(entries)


class Serially(Executor):
    """A thread pool that calls in the caller's thread, one after the other."""

    def __init__(self, _workers: int = 1) -> None:
        super().__init__()

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(work(*arguments, **named))
        return future


@cache
def _sql_label(statement: str) -> str:
    """The tables that a statement writes, or the first that it reads."""
    written = dict.fromkeys(" ".join(found) for found in _WRITTEN.findall(statement))
    lock = " FOR UPDATE" if re.search(r"\bFOR (?:NO KEY )?UPDATE\b", statement) else ""
    if written:
        return ", ".join(written) + lock
    read = _READ[0].search(statement) or _READ[1].search(statement)
    return f"SELECT {read.group(1)}{lock}" if read else " ".join(statement.split())[:60]


def _s3_label(request: str, asked: Mapping[str, Any]) -> str:
    return f"{operation_of(request)} {asked.get('Key', asked.get('Prefix', ''))}"
