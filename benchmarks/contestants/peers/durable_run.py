"""AWS Lambda durable functions, in the test runner of their SDK: a map over the items, or over batches of 25.

As in its documentation, with its best options: FLAT nesting, items are independent of each other, and only
connection errors are retried. A killed worker is emulated by the SDK's `InvocationError`, after which the
service invokes the function again and replays the checkpoints.
"""

import json
from typing import Any

import psycopg
from aws_durable_execution_sdk_python import (
    BatchItemStatus,
    DurableContext,
    ExecutionError,
    InvocationError,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import (
    CompletionConfig,
    Duration,
    MapConfig,
    NestingType,
    StepConfig,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python_testing import DurableFunctionTestRunner

from benchmarks.contestants.peers.work import batches, job, save_and_commit

JOB = job()
RETRY = create_retry_strategy(
    RetryStrategyConfig(
        max_attempts=8,
        initial_delay=Duration.from_seconds(1),
        retryable_error_types=[psycopg.OperationalError],
    )
)
CONFIG = MapConfig(
    max_concurrency=10,
    nesting_type=NestingType.FLAT,
    completion_config=CompletionConfig.all_completed(),
)
# A new execution has no access to the first one: its input is the items that the first one reported as
# failed.
retries = JOB.phase in ("retry", "resume")
wanted = set(json.loads((JOB.folder / "failed.json").read_text())) if retries else None
ITEMS = [item for item in JOB.items if wanted is None or item.key in wanted]
GROUPS = batches(ITEMS, 25) if JOB.form == "batch" else [[item] for item in ITEMS]


def produce(context: DurableContext, number: int, _index: int, _all: Any) -> int:  # noqa: ANN401
    """Generate and save one group."""
    group = GROUPS[number]

    def make(_context: object) -> str:
        return json.dumps([JOB.make(item) for item in group])

    def save(_context: object) -> int:
        save_and_commit(JOB.database_url, group)
        if JOB.saved(len(group)):
            raise InvocationError("killed between the commit and the checkpoint")
        if JOB.stopped:
            raise ExecutionError("the execution fails as a whole")
        return len(group)

    context.step(make, name=f"make-{number}", config=StepConfig(retry_strategy=RETRY))
    saved: int = context.step(save, name=f"save-{number}", config=StepConfig(retry_strategy=RETRY))
    return saved


@durable_execution
def handler(_event: Any, context: DurableContext) -> dict[str, Any]:  # noqa: ANN401
    """Produce every group; return the failed ones."""
    result = context.map(list(range(len(GROUPS))), produce, name="items", config=CONFIG)
    failed = [item.index for item in result.all if item.status is not BatchItemStatus.SUCCEEDED]
    return {"failed": failed}


def main() -> None:
    """Run one execution, and report its status."""
    runner = DurableFunctionTestRunner(handler, poll_interval=0.05, skip_time=False)
    with runner:
        result = runner.run(input="{}", execution_timeout=600)
    failed: set[int] = set()
    if result.result is not None:
        payload = result.result if isinstance(result.result, str) else result.result.payload
        failed = set(json.loads(payload)["failed"])
    succeeded = result.status.value == "SUCCEEDED"
    saved = [item.key for n, group in enumerate(GROUPS) if succeeded and n not in failed for item in group]
    missing = [item.key for item in ITEMS if item.key not in saved]
    (JOB.folder / "failed.json").write_text(json.dumps(missing))
    operations, size = count(result.operations)
    JOB.answer(status=result.status.value, saved=saved, operations=operations, bytes=size)


def count(operations: Any) -> tuple[int, int]:  # noqa: ANN401 - the SDK's tree
    """Operations, and the characters of their results."""
    number = size = 0
    for operation in operations:
        number += 1
        payload = getattr(operation, "result", None)
        size += len(payload) if isinstance(payload, str) else 0
        below, below_size = count(getattr(operation, "child_operations", None) or [])
        number, size = number + below, size + below_size
    return number, size


main()
