"""The implementation of each fault, by real means, for every step."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, text

from local_stack.processes import becomes_true
from roadmap_content.items import ContentType, Item
from roadmap_content.storage.keys import staged_key
from tests.faults.matrix.clients import client_at, kill_client_at
from tests.faults.matrix.database_proxy import Session
from tests.faults.matrix.declaration import MACHINE, Fault, Step
from tests.faults.matrix.http_proxy import Forward, Reply, Request, Script
from tests.faults.matrix.play import Play
from tests.faults.matrix.scripts import Count, CutStatement, Gather, Hang, Refuse, StrikeCommit

Injection = Callable[[Play], AbstractContextManager[None]]

WRITES: Mapping[Step, tuple[str, ...]] = {
    Step.PLAN: ("roadmap_tasks",),
    Step.GENERATE: ("content_failures",),
    Step.SAVE: ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata"),
    Step.FINALIZE: ("roadmap_tasks",),
    Step.AWAIT_REDRIVE: ("roadmap_tasks",),
    Step.RETRY: ("roadmap_tasks",),
    Step.RECONCILE: ("roadmap_tasks",),
}
"""The table that a step writes at its end."""

COMMITS: Mapping[Step, int] = {
    Step.PLAN: 3,
    Step.GENERATE: 5,
    Step.SAVE: 1,
    Step.FINALIZE: 1,
    Step.AWAIT_REDRIVE: 2,
    Step.RETRY: 2,
    Step.RECONCILE: 4,
}
"""The number of transactions of a step; `again_later` counts them. Generate reads its context, takes the lock
of the item, checks whether the task is cancelled, releases the lock, and records its actions.
"""


class Injector(NamedTuple):
    """A fault: its description in the report, and its implementation."""

    what: str
    inject: Injection


INJECTORS: dict[tuple[Fault, Step], Injector] = {}


def injects(fault: Fault, *steps: Step, what: str) -> Callable[[Callable[[Play], Iterator[None]]], Injection]:
    """Register the implementation of a fault for some steps."""

    def register(make: Callable[[Play], Iterator[None]]) -> Injection:
        inject = contextmanager(make)
        for step in steps:
            INJECTORS[fault, step] = Injector(what, inject)
        return inject

    return register


DATABASE = tuple(WRITES)
"""The steps that use the database."""


SEVERAL = tuple(step for step in DATABASE if COMMITS[step] > 1)
"""The steps with more than one transaction."""


def _end_sessions(play: Play) -> None:
    """Terminate the step's sessions: role settings only apply to new sessions."""
    with play.rig.administering() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = :role"),
            {"role": play.line.role},
        )


@contextmanager
def _role_with(play: Play, setting: str, undo: str) -> Iterator[None]:
    """Change the step's role for its next sessions."""
    role = f"ALTER ROLE {play.line.role}"
    with play.rig.administering() as connection:
        connection.execute(text(f"{role} {setting}"))
        _end_sessions(play)
        try:
            yield
        finally:
            connection.execute(text(f"{role} {undo}"))
            _end_sessions(play)


@contextmanager
def _with_failures(play: Play) -> Iterator[None]:
    """Make one item fail, so that Generate has a failure to write to the database."""
    if play.cell.step is Step.GENERATE:
        item = Item(play.ids[1], ContentType.RESOURCES)
        key = f"/{staged_key(play.roadmap_id, item)}"

        def deny(request: Request, forward: Forward) -> Reply | None:
            if request.method != "PUT" or not request.path.endswith(key):
                return forward()
            play.log.unstaged[item] += 1  # The upload of the generated item to S3 fails, at every try.
            return _DENIED

        play.line.s3.play(deny)
    try:
        yield
    finally:
        play.line.s3.play()


@contextmanager
def _trigger(play: Play, body: str) -> Iterator[None]:
    """Create a trigger on the table that the step writes."""
    tables = WRITES[play.cell.step]
    with play.rig.administering() as connection:
        strike = f"BEGIN {body} RETURN NEW; END"
        connection.execute(
            text(f"CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ {strike} $$")
        )
        for table in tables:
            connection.execute(
                text(
                    f"CREATE TRIGGER strike BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW"
                    f" WHEN (current_user = '{play.line.role}') EXECUTE FUNCTION strike()"
                )
            )
        try:
            with _with_failures(play):
                yield
        finally:
            connection.execute(text("DROP FUNCTION strike CASCADE"))


