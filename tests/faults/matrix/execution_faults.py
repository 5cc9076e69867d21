"""Faults of an execution: limits of size, an end from outside, and a restored database."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.faults.matrix.declaration import MACHINE, Fault, Step
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import injects
from tests.faults.matrix.scripts import Gather


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

    with play.rig.events(), Gather(play.line.database, on_all=stop):
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

    with play.rig.events(), Gather(play.line.database, on_all=expire):
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
