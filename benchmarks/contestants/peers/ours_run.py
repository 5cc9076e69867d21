"""Ours: the four steps, on the job's database and an S3 that outlives the process.

Step Functions is emulated: what it keeps (the plan, and which batches are over) is a file; a function that
dies is invoked again with the same event.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from roadmap_content.aws.executions import Executions, ExecutionState
from roadmap_content.content.kind import Draft
from roadmap_content.contracts import BatchRequest, Execution, RunInput
from roadmap_content.generation.allowance import Allowance
from roadmap_content.generation.generator import generator_named
from roadmap_content.generation.learner import ANYONE, Learner
from roadmap_content.items import ContentType
from roadmap_content.postgres.engine import Credentials, open_engine
from roadmap_content.roadmaps.framework import Concept
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.runtime.settings import Settings
from roadmap_content.services import Services
from roadmap_content.steps.finalize import FinalizeRequest, LostBatch, finalize_task
from roadmap_content.steps.generate import generate_content
from roadmap_content.steps.plan import PlanRequest, PlanResult, plan_batches
from roadmap_content.steps.save import save_batch

from .work import Job, die

TASK = "peers"


class _Over(Executions):
    """Step Functions, where no other execution runs."""

    def __init__(self) -> None:
        super().__init__("arn:aws:states:us-east-1:123456789012:stateMachine:peers")

    def state(self, execution_arn: str) -> ExecutionState:  # noqa: ARG002 - as Executions'
        return ExecutionState.OVER


class _Counted:
    """A generator whose items are counted as paid."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._items = {item.key: item for item in job.items}
        self._offline = generator_named("offline")

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        learner: Learner = ANYONE,
        allowance: Allowance | None = None,
        /,
    ) -> Draft:
        """Make an item and count it."""
        self._job.make(self._items[f"{content_type}/{concept.concept_id}"])
        return self._offline.generate(concept, content_type, learner, allowance)


def main() -> None:
    """Run an attempt, or go on with the one whose function died."""
    logging.disable()
    job = Job(Path(sys.argv[1]))
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - metrics
    services = Services(Settings(dict(os.environ)))
    credentials = Credentials.from_url(make_url(job.database_url))
    services.engine = open_engine(lambda: credentials, tls=False)
    services.executions = _Over()
    services.generator = _Counted(job)
    kept = job.folder / "history.json"
    history: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"run": 0}
    if job.phase != "restart":
        history = {"run": history["run"] + 1, "over": []}
    execution = Execution(arn=f"arn:aws:states:us-east-1:123456789012:execution:peers:r{history['run']}")
    start = RunInput(task_id=TASK)
    deadline = Deadline.after(120)
    if "plan" not in history:
        planned = plan_batches(PlanRequest(input=start, execution=execution), services, deadline)
        history["plan"] = planned.model_dump(mode="json")
        kept.write_text(json.dumps(history))
    planned = PlanResult.model_validate(history["plan"])
    for batch in planned.batches:
        if batch.number in [report["batch"]["number"] for report in history["over"]]:
            continue
        request = BatchRequest(plan=planned.plan, batch=batch, execution_arn=execution.arn)
        generate_content(request, services, deadline)
        report = save_batch(request, services, deadline)
        if job.saved(report.saved):
            die()
        history["over"].append(report.model_dump(mode="json"))
        kept.write_text(json.dumps(history))
    lost = [LostBatch.model_validate(report) for report in history["over"] if report["error"]]
    outcome = finalize_task(
        FinalizeRequest(input=start, execution=execution, plan=planned.plan, lost=lost), services, deadline
    )
    with services.engine.connect() as connection:
        failed = _failed(
            connection.exec_driver_sql(
                "SELECT failed_concepts FROM roadmap_tasks WHERE task_id = 'peers'"
            ).scalar_one()
        )
    saved = [item.key for item in job.items if item.key not in failed]
    transitions = 2 * len(planned.batches) + 5
    job.answer(status=outcome.status, saved=saved, operations=transitions)


def _failed(recorded: dict[str, Any] | None) -> set[str]:
    """The items that the task's row calls failed."""
    items = [] if recorded is None else recorded["items"]
    return {"/".join([item["content_type"], item["concept_id"]]) for item in items}


if __name__ == "__main__":
    main()