@contextmanager
def _answering(play: Play, sqlstate: str) -> Iterator[None]:
    """Check that the server has answered with this SQLSTATE by the end."""
    yield
    assert sqlstate in play.line.database.errors, (
        f"{sqlstate} was never answered: {play.line.database.errors}"
    )


# Faults of an invocation.


@injects(Fault.EXCEPTION, *DATABASE, what="the step's role has lost its rights: an unhandled error")
def exception(play: Play) -> Iterator[None]:
    """A migration revoked a permission."""
    table = {Step.SAVE: "roadmap_metadata", Step.GENERATE: "content_failures"}.get(
        play.cell.step, "roadmap_tasks"
    )
    role = play.line.role
    with play.rig.administering() as connection:
        connection.execute(text(f"REVOKE ALL ON {table} FROM {role}"))
        try:
            with _answering(play, "42501"):
                yield
        finally:
            connection.execute(text(f"GRANT ALL ON {table} TO {role}"))


@injects(
    Fault.TIMEOUT, *DATABASE, what="a statement is not transmitted until the function's time is up, once"
)
def timeout(play: Play) -> Iterator[None]:
    """The network drops all packets."""
    # Only one of Generate's batches has an item to generate, and the batches may run in any order.
    with Hang(play.line.database, play.invocations if play.cell.step is Step.GENERATE else 1):
        yield


def _kill(session: Session) -> None:
    session.kill_client()


@injects(Fault.KILLED_BEFORE, *DATABASE, what="the process is killed at its first COMMIT, each time")
def killed_before(play: Play) -> Iterator[None]:
    """Nothing is committed."""
    with StrikeCommit(play.line.database, _kill, 0, after=False, once=False):
        yield


@injects(Fault.KILLED_BETWEEN, *SEVERAL, what="the process is killed at its second COMMIT, each time")
def killed_between(play: Play) -> Iterator[None]:
    """Only the first transaction is committed."""
    with StrikeCommit(play.line.database, _kill, 1, after=False, once=False):
        yield


@injects(Fault.KILLED_AFTER, *DATABASE, what="the process is killed when its last COMMIT is done, each time")
def killed_after(play: Play) -> Iterator[None]:
    """Everything is committed, but there is no response."""
    last = COMMITS[play.cell.step] - 1
    with StrikeCommit(play.line.database, _kill, last, after=True, once=False):
        yield


@contextmanager
def _without_concurrency(play: Play) -> Iterator[Callable[[], None]]:
    """Leave the step's function no concurrency; yields what ends it before the block does."""
    functions, name = play.rig.functions, play.line.function

    def end() -> None:
        functions.delete_function_concurrency(FunctionName=name)

    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        yield end
    finally:
        end()


@injects(
    Fault.THROTTLED,
    *(step for step in DATABASE if step not in MACHINE),
    what="no concurrency is left: 429 to each invocation",
)
def throttled(play: Play) -> Iterator[None]:
    """Reserved concurrency of 0."""
    with _without_concurrency(play):
        yield


THROTTLES = 12


@injects(
    Fault.THROTTLED,
    *MACHINE,
    what=f"no concurrency is left: 429 to {THROTTLES} invocations, and then there is",
)
def throttled_for_a_while(play: Play) -> Iterator[None]:
    """A run waits for six hours, and a cell cannot: `tests/unit/test_limits.py` simulates a throttle that
    does not end, and `timed_out` is what comes of it.
    """

    def wait() -> None:
        assert becomes_true(lambda: play.throttles() >= THROTTLES, 600), "it was not throttled"
        end()

    with _without_concurrency(play) as end, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        yield
        waiting.result()


@injects(Fault.TWICE_AT_ONCE, *DATABASE, what="the same invocation a second time while the first runs")
def twice_at_once(play: Play) -> Iterator[None]:
    """Both have started before either continues."""
    step = play.cell.step
    said: list[str] = []

    def again() -> None:
        said.append(play.retry() if step is Step.RETRY else play.invoke(step, play.event_of(step)))

    second = threading.Thread(target=again)
    everybody = play.invocations + 1
    # Two retries must both have read before either claims; otherwise the second would be refused (409).
    with Gather(play.line.database, everybody, on_first=second.start, at_commit=step is Step.RETRY):
        yield
        second.join()
    play.also(said[0])


