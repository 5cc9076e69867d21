"""`make chaos SOAK=crowd`: 100 roadmaps at once wait in the queue of a whole local stack; then check.

Nothing is staged: a slow model generates each item. One user asks for half of the roadmaps at first, fifty
others for one each. While the requests arrive, the API's processes are killed, also between a claim and the
start of its execution; later PostgreSQL and the processes of all functions. In the middle an operator stops
generation, PostgreSQL is killed meanwhile, and generation is resumed.

The sweep is invoked every two seconds, and sees an admission of five seconds as one of a minute ago.
"""

import argparse
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil
from botocore.exceptions import ClientError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from local_stack.stack import LocalStack
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.state.queue.capacity import granted_batches
from tests.faults.stack_soak import StackSoak, Subject, soak
from tests.support.converse_server import Call, ConverseServer, Reply, answers
from tests.support.factories import bundle_of, concept_ids
from tests.support.http_api import Api
from tests.support.machine import Machine
from tests.support.soak import Found, console

TASKS, CONCEPTS = 100, 3
HEAVY = "user-heavy"
SLOTS = 4
MODEL_SECONDS = 2.0
AT_ONCE = 16

STOP_AFTER, QUIET_SECONDS = 0.3, 4.0
"""Generation is stopped after this part of the tasks has ended, and counts as quiet after this time without a
call of the model.
"""

KILLS, ANSWERS_PER_KILL = 20, 10

# A minute later, for admissions of five seconds ago.
LATER = (
    """UPDATE content_queue SET admitted_at = admitted_at - interval '61 seconds',
        enqueued_at = enqueued_at - interval '61 seconds'
    WHERE state IN ('starting', 'redriving')
        AND admitted_at < timezone('utc', now()) - interval '5 seconds'""",
    "UPDATE content_events SET due_at = due_at - interval '61 seconds' WHERE delivered_at IS NULL",
)

ENDED = "SELECT count(*) FROM roadmap_tasks WHERE completed_at IS NOT NULL"
GRANTED = "SELECT sum(grants) FROM content_queue WHERE state IN ('starting', 'redriving', 'running')"
WAITS = """
SELECT t.user_id, extract(epoch FROM q.admitted_at - q.enqueued_at) AS seconds
FROM content_queue q JOIN roadmap_tasks t USING (task_id) WHERE q.attempt = 1 AND q.admitted_at IS NOT NULL
"""


def slowly(call: Call) -> Reply:
    """An answer after some time, as of a model."""
    time.sleep(MODEL_SECONDS)
    return answers(call)


def subject(number: int, tasks: int) -> Subject:
    """Task `number`, without content; its concepts have names of their own."""
    roadmap_id = f"r-{number:04}"
    user_id = HEAVY if number < tasks // 2 else f"user-{number}"
    bundle: dict[str, Any] = bundle_of(
        concept_ids(CONCEPTS, roadmap_id),
        roadmap_id=roadmap_id,
        task_id=f"t-{number:04}",
        user_id=user_id,
    )
    for stage in bundle["roadmap"]["framework_data"]["stages"]:
        for module in stage["modules"]:
            for concept in module["concepts"]:
                concept["name"] = f"Concept {concept['concept_id']}"
    return Subject(bundle | {"content": []})


