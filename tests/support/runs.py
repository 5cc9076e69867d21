"""Step Functions for tests: executions of the machine's model (`machine_model.py`), instead of a client."""

import threading
from queue import SimpleQueue

from roadmap_content.contracts.errors import NotRedrivableError
from roadmap_content.contracts.payloads import RunInput
from roadmap_content.platform.aws.executions import Executions, ExecutionState, ExecutionsUnavailableError
from tests.support.machine_model import Run


class Runs(Executions):
    """The executions that were started, oldest first. The test advances them."""

    def __init__(self, runs: list[Run]) -> None:
        super().__init__("arn:aws:states:us-east-1:123456789012:stateMachine:save-content")
        self._runs = runs
        self._starting = threading.Lock()
        self.throttled = False

    def _find(self, arn: str) -> Run | None:
        return next((run for run in self._runs if run.arn == arn), None)

    def state(self, execution_arn: str) -> ExecutionState:
        run = self._find(execution_arn)
        if run is None:
            return ExecutionState.UNKNOWN
        if run.status == "SUCCEEDED":
            return ExecutionState.SUCCEEDED
        return ExecutionState.RUNNING if run.running else ExecutionState.OVER

    def start(self, execution_arn: str, task_id: str, attempt: int) -> None:
        """Start the run of an attempt once, unless throttled."""
        if self.throttled:
            raise ExecutionsUnavailableError("StartExecution: ThrottlingException")
        with self._starting:
            if self._find(execution_arn) is None:
                self._add(Run(execution_arn, RunInput(task_id=task_id, attempt=attempt)))

    def _add(self, run: Run) -> None:
        self._runs.append(run)

    def redrive(self, execution_arn: str) -> None:
        """Continue from the failed state."""
        run = self._find(execution_arn)
        if run is None or run.status in ("RUNNING", "SUCCEEDED"):
            raise NotRedrivableError(f"{execution_arn} is {run and run.status}")
        run.redrive()


class QueuedRuns(Runs):
    """Executions that wait until a thread runs them."""

    def __init__(self) -> None:
        super().__init__([])
        self.waiting: SimpleQueue[Run] = SimpleQueue()
        self.stopped: set[str] = set()

    def _add(self, run: Run) -> None:
        super()._add(run)
        self.waiting.put(run)

    def stop(self, execution_arn: str) -> bool:
        """Stop an execution between two steps."""
        running = self.state(execution_arn) is ExecutionState.RUNNING
        if running:
            self.stopped.add(execution_arn)
        return running