@injects(Fault.AGAIN_LATER, *DATABASE, what="the same invocation again, an hour after the task was healed")
def again_later(play: Play) -> Iterator[None]:
    """The repetition is run later, by `Play.play`."""
    step = play.cell.step
    with Count(play.line.database) as count:
        yield
    if step in SEVERAL:
        # Two of Generate's three batches have nothing to generate: they only read.
        commits = count.commits - (play.invocations - 1)
        assert commits == COMMITS[step], f"{step} has {commits} transactions: correct COMMITS"
    if step is Step.RETRY:
        play.repeat = play.retry
    else:
        event = play.event_of(step)
        play.repeat = lambda: play.invoke(step, event)


# Faults of the database.


@injects(Fault.UNREACHABLE, *DATABASE, what="every connection is refused until the run is over")
def unreachable(play: Play) -> Iterator[None]:
    """Existing connections are closed as well."""
    with Refuse(play.line.database):
        yield


@injects(Fault.AWAY_AND_BACK, *DATABASE, what="connections are lost and the next two refused, then accepted")
def away_and_back(play: Play) -> Iterator[None]:
    """A failover."""
    with Refuse(play.line.database, times=2):
        yield


@injects(Fault.LOST_IN_STATEMENT, *DATABASE, what="the connection is cut in the first statement, once")
def lost_in_statement(play: Play) -> Iterator[None]:
    """The statement never arrives."""
    with CutStatement(play.line.database):
        yield


@injects(
    Fault.LOST_AT_COMMIT, *DATABASE, what="the connection is cut before the last COMMIT comes through, once"
)
def lost_at_commit(play: Play) -> Iterator[None]:
    """The transaction is rolled back."""
    last = COMMITS[play.cell.step] - 1
    with StrikeCommit(play.line.database, Session.cut, last, after=False, once=True):
        yield


@injects(
    Fault.UNKNOWN_COMMIT,
    *DATABASE,
    what="the last COMMIT is done and the connection cut before it is answered, once",
)
def unknown_commit(play: Play) -> Iterator[None]:
    """The transaction is committed, but the step cannot know it."""
    last = COMMITS[play.cell.step] - 1
    with StrikeCommit(play.line.database, Session.cut, last, after=True, once=True):
        yield


