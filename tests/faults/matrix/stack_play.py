"""Run one step under one fault on the local stack: a separate task, the fault, and the repair."""

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from botocore.exceptions import ClientError

from local_stack.processes import becomes_true
from roadmap_content.contracts.items import ContentType, Item
from tests.faults.matrix.rig import Line, Rig
from tests.faults.matrix.scripts import Meet
from tests.faults.matrix.steps import Step, of_all
from tests.support.evidence import TABLES, Log
from tests.support.factories import USER, bundle_of, quiz
from tests.support.machine import Machine
from tests.support.oracle import Oracle

CONCEPTS = 4


class StackPlay(Machine):
    """One task under one fault: four concepts, one list of resources not generated yet, and one quiz that
    cannot be saved if Save runs before the fault.
    """

    def __init__(self, rig: Rig, step: Step) -> None:
        super().__init__(rig.stack, rig.target)
        self.rig, self.step = rig, step
        self.line: Line = rig.lines[step]
        self.ids = self.concept_ids(CONCEPTS)
        self.arn = ""
        """The running execution."""

        self.event: dict[str, Any] = {}
        """The event for Reconcile, in a cell of Reconcile."""

        self._started = threading.Event()

        bundle = bundle_of(self.ids, roadmap_id=self.roadmap_id, task_id=self.task_id)
        del bundle["content"][1]["resources"]
        self.load_bundle(bundle)
        if step in (Step.FINALIZE, Step.AWAIT_REDRIVE, Step.RETRY):
            # Save finds it before the fault: one attempt records it, the next one repairs it.
            self.stage_quiz(note="\x00")
        self.log = Log()
        self.oracle = Oracle(self.engine, rig.s3, rig.stack.bucket, bundle, self.log)
        rig.lines[Step.GENERATE].s3.requests.clear()

    def stage_quiz(self, **changes: str) -> None:
        """Stage the first concept's quiz."""
        body = json.dumps(quiz(self.ids[0], **changes)).encode()
        self.stage(Item(self.ids[0], ContentType.QUIZ), body)

    # The step with the fault: `prepare`, then `act`.

    def prepare(self) -> None:
        match self.step:
            case Step.AWAIT_REDRIVE | Step.RETRY:
                self.arn = self.start()
                ended = self.wait(self.arn)
                assert ended.get("error") == "ContentIncomplete", f"{_said(ended)}: {ended.get('cause')}"
                self.check()
            case Step.RECONCILE:
                self._leave_unrecorded()
            case _:
                pass

    def _leave_unrecorded(self) -> None:
        """Stop an execution before Finalize, without an event."""

        def stop() -> None:
            self.client.stop_execution(executionArn=self.running())

        save = self.rig.lines[Step.SAVE].database
        with Meet(save, stop):
            self.arn = self.start()
            ended = self.wait(self.arn)
        assert ended["status"] == "ABORTED"
        self.rig.await_quiet()
        detail = {"executionArn": self.arn, "status": "ABORTED", "input": ended["input"]}
        self.event = {"detail-type": "Step Functions Execution Status Change", "detail": detail}

    def act(self) -> str:
        """Run the step under the fault; return how it ended."""
        match self.step:
            case Step.RETRY:
                return self.retry()
            case Step.RECONCILE:
                return self.invoke(Step.RECONCILE, self.event)
            case Step.AWAIT_REDRIVE:
                self.client.redrive_execution(executionArn=self.arn)
            case _:
                self.arn = self.start()
        return _said(self.wait(self.arn))

    def retry(self, **query: str) -> str:
        """Retry once over HTTP and wait for the execution; return how both ended."""
        path = f"/api/v1/tasks/{self.task_id}/retry"
        answer = self.api().request("POST", path, {"user_id": USER, **query})
        if answer.status != 202:
            said = answer.body.get("error", "") if isinstance(answer.body, dict) else ""
            return f"{answer.status} {said}".strip()
        self.arn = answer.body["execution_arn"]
        return f"202, {_said(self.wait(self.arn))}"

    def running(self) -> str:
        """The running execution."""
        assert self._started.wait(600)
        return self.arn

    def throttles(self) -> int:
        """How often the current execution was refused an invocation for want of concurrency."""
        pages = self.client.get_paginator("get_execution_history")
        return sum(
            event.get("taskFailedEventDetails", {}).get("error") == "Lambda.TooManyRequestsException"
            for page in pages.paginate(executionArn=self.running())
            for event in page["events"]
        )

    def await_recorded(self) -> None:
        """Wait until the end of the execution is recorded without a call of Reconcile."""
        assert becomes_true(lambda: self.status().status not in ("pending", "processing"), 600)

    def start(self) -> str:
        """Start an execution that claims an attempt itself; return its ARN."""
        self.arn = super().start()
        self._started.set()
        return self.arn

    def invoke(self, step: Step, event: dict[str, Any]) -> str:
        """Invoke a step's deployed function; return the error, or `answered`."""
        name = self.rig.lines[step].function
        try:
            answer = self.rig.functions.invoke(FunctionName=name, Qualifier="live", Payload=json.dumps(event))
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        body = json.load(answer["Payload"])
        return str(body.get("errorType")) if "FunctionError" in answer else "answered"

    def play(self, fault: "Callable[[StackPlay], AbstractContextManager[object]]") -> str:
        """The fault, its consequences, and the repair.

        Return how the execution or the request ended; the task's status, and its saved items.
        """
        self.prepare()
        with fault(self):
            ended = self.act()
        self.reconcile_and_check()
        saved = of_all((total := CONCEPTS * len(ContentType)) - self.missing(), total)
        ending = f"{ended}; {self.status().status} {saved}"
        self.heal()
        return ending

    # After the fault.

    def reconcile_and_check(self) -> None:
        """Wait for late invocations, deliver the end event, advance the time, run the sweep, wait for the
        execution that it may start, and check the invariants.
        """
        self.rig.await_quiet()
        if self.step is not Step.RECONCILE:
            self._tell_end()
        for table, time in (("roadmap_tasks", "updated_at"), ("content_queue", "admitted_at")):
            self.execute(
                f"UPDATE {table} SET {time} = {time} - interval '66 seconds' WHERE task_id = :id",
                id=self.task_id,
            )
        assert (said := self.invoke(Step.RECONCILE, {})) == "answered", f"the sweep: {said}"
        task = self.status()
        if task.status == "processing" and task.execution_arn is not None:
            self.arn = task.execution_arn
            self.wait(self.arn)
            self.rig.await_quiet()
            self._tell_end()
        intruder = self.api("somebody-else").retry(self.task_id)
        self.log.intrusions.append(("retry", "refused" if intruder.status == 404 else str(intruder)))
        self.check()

    def _tell_end(self) -> None:
        """Invoke Reconcile as EventBridge does, which retries for an hour, longer than any fault here."""
        ended = self.client.describe_execution(executionArn=self.arn)
        if ended["status"] != "SUCCEEDED":
            detail = {key: ended.get(key) for key in ("executionArn", "status", "input", "error", "cause")}
            assert self.invoke(Step.RECONCILE, {"detail": detail}) == "answered"

    def check(self) -> None:
        """Check I1 to I6 against the tables and the bucket."""
        self.log.recorded.add(self.status().attempt)
        self._count_generated()
        self.oracle.require(self.oracle.at_any_time(), self.oracle.at_rest())

    def heal(self) -> None:
        """Retry once, or redrive once in a cell of redrives. After that, no item may be missing."""
        by_redrive = self.step in (Step.FINALIZE, Step.AWAIT_REDRIVE) and self.missing()
        said = self.retry(force_checkpoint="true") if by_redrive else self.retry()
        assert said == "202, SUCCEEDED" or said == "200", f"the repair ended {said}"
        self.rig.await_quiet()
        self.check()
        self.oracle.require(self.oracle.healed())

    def _count_generated(self) -> None:
        """Count everything that Generate stages as generated: no id is replaced here."""
        prefix = f"/{self.rig.stack.bucket}/staged/items/{self.roadmap_id}/"
        self.log.generated[:] = [
            (concept.removesuffix(".json"), kind)
            for request in self.rig.lines[Step.GENERATE].s3.requests
            if request.method == "PUT" and request.path.startswith(prefix)
            for kind, concept in [request.path.removeprefix(prefix).split("/")]
        ]

    def missing(self) -> int:
        return sum(progress.missing for progress in self.status().progress.values())

    def forget(self) -> None:
        """Remove the task and its rows, so that it does not slow down the next cell."""
        for table in (*(table for table, _ in TABLES.values()), "concept_metadata", "roadmap_metadata"):
            self.execute(f"DELETE FROM {table} WHERE roadmap_id = :id", id=self.roadmap_id)
        for table in ("roadmap_tasks", "content_failures"):
            self.execute(f"DELETE FROM {table} WHERE task_id = :id", id=self.task_id)
        bucket = self.rig.stack.bucket
        found = self.rig.s3.list_objects_v2(Bucket=bucket)["Contents"]
        ours = [
            {"Key": entry["Key"]}
            for entry in found
            if self.roadmap_id in entry["Key"] or self.task_id in entry["Key"]
        ]
        self.rig.s3.delete_objects(Bucket=bucket, Delete={"Objects": ours})


def _said(execution: dict[str, Any]) -> str:
    return " ".join(filter(None, (execution["status"], execution.get("error"))))
