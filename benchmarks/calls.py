"""`python -m benchmarks.calls`: the calls of AWS, by endpoint and of a minute of polling running tasks."""

import importlib

from roadmap_content.platform.aws.executions import Executions
from tests.support.endpoint_calls import CALLS, DEPENDS, counted
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import S3, Pipeline, services_for
from tests.support.requests_to_api import request

from .database import migrated_database
from .report import arguments_of, finish
from .result import Matrix, Result, Target, versions

TASKS, POLLS = 1_000, 30
"""Running tasks that are polled every 2 seconds, for a minute."""

ABOUT = """
A quota of AWS is for the whole account, so a request must not use more of it when there are more tasks. The
calls are counted where boto3 sends them. The tasks that are polled have made no progress for an hour.
Authorization, and the database's credentials for a new connection, are not included.
"""

AT_WORK = (
    """
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, attempt, execution_arn, created_at,
    updated_at)
SELECT 'at-work-' || n, 'user-1', 'r-1', 'processing', 1, 'arn:' || n, now(), now() - interval '1 hour'
FROM generate_series(1, :tasks) AS n
""",
    """
INSERT INTO content_attempts (task_id, attempt, actor, cause, step)
SELECT 'at-work-' || n, 1, 'console', 'first_run', 'planned' FROM generate_series(1, :tasks) AS n
""",
)


def calls_of_polling(url: str) -> int:
    """The calls while clients poll running tasks for a minute."""
    S3.create_bucket(Bucket="content")
    services = services_for(url)
    services.executions = Executions("arn:aws:states:us-east-1:1:stateMachine:none")
    pipeline = Pipeline(services)
    pipeline.load(bundle_of(concept_ids(30)))
    for statement in AT_WORK:
        pipeline.execute(statement, tasks=TASKS)
    module = importlib.import_module("functions.task_api.app")
    module.services = services  # type: ignore[attr-defined]
    with counted() as calls:
        for _ in range(POLLS):
            for number in range(1, TASKS + 1):
                answer = request(module, "GET", f"/api/v1/tasks/at-work-{number}", roles="operator")
                if answer.status != 200 or not answer.body["live"]:
                    raise SystemExit(f"not at work: {answer}")
    services.engine.dispose()
    return calls.total()


def result_of(polling: int) -> Result:
    """The result, with the calls of polling."""
    return Result(
        name="calls",
        title="Calls of AWS",
        about=ABOUT.strip(),
        versions=versions("boto3"),
        matrices=[
            Matrix(
                name="endpoints",
                title="Calls of AWS, by endpoint",
                about="Counted by `tests/integration/test_calls_of_endpoints.py`, with 2 and 8 concepts.",
                columns=["calls", "if not constant"],
                rows={
                    f"`{operation}`": [
                        ", ".join(f"{count} {name}" for name, count in calls.items()) or "0",
                        DEPENDS.get(operation, ""),
                    ]
                    for operation, calls in CALLS.items()
                },
            )
        ],
        targets=[
            Target(
                label=f"calls of AWS while {TASKS:,} running tasks are polled every 2 seconds, for a minute",
                value=polling,
                limit=0,
                unit="",
            )
        ],
    )


def main() -> None:
    """Count, show, and keep the result."""
    arguments = arguments_of(__doc__)
    with migrated_database() as url:
        result = result_of(calls_of_polling(url))
    finish(result, short=arguments.short, room=0.0)


if __name__ == "__main__":
    main()