@injects(
    Fault.CONNECTION_LIMIT, *DATABASE, what="ALTER ROLE … CONNECTION LIMIT 0 until the run is over (53300)"
)
def connection_limit(play: Play) -> Iterator[None]:
    """The connection limit of the step's role."""
    with _role_with(play, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1"), _answering(play, "53300"):
        yield


@injects(Fault.READ_ONLY, *DATABASE, what="default_transaction_read_only until the run is over (25006)")
def read_only(play: Play) -> Iterator[None]:
    """As after a failover to a standby."""
    setting = "default_transaction_read_only"
    with (
        _role_with(play, f"SET {setting} = on", f"RESET {setting}"),
        _with_failures(play),
        _answering(play, "25006"),
    ):
        yield


@injects(
    Fault.DISK_FULL,
    *DATABASE,
    what="a trigger raises 53100 on the table that it writes, until the run is over",
)
def disk_full(play: Play) -> Iterator[None]:
    """By a trigger, because a really full disk would affect all cells."""
    with (
        _trigger(play, "RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100';"),
        _answering(play, "53100"),
    ):
        yield


@injects(
    Fault.STATEMENT_TIMEOUT,
    *DATABASE,
    what="a trigger sleeps longer than a statement may take, until the run is over (57014)",
)
def statement_timeout(play: Play) -> Iterator[None]:
    """The server's statement timeout."""
    with _trigger(play, "PERFORM pg_sleep(30);"), _answering(play, "57014"):
        yield


# Locks of another session.


@injects(
    Fault.FOREIGN_SQLSTATE,
    *DATABASE,
    what="a trigger raises U0001 on the table that it writes, until the run is over",
)
def foreign_sqlstate(play: Play) -> Iterator[None]:
    """A rule of the product, with an SQLSTATE that PostgreSQL does not define."""
    with _trigger(play, "RAISE EXCEPTION 'no' USING ERRCODE = 'U0001';"), _answering(play, "U0001"):
        yield


@injects(
    Fault.STALLED,
    *DATABASE,
    what="SIGSTOP to the session's server process in the first statement, until the run is over",
)
def stalled(play: Play) -> Iterator[None]:
    """The server neither refuses nor answers. Another session would get answers."""
    pids: list[int] = []

    def stop() -> None:
        if not pids:
            with play.rig.administering() as connection:
                role = {"role": play.line.role}
                pids.extend(
                    connection.scalars(text("SELECT pid FROM pg_stat_activity WHERE usename = :role"), role)
                )
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)

    try:
        with Gather(play.line.database, play.invocations, on_all=stop):
            yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@injects(
    Fault.UNDECODABLE,
    *(step for step in DATABASE if step is not Step.SAVE),
    what="numbers of 5,000 digits in the task's JSON columns, and infinite dates",
)
def undecodable(play: Play) -> Iterator[None]:
    """The product wrote these values, and PostgreSQL stores them."""
    digits = "9" * 5_000
    play.execute(
        "UPDATE roadmap_tasks SET failed_concepts = CAST(:digits AS json),"
        " user_request = CAST(:digits AS json), execution_summary = CAST(:digits AS json),"
        " created_at = '-infinity' WHERE task_id = :id",
        digits=digits,
        id=play.task_id,
    )
    yield


class Rival:
    """A session that locks the rows that the step needs next."""

    def __init__(self, play: Play, connection: Connection) -> None:
        self._play, self.connection = play, connection
        self._pid = connection.scalar(text("SELECT pg_backend_pid()"))

    def hold(self) -> None:
        """Take the lock after the step has started, because earlier parts of the cell also need it."""
        play = self._play
        match play.cell.step:
            case Step.GENERATE:  # which only reads, so that no row lock would block it
                self.connection.execute(text("LOCK TABLE content_failures IN ACCESS EXCLUSIVE MODE"))
            case Step.SAVE:
                self._change("roadmap_metadata", "roadmap_id", play.roadmap_id)
            case _:
                self._change("roadmap_tasks", "task_id", play.task_id)

    def _change(self, table: str, key: str, value: str) -> None:
        changes = f"UPDATE {table} SET user_id = user_id WHERE {key} = :value"
        self.connection.execute(text(changes), {"value": value})

    def await_waiting(self) -> None:
        """Wait until another session waits for the lock."""
        with self._play.rig.administering() as connection:
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")

            def is_waited_for() -> bool:
                return bool(connection.scalar(waiting, {"pid": self._pid}))

            assert becomes_true(is_waited_for, 600), "no session waits for the rival"


@contextmanager
def _rival(play: Play, then: Callable[[Rival], None] | None = None) -> Iterator[None]:
    """A rival that locks the rows that the step needs from its first statement on, and then calls `then`."""
    with play.rig.session() as connection:
        rival = Rival(play, connection)
        after = threading.Thread(target=then or (lambda _: None), args=(rival,))

        def come() -> None:
            rival.hold()
            after.start()

        with Gather(play.line.database, on_all=come):
            yield
            after.join()


@injects(
    Fault.LOCK_TIMEOUT,
    *DATABASE,
    what="another session holds the row (for Generate: the table) through two lock timeouts (55P03)",
)
def lock_timeout(play: Play) -> Iterator[None]:
    """The rival releases the lock after the time-out."""

    def hold_on(rival: Rival) -> None:
        assert becomes_true(lambda: play.line.database.errors.count("55P03") >= 2, 600), "no lock timeout"
        rival.connection.rollback()

    with _rival(play, hold_on), _answering(play, "55P03"):
        yield


@injects(
    Fault.IDLE_HOLDER,
    *DATABASE,
    what="a session is idle in a transaction that holds the row (for Generate: the table), to the end",
)
def idle_holder(play: Play) -> Iterator[None]:
    """A session that is idle in transaction."""
    with _rival(play), _answering(play, "55P03"):
        yield


