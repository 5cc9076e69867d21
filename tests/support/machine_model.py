"""A model of the state machine for tests: one execution that enters its states one by one.

It follows `statemachine/save_content.asl.json`: the caught errors of each state, and the states that a
redrive repeats. Emulated from documentation. `tests/workflow` runs the definition itself.
"""

import json
from datetime import UTC, datetime
from enum import StrEnum

from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.payloads import BatchRequest, Execution, RunInput, StateError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.steps.accounting import LostBatch
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, FinalizedOutcome, await_redrive
from roadmap_content.runs.steps.finalize import FinalizeRequest, finalize_task
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.plan import PlanRequest, PlanResult, plan_batches
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.state.services import Services


class State(StrEnum):
    """The current state of an execution."""

    PLAN = "Plan"
    GENERATE = "Generate"
    SAVE = "Save"
    FINALIZE = "Finalize"
    AWAIT_REDRIVE = "AwaitRedrive"


class Run:
    """One execution of the state machine."""

    def __init__(self, arn: str, run_input: RunInput) -> None:
        self.arn = arn
        self.input = run_input
        self.status = "RUNNING"
        self.redrives = 0
        self.started_at = datetime.now(UTC)
        self.redriven_at: datetime | None = None
        self.state = State.PLAN
        self._begin()

    def _begin(self) -> None:
        self.state = State.PLAN
        self.at_work = False
        """Whether it was let plan or generate since it was started or redriven."""
        self.planned: PlanResult | None = None
        self.planned_redrives = self.redrives
        self.requests: list[BatchRequest] = []
        self.batch = 0
        self.lost: list[LostBatch] = []
        self.error: StateError | None = None
        self.outcome: FinalizedOutcome | None = None

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def going(self) -> bool:
        """Whether its outcome is not recorded yet."""
        return self.running and self.state is not State.AWAIT_REDRIVE

    def execution(self) -> Execution:
        """The execution, as in the context object."""
        return Execution(
            arn=self.arn,
            start_time=self.started_at,
            redrive_count=self.redrives,
            redrive_time=self.redriven_at,
        )

    def redrive(self) -> None:
        """Continue from the failed state."""
        self.redrives += 1
        self.redriven_at = datetime.now(UTC)
        self.status = "RUNNING"
        self.at_work = False

    def plan_request(self) -> PlanRequest:
        return PlanRequest(input=self.input, execution=self.execution())

    def finalize_request(self) -> FinalizeRequest:
        return FinalizeRequest(
            input=self.input,
            execution=self.execution(),
            plan=self.planned and self.planned.plan,
            lost=self.lost,
            error=self.error,
        )

    def replan(self, attempt: int | None) -> None:
        """Go back to Plan for another attempt."""
        self.input = RunInput(task_id=self.input.task_id, attempt=attempt)
        self._begin()

    def enter_batches(self, planned: PlanResult) -> None:
        """Enter the Map over the plan's batches."""
        self.planned = planned
        self.requests = batch_requests(planned, self.arn)
        self.state = State.GENERATE if self.requests else State.FINALIZE

    def next_batch(self) -> None:
        """Go to the next batch, or to Finalize after the last."""
        self.batch += 1
        self.state = State.GENERATE if self.batch < len(self.requests) else State.FINALIZE

    def step(self, services: Services, deadline: Deadline) -> None:
        """Run the function of the current state and enter the next state."""
        match self.state:
            case State.PLAN:
                self.planned_redrives = self.redrives
                self.enter_batches(plan_batches(self.plan_request(), services, deadline))
                self.at_work = True
            case State.GENERATE:
                generate_content(self.requests[self.batch], services, deadline)
                self.at_work = True
                self.state = State.SAVE
            case State.SAVE:
                report = save_batch(self.requests[self.batch], services, deadline)
                if report.error is not None:
                    self.lost.append(LostBatch(batch=report.batch, error=report.error))
                self.next_batch()
            case State.FINALIZE:
                result = finalize_task(self.finalize_request(), services, deadline)
                self.outcome = FinalizedOutcome(
                    **result.model_dump(), planned_redrive_count=self.planned_redrives
                )
                if result.complete:
                    self.status = "SUCCEEDED"
                else:
                    self.state = State.AWAIT_REDRIVE
            case State.AWAIT_REDRIVE:
                assert self.outcome is not None
                request = AwaitRedriveRequest(outcome=self.outcome, execution=self.execution())
                answer = await_redrive(request, services, deadline)
                if answer.replan:
                    self.replan(answer.attempt)
                else:
                    self.status = "SUCCEEDED"

    def advance(self, services: Services) -> None:
        """Run the function of the current state, or enter the state that the Catch leads to."""
        try:
            self.step(services, Deadline.after(600))
        except ContentError as error:
            self.catch(error_of(error))

    def catch(self, error: StateError) -> None:
        """Enter the state that the Catch of the current state leads to; without a Catch, fail."""
        match self.state:
            case State.PLAN:
                self.error = error
                self.state = State.FINALIZE
            case State.GENERATE:
                self.at_work = self.at_work and error.error not in ("StaleAttempt", "StaleAttemptError")
                request = self.requests[self.batch]
                self.requests[self.batch] = request.model_copy(update={"generate_error": error})
                self.state = State.SAVE
            case State.SAVE:
                self.lost.append(LostBatch(batch=self.requests[self.batch].batch, error=error))
                self.next_batch()
            case State.FINALIZE | State.AWAIT_REDRIVE:
                self.status = "FAILED"


def error_of(error: ContentError) -> StateError:
    """The error as Lambda reports it to the state machine."""
    return StateError(error=type(error).__name__, cause=json.dumps({"errorMessage": str(error)}))


def batch_requests(planned: PlanResult, execution_arn: str) -> list[BatchRequest]:
    """The input of each iteration of the Map over a plan's batches."""
    return [
        BatchRequest(plan=planned.plan, batch=batch, execution_arn=execution_arn) for batch in planned.batches
    ]
