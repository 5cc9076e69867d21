"""A user's retry, and its run, step by step."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from local_stack.builds import REPOSITORY
from roadmap_content.api.health import read_health
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.payloads import RunInput
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, ReconcileResult, reconcile
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope
from tests.support.factories import USER
from tests.support.machine_model import Run


def deadline() -> Deadline:
    """A deadline that no step reaches."""
    return Deadline.after(600)


def retry(
    services: Services, task_id: str = "t-1", scope: Scope = WHOLE_TASK, *, take_over: bool = False
) -> RetryAnswer:
    """`POST …/retry`, without the run that it starts."""
    start = user_start(USER)._replace(scope=scope)
    return retry_task(services, task_id, USER, deadline(), start, take_over=take_over)


def planned(services: Services, answer: RetryAnswer) -> Run:
    """The execution that a retry has started, after its plan."""
    assert answer.execution_arn is not None
    execution = Run(answer.execution_arn, RunInput(task_id=answer.task_id, attempt=answer.attempt))
    execution.step(services, deadline())
    return execution


def run(services: Services, answer: RetryAnswer, *, after_plan: Callable[[], None] = lambda: None) -> None:
    execution = planned(services, answer)
    after_plan()
    while execution.going:
        execution.advance(services)
    assert execution.outcome is not None, "Finalize failed"


def heal(services: Services, task_id: str = "t-1", scope: Scope = WHOLE_TASK) -> RetryAnswer:
    """Send one POST, and run the execution if items are missing."""
    answer = retry(services, task_id, scope)
    if answer.status == "processing":
        run(services, answer)
    return answer


def blocks_of(page: str, language: str) -> list[str]:
    """The blocks of code in a language that a page of the documentation shows."""
    text = (REPOSITORY / "docs" / page).read_text()
    return re.findall(rf" *```{language}\n(.*?)\n *```", text, flags=re.DOTALL)


def sweep(services: Services) -> list[ReconcileResult]:
    """Sweep as the schedule does, which checks the changed tasks, and then by hand, which checks all."""
    requests = (ReconcileRequest(time=datetime.now(UTC)), ReconcileRequest())
    return [reconcile(request, services, deadline()) for request in requests]


def findings_of(engine: Engine) -> set[str]:
    """The findings of health about the database."""
    with engine.connect() as connection:
        health = read_health(connection, EVERY, "release")
    assert bool(health.database) == ("database" in {found.what for found in health.attention})
    return {f"{found.kind} {found.object}" for found in health.database}