@injects(
    Fault.LOCKED_ROADMAP,
    *(Step.FINALIZE, Step.RECONCILE),
    what="a session is idle in a transaction that holds the roadmap, until the run is over",
)
def locked_roadmap(play: Play) -> Iterator[None]:
    """A person selects the roadmap with FOR UPDATE and leaves the session open."""
    lock = text("SELECT 1 FROM roadmap_metadata WHERE roadmap_id = :id FOR UPDATE")
    with play.rig.session() as connection:

        def hold() -> None:
            connection.execute(lock, {"id": play.roadmap_id})

        with Gather(play.line.database, on_all=hold), _answering(play, "55P03"):
            yield


@injects(
    Fault.SERIALIZATION,
    *(step for step in DATABASE if step is not Step.GENERATE),
    what="REPEATABLE READ, and another session changes the row meanwhile (40001)",
)
def serialization(play: Play) -> Iterator[None]:
    """The role's default isolation is stricter than ours."""
    setting = "default_transaction_isolation"

    def commit(rival: Rival) -> None:
        rival.await_waiting()
        rival.connection.commit()

    with (
        _role_with(play, f"SET {setting} = 'repeatable read'", f"RESET {setting}"),
        _rival(play, commit),
        _answering(play, "40001"),
    ):
        yield


@injects(
    Fault.DEADLOCK,
    *(Step.SAVE, Step.FINALIZE, Step.RECONCILE),
    what="another session takes the same locks in the other order (40P01)",
)
def deadlock(play: Play) -> Iterator[None]:
    """The step locks the roadmap's row and waits for the rival, which then requests the roadmap's row."""

    def cross(rival: Rival) -> None:
        rival.await_waiting()
        lock = "SELECT 1 FROM roadmap_metadata WHERE roadmap_id = :id FOR NO KEY UPDATE"
        rival.connection.execute(text(lock), {"id": play.roadmap_id})
        rival.connection.rollback()

    with (
        _limits(play, lock_timeout="3s", statement_timeout="3s"),
        _role_with(play, "SET deadlock_timeout = '300ms'", "RESET deadlock_timeout"),
        play.rig.session() as connection,
    ):
        connection.execute(
            text("SET deadlock_timeout = '20s'")
        )  # so that the step becomes the deadlock victim
        rival = Rival(play, connection)
        after = threading.Thread(target=cross, args=(rival,))

        def come() -> None:
            if play.cell.step is Step.SAVE:  # not by an insert: its trigger makes it wait before Save locks
                connection.execute(text("LOCK TABLE quiz_metadata IN SHARE MODE"))
            else:
                rival.hold()
            after.start()

        with Gather(play.line.database, on_all=come), _answering(play, "40P01"):
            yield
            after.join()


@contextmanager
def _limits(play: Play, **limits: str) -> Iterator[None]:
    """Other limits for the step's sessions."""
    proxy = play.line.database
    before = proxy.limits
    proxy.limits = before | limits
    _end_sessions(play)
    try:
        yield
    finally:
        proxy.limits = before
        _end_sessions(play)


# Faults of S3.

_DENIED = Reply(403, b"<Error><Code>AccessDenied</Code></Error>")
_GONE = Reply(404, b"<Error><Code>NoSuchKey</Code></Error>")
_NO_BUCKET = Reply(404, b"<Error><Code>NoSuchBucket</Code></Error>")

STORES = (Step.PLAN, Step.GENERATE, Step.SAVE, Step.FINALIZE)
"""The steps that use S3."""


@contextmanager
def _s3(play: Play, script: Script) -> Iterator[None]:
    """Answer the step's S3 requests. Finalize only reads lost batches, so Save gets the same fault."""
    lines = [play.line] + ([play.rig.lines[Step.SAVE]] if play.cell.step is Step.FINALIZE else [])
    struck = threading.Event()

    def answer(request: Request, forward: Forward) -> Reply | None:
        reply = script(request, forward)
        struck.set()
        return reply

    for line in lines:
        line.s3.play(answer)
    try:
        yield
    finally:
        for line in lines:
            line.s3.play()
    assert struck.is_set(), "the step sent no request to S3"