class Crowd(StackSoak):
    """Many tasks that start at once, and wait for few slots."""

    def __init__(self, stack: LocalStack, deadline: Deadline, model: ConverseServer, tasks: int) -> None:
        super().__init__(stack, deadline, [subject(number, tasks) for number in range(tasks)])
        self._tasks = tasks
        self._model = model
        self._most_granted = 0
        self._over = threading.Event()

    def run(self) -> list[str]:
        """All requests at once, the faults, the stop, and a retry of missing items; every failed check."""
        name = self._stack.functions["GenerateContentFunction"]
        found = self._stack.client("lambda").get_function_configuration(FunctionName=name)
        environment = {"Variables": found["Environment"]["Variables"] | self._model.settings()}
        machine = Machine(self._stack, self._target)
        with machine.function_changed("GenerateContentFunction", Environment=environment):
            return self._crowd()

    def _crowd(self) -> list[str]:
        self._capacity(slots=SLOTS)
        sweeper = threading.Thread(target=self._sweep_often)
        sweeper.start()
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                self._begin_all(pool)
                self._until(lambda: self._scalar(ENDED) >= STOP_AFTER * self._tasks, "the first tasks to end")
                self._stop_and_resume()
                self._disturb()
                self._until(lambda: self._scalar(ENDED) == self._tasks, "all tasks to end")
                broken = self._unfair()
                self._heal()
                self._over.set()
                sweeper.join()
                self._target.invoke("ReconcileTaskFunction", {})
                self._prepare_oracles()
                return broken + self._held_in_the_end(pool)
        finally:
            self._over.set()
            sweeper.join()

    def _begin_all(self, pool: ThreadPoolExecutor) -> None:
        """Send all requests, while processes of the API are killed."""
        for each in self._subjects:
            self._load(each)
        futures = [pool.submit(self._ask, each) for each in self._subjects]
        api = self._stack.functions["TaskApiFunction"]
        killed_at = 0
        while (answered := sum(future.done() for future in futures)) < self._tasks:
            # By answers and not by seconds: a slow machine must have time to answer.
            if answered >= killed_at:
                killed_at += ANSWERS_PER_KILL
                for worker in self._workers():
                    with suppress(psutil.Error):
                        if worker.environ().get("AWS_LAMBDA_FUNCTION_NAME") == api:
                            self._kill(worker)
                            self.counts["processes of the API killed while requests arrived"] += 1
            time.sleep(0.1)
        for future in futures:
            future.result()
        started = "SELECT count(*) FROM content_queue WHERE state = 'starting'"
        self.counts["tasks that waited when all requests were answered"] = self._scalar(
            "SELECT count(*) FROM content_queue WHERE state = 'waiting'"
        )
        self.counts["admitted and not yet started then"] = self._scalar(started)

    def _ask(self, each: Subject) -> None:
        """Send a user's request until it is answered. If an answer was lost, its run may be over by then."""
        for _ in self._tries(f"the API to begin {each.task_id}"):
            answer = self._retry(each)
            if answer is None:
                self.counts["requests without an answer"] += 1
            elif answer.status in (200, 202, 409):
                return

    def _stop_and_resume(self) -> None:
        """Stop generation; kill PostgreSQL meanwhile; resume."""
        self._capacity(stopped=True)
        stopped_at = time.monotonic()
        calls, since = len(self._model.calls), stopped_at
        for _ in self._tries("the model to be quiet"):
            if len(self._model.calls) != calls:
                calls, since = len(self._model.calls), time.monotonic()
            elif time.monotonic() - since > QUIET_SECONDS:
                break
        self.counts["milliseconds from the stop to the last call of the model"] = round(
            (since - stopped_at) * 1_000
        )
        self._kill_database("while generation was stopped")
        time.sleep(QUIET_SECONDS)
        self.counts["calls of the model while generation was stopped"] = len(self._model.calls) - calls
        self.counts["tasks that had ended at the stop"] = self._scalar(ENDED)
        self._capacity(stopped=False)

    def _disturb(self) -> None:
        """Kill PostgreSQL once, and processes of functions."""
        for number in range(KILLS):
            if workers := self._workers():
                self._kill(self._chance.choice(workers))
            if number == KILLS // 2:
                self._kill_database("and started again")
            time.sleep(0.5)

    def _unfair(self) -> list[str]:
        """Too many batches at work, a light user waiting like the heavy one, calls while stopped."""
        with self._target.engine.connect() as connection:
            rows = connection.execute(text(WAITS)).all()
        light = [float(row.seconds) for row in rows if row.user_id != HEAVY]
        heavy = [float(row.seconds) for row in rows if row.user_id == HEAVY]
        for name, waits in (("light users", light), ("the heavy user", heavy)):
            self.counts[f"seconds that {name} waited: median"] = round(statistics.median(waits))
            self.counts[f"seconds that {name} waited: longest"] = round(max(waits))
        self.counts["batches at work at most"] = self._most_granted
        broken = []
        if self._most_granted > granted_batches(SLOTS):
            broken.append(f"{self._most_granted} batches at work, {granted_batches(SLOTS)} are granted")
        if statistics.median(light) >= statistics.median(heavy):
            broken.append("a light user waits as long as the heavy one")
        if self.counts["calls of the model while generation was stopped"]:
            broken.append("the model was called while generation was stopped")
        return broken

    def _heal(self) -> None:
        """Retry the tasks that the faults have left incomplete, once."""
        left = [each for each in self._subjects if not self._is_complete(each)]
        self.counts["tasks that needed a retry"] = len(left)
        for each in left:
            self._follow(each, self._begin(each))
        self._until(lambda: all(map(self._is_complete, left)), "the retried tasks to be complete")
        counts = Counter(self._model.accepted.values())
        self.counts["items generated once"] = counts[1]
        self.counts["items generated twice, because their process was killed"] = (
            sum(counts.values()) - counts[1]
        )

    def _is_complete(self, each: Subject) -> bool:
        sql = f"SELECT count(*) FROM roadmap_tasks WHERE task_id = '{each.task_id}' AND status = 'completed'"
        return self._scalar(sql) == 1

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in self._tries(what):
            with suppress(DBAPIError):
                if condition():
                    return

    def _capacity(self, **change: Any) -> None:
        body = {"reason": "a crowd", **change}
        for _ in self._tries("the API to change the capacity"):
            with suppress(OSError):
                if Api.of_operator(self._target).send("PUT", "/capacity", body).status == 200:
                    return

    def _sweep_often(self) -> None:
        while not self._over.wait(2):
            # The next sweep repeats what a killed process did not do.
            with suppress(DBAPIError, OSError, ClientError, RuntimeError):
                for statement in LATER:
                    self._execute(statement)
                self._most_granted = max(self._most_granted, self._scalar(GRANTED))
                self._target.invoke("ReconcileTaskFunction", {})
                self.counts["sweeps"] += 1


def play(options: argparse.Namespace) -> Found:
    """Play the scenario on a new stack."""
    tasks = options.tasks or TASKS
    console.print(f"{tasks} roadmaps of {CONCEPTS} concepts at once, {SLOTS} slots")
    with ConverseServer(slowly) as model:
        return soak(lambda stack, deadline: Crowd(stack, deadline, model, tasks), {})
