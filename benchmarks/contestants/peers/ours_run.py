"""Ours: the four steps, on the job's database and an S3 in a separate process.

Step Functions is emulated: its state (the plan, and the finished batches) is a file; a function that crashes
is invoked again with the same event.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from roadmap_content.capabilities.composed import EVERY
from roadmap_content.content.generation.generator import Allowance, GenerationRequest, generator_named
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.payloads import BatchRequest, Execution, RunInput
from roadmap_content.platform.aws.executions import Executions, ExecutionState
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.steps.accounting import LostBatch
from roadmap_content.runs.steps.finalize import FinalizeRequest, record_run_end
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.plan import PlanRequest, PlanResult, plan_batches
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.state.services import Services

from .work import Job, die

TASK = "peers"


class _Idle(Executions):
    """A fake Step Functions, in which no execution is running."""

    def state(self, execution_arn: str) -> ExecutionState:  # noqa: ARG002 - as Executions'
        return ExecutionState.OVER


class _Counted:
    """A generator that counts its items as paid."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._items = {item.key: item for item in job.items}
        self._offline = generator_named("offline")

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        """Generate an item and count it."""
        self._job.make(self._items[f"{request.content_type}/{request.concept.concept_id}"])
        return self._offline.generate(request, allowance)


def main() -> None:
    """Run an attempt as the state machine does, or continue a crashed one."""
    logging.disable()
    job = Job(Path(sys.argv[1]))
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - metrics
    services = Services(Settings(dict(os.environ)), EVERY)
    credentials = Credentials.from_url(make_url(job.database_url))
    services.engine = open_engine(lambda: credentials, tls=False)
    services.executions = _Idle("arn:aws:states:us-east-1:123456789012:stateMachine:peers")
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
    passed = 2 * len(planned.model_dump_json())
    for batch in planned.batches:
        if batch.number in [report["batch"]["number"] for report in history["over"]] or job.stopped:
            continue
        request = BatchRequest(plan=planned.plan, batch=batch, execution_arn=execution.arn)
        generate_content(request, services, deadline)
        report = save_batch(request, services, deadline)
        passed += 3 * len(request.model_dump_json()) + 2 * len(report.model_dump_json())
        if job.saved(report.saved):
            die()
        history["over"].append(report.model_dump(mode="json"))
        kept.write_text(json.dumps(history))
    if job.stopped:  # the event of its end invokes Reconcile
        detail = {"executionArn": execution.arn, "status": "ABORTED", "input": start.model_dump_json()}
        end = ExecutionEnd.model_validate(detail)
        reconcile(ReconcileRequest(detail=end), services, deadline)
        status = "failed"
    else:
        lost = [LostBatch.model_validate(report) for report in history["over"] if report["error"]]
        finalize = FinalizeRequest(input=start, execution=execution, plan=planned.plan, lost=lost)
        status = record_run_end(finalize, services, deadline).status
    with services.engine.connect() as connection:
        failed = _failed(
            connection.exec_driver_sql(
                "SELECT failed_concepts FROM roadmap_tasks WHERE task_id = 'peers'"
            ).scalar_one()
        )
    saved = [item.key for item in job.items if item.key not in failed]
    transitions = 2 * len(planned.batches) + 5
    job.answer(status=status, saved=saved, operations=transitions, bytes=passed)


def _failed(recorded: dict[str, Any] | None) -> set[str]:
    """The failed items in the task's row."""
    items = [] if recorded is None else recorded["items"]
    return {"/".join([item["content_type"], item["concept_id"]]) for item in items}


if __name__ == "__main__":
    main()