@injects(Fault.S3_DENIED, *STORES, what="403 AccessDenied to every request until the run is over")
def s3_denied(play: Play) -> Iterator[None]:
    """A bucket policy denies the request."""
    with _s3(play, lambda _request, _forward: _DENIED):
        yield


@injects(Fault.S3_MISSING, Step.PLAN, what="404 NoSuchBucket to every request until the run is over")
def s3_without_bucket(play: Play) -> Iterator[None]:
    """The bucket does not exist."""
    with _s3(play, lambda _request, _forward: _NO_BUCKET):
        yield


@injects(Fault.S3_MISSING, Step.GENERATE, Step.FINALIZE, what="404 for the manifest until the run is over")
def s3_without_manifest(play: Play) -> Iterator[None]:
    """The manifest expired or was deleted by hand."""
    with _s3(play, lambda request, forward: _GONE if "/manifests/" in request.path else forward()):
        yield


@injects(Fault.S3_MISSING, Step.SAVE, what="404 for one staged tutorial until the run is over")
def s3_without_an_item(play: Play) -> Iterator[None]:
    """The item was deleted after Generate."""
    key = staged_key(play.roadmap_id, Item(play.ids[2], ContentType.TUTORIAL))
    with _s3(play, lambda request, forward: _GONE if request.path.endswith(key) else forward()):
        yield


@injects(
    Fault.S3_HALF,
    *STORES[1:],
    what="the connection is lost in the middle of every object until the run is over",
)
def s3_half(play: Play) -> Iterator[None]:
    """A response with half of the body."""

    def halve(request: Request, forward: Forward) -> Reply:
        reply = forward()
        return reply._replace(cut_after=len(reply.body) // 2) if request.method == "GET" else reply

    with _s3(play, halve):
        yield


# Size limits.


@injects(
    Fault.LARGE_PAYLOAD,
    Step.FINALIZE,
    what="what FanOut hands over is above the limit, here lowered to 100 bytes (States.DataLimitExceeded)",
)
def large_handover(play: Play) -> Iterator[None]:
    """Nothing that it hands over comes near to 256 KiB (`tests/unit/test_limits.py`). The limit is emulated
    from documentation.
    """
    with play.rig.map_output_limited_to(100):
        yield
    assert play.event_of(Step.FINALIZE)["error"]["Error"] == "States.DataLimitExceeded"


@injects(Fault.LARGE_PAYLOAD, Step.RETRY, what="a body of 300 KiB, which the endpoint ignores")
def large_body(play: Play) -> Iterator[None]:
    """API Gateway rejects the body."""
    play.body = b" " * 300 * 1024
    yield
    play.body = None


@injects(
    Fault.LARGE_PAYLOAD,
    Step.RECONCILE,
    what="an event whose cause is as long as Step Functions allows, NUL included",
)
def large_event(play: Play) -> Iterator[None]:
    """An id of 32,768 characters."""
    play.event["detail"] |= {"error": "Large", "cause": "\x00" + "x" * 32_767}
    yield


# Faults of the execution.


@injects(Fault.STOPPED, *MACHINE, what="StopExecution while it runs; it continues after the task is recorded")
def stopped(play: Play) -> Iterator[None]:
    """The step finishes after the execution was stopped."""
    with _stopped_at_work(play):
        yield


@contextmanager
def _stopped_at_work(play: Play) -> Iterator[None]:
    def stop() -> None:
        play.rig.stepfunctions.stop_execution(executionArn=play.running())
        play.await_recorded()

    with play.rig.events(), Gather(play.line.database, play.invocations, on_all=stop):
        yield


@injects(
    Fault.TIMED_OUT,
    *MACHINE,
    what="TimeoutSeconds of the execution is over while it runs; it continues after the task is recorded",
)
def timed_out(play: Play) -> Iterator[None]:
    """The step finishes after the execution timed out."""

    def expire() -> None:
        play.rig.time_out(play.running())
        play.await_recorded()

    with play.rig.events(), Gather(play.line.database, play.invocations, on_all=expire):
        yield


@injects(
    Fault.REDRIVEN,
    *MACHINE,
    what="StopExecution while it is at work; then a retry and a redrive that read the same task",
)
def redriven(play: Play) -> Iterator[None]:
    """Both have read before either claims, so exactly one starts an attempt.

    The stopped savers have saved everything by then: the retry finds nothing missing, and starts nothing.
    """
    with _stopped_at_work(play):
        yield
    play.rig.await_quiet()
    with (
        Gather(play.rig.lines[Step.RETRY].database, 2, at_commit=True),
        ThreadPoolExecutor(2) as pool,
    ):
        queries: list[dict[str, str]] = [{}, {"force_checkpoint": "true"}]
        said = sorted(pool.map(lambda query: play.retry(**query), queries))
    expected = ["200", "202"] if play.cell.step is Step.SAVE else ["202", "409"]
    assert [answer[:3] for answer in said] == expected, said
    for answer in said:
        play.also(answer)


@injects(
    Fault.RESTORED,
    *(Step.RETRY, Step.RECONCILE),
    what="the task's rows are those of a backup from before its first attempt",
)
def restored(play: Play) -> Iterator[None]:
    """Step Functions and S3 have executions and objects that are not in the restored rows."""
    for table in ("content_attempts", "content_failures", "content_task_failures"):
        play.execute(f"DELETE FROM {table} WHERE task_id = :id", id=play.task_id)
    play.execute(
        "UPDATE roadmap_tasks SET status = 'pending', attempt = 0, execution_arn = NULL, completed_at = NULL,"
        " failed_concepts = NULL, execution_summary = NULL, error_message = NULL WHERE task_id = :id",
        id=play.task_id,
    )
    play.oracle.forget_attempts()
    yield


# StartExecution, called by the API.


def starts(fault: Fault, what: str) -> Callable[[Callable[[Play, Request, Forward], Reply | None]], None]:
    """Register a fault of StartExecution."""

    def register(answer: Callable[[Play, Request, Forward], Reply | None]) -> None:
        @contextmanager
        def inject(play: Play) -> Iterator[None]:
            struck = threading.Event()

            def script(request: Request, forward: Forward) -> Reply | None:
                if request.target != "StartExecution":
                    return forward()
                struck.set()
                return answer(play, request, forward)

            play.line.executions.play(script)
            try:
                yield
            finally:
                play.line.executions.play()
            assert struck.is_set(), "StartExecution was not called"

        INJECTORS[fault, Step.START] = Injector(what, inject)

    return register


def _error(code: str) -> Reply:
    return Reply(400, json.dumps({"__type": code, "message": "no"}).encode())


@starts(Fault.EXCEPTION, "it is answered StateMachineDoesNotExist")
def _refused(_play: Play, _request: Request, _forward: Forward) -> Reply | None:
    return _error("StateMachineDoesNotExist")


@starts(Fault.TIMEOUT, "it is not answered until the function's time is up")
def _swallowed(play: Play, request: Request, _forward: Forward) -> Reply | None:
    assert becomes_true(lambda: client_at(request.client_port) is None, 600)
    return None


@starts(Fault.KILLED_BEFORE, "the process is killed before the call comes through")
def _killed_before(_play: Play, request: Request, _forward: Forward) -> Reply | None:
    kill_client_at(request.client_port)
    return None


@starts(Fault.KILLED_AFTER, "the process is killed when the execution has started")
def _killed_after(_play: Play, request: Request, forward: Forward) -> Reply | None:
    forward()
    kill_client_at(request.client_port)
    return None


@starts(Fault.THROTTLED, "ThrottlingException to each try")
def _throttled(_play: Play, _request: Request, _forward: Forward) -> Reply | None:
    return _error("ThrottlingException")


@starts(Fault.TWICE_AT_ONCE, "it is delivered twice, one beside the other")
def _delivered_twice(_play: Play, _request: Request, forward: Forward) -> Reply | None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: forward(), range(2))
    assert json.loads(first.body)["executionArn"] == json.loads(second.body)["executionArn"]
    return first


@starts(Fault.AGAIN_LATER, "it is delivered again, an hour after the task was healed")
def _delivered_later(play: Play, _request: Request, forward: Forward) -> Reply | None:
    play.repeat = lambda: json.loads(forward().body).get("__type", "the same execution")
    return forward()
