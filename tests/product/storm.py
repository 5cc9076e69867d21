"""A storm: the product and this system work on the same roadmaps at the same time.

The product performs its 21 operations, restarts, processes sibling tasks, and its learners save quiz attempts
and read pages; this system retries, regenerates, recovers, cancels and sweeps. Then it is checked that
- no operation of the product failed;
- no attempt was claimed for a roadmap while the product marked one of its tasks as its own work;
- a reader found one row of resources, and one quiz, per concept at each moment;
- no task with an open attempt was seen at the step `recovery_failed`;
- the invariants hold at the end.

The steps run in this process; executions are threads.
"""

import random
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from queue import Empty
from typing import Any

from sqlalchemy import text

from migrations import migrate, use_time_zone
from roadmap_content.api.cancel import cancel_task
from roadmap_content.capabilities.recoveries.advance import advance
from roadmap_content.capabilities.recoveries.create import create
from roadmap_content.capabilities.recoveries.request import RecoveryFilter, RecoveryRequest
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import product_text_key
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope
from tests.product.operations import OPERATIONS, perform
from tests.product.product import NOW, Product
from tests.product.running import deadline
from tests.support.evidence import Log
from tests.support.factories import USER, framework_of
from tests.support.memory_s3 import MemoryS3
from tests.support.oracle import Broken, Oracle, OracleOfOne
from tests.support.pipeline import services_for
from tests.support.product_schema import FORMS
from tests.support.runs import QueuedRuns

ROADMAPS = 3
CONCEPTS = 8
WRITTEN = 4
"""The number of concepts of each roadmap that the product writes, too: all but one by the operations, and the
last by sibling tasks, because the product does not save one concept twice at the same time. Learners use the
others.
"""

RUNNERS = 4
HELD_SECONDS = 4.0
"""The time for which a sibling task is at work, at least."""

MARGIN_SECONDS = 1.5
"""Before the mark is removed, a claim that reads it late is not counted as one that ignored it."""

LOUD = text("SELECT clock_timestamp()")

DUPLICATES = """
SELECT concept_id, count(*) AS rows FROM {table} GROUP BY roadmap_id, concept_id HAVING count(*) > 1
"""

MARKED_FAILED = """
SELECT t.task_id FROM roadmap_tasks t JOIN content_attempts a USING (task_id, attempt)
WHERE t.current_step = 'recovery_failed' AND a.ended_at IS NULL AND t.attempt > 0
"""


class Storm:
    """All actors, and their observations."""

    def __init__(self, product: Product, services: Services, seed: int) -> None:
        self.product, self.services, self.runs = product, services, QueuedRuns()
        services.executions = self.runs
        self.seed = seed
        self.oracles = [self._oracle(number) for number in range(ROADMAPS)]
        self.over = threading.Event()
        self.to_perform: dict[int, list[str]] = defaultdict(list)
        """The operations of a roadmap's next steps: each is performed once before one is repeated."""

        self.performed: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self.marks: list[tuple[str, datetime, datetime]] = []

    # What the product does.

    def write(self, number: int, dice: random.Random) -> None:
        """Perform one of the 21 operations on a roadmap's first concepts."""
        if not self.to_perform[number]:
            self.to_perform[number] = dice.sample(list(OPERATIONS), len(OPERATIONS))
        name = self.to_perform[number].pop()
        roadmap_id = f"r-{number}"
        first, second = dice.sample(concepts(roadmap_id)[: WRITTEN - 1], 2)
        task_id = f"theirs-{number}"
        if name == "cancel a task" and dice.random() < 0.2:
            task_id = f"t-{number}"
        ids = {
            "roadmap_id": roadmap_id,
            "task_id": task_id,
            "user_id": USER,
            "concept_id": first,
            "other_concept_id": second,
        }
        perform(self.product.engine, name, ids)
        self.performed.add(name)
        if name in ("queue a task in Celery", "move a task to a step"):
            # The operations are in random order: without this, the task would be at work nearly always.
            self.product.execute("UPDATE roadmap_tasks SET status = 'failed' WHERE task_id = :t", t=task_id)

    def restart(self, dice: random.Random) -> None:
        """Read the tasks in `processing`; a moment later, mark each as failed."""
        found = self.product.rows("SELECT task_id FROM roadmap_tasks WHERE status = 'processing' LIMIT 20")
        self.over.wait(dice.random() * 0.3)
        with self.product.engine.begin() as connection:
            for row in found:
                marked = connection.execute(
                    text(
                        "UPDATE roadmap_tasks SET status = 'failed', current_step = 'recovery_failed', "
                        f"updated_at = {NOW} WHERE task_id = :t AND task_type = 'creation'"
                    ),
                    {"t": row["task_id"]},
                )
                require(marked.rowcount <= 1, "a restart's update")
        self.over.wait(dice.random())

    def work_on_sibling(self, dice: random.Random) -> None:
        """Process a single-concept retry: mark it, save the row, finish it."""
        roadmap_id = f"r-{dice.randrange(ROADMAPS)}"
        concept_id = concepts(roadmap_id)[WRITTEN - 1]
        task_id = f"sibling-{dice.getrandbits(48):x}"
        self.product.task(
            task_id,
            "processing",
            roadmap_id=roadmap_id,
            task_type="retry_quiz",
            concept_id=concept_id,
            content_type="quiz",
            celery=f"celery-{task_id}",
            age="0 seconds",
        )
        began = self.clock()
        self.over.wait(HELD_SECONDS * (0.5 + dice.random()))
        perform(self.product.engine, "save a quiz", {"roadmap_id": roadmap_id, "concept_id": concept_id})
        self.over.wait(MARGIN_SECONDS)
        ends = self.clock()
        self.product.execute(
            f"UPDATE roadmap_tasks SET status = 'completed', completed_at = {NOW} WHERE task_id = :t",
            t=task_id,
        )
        self.marks.append((roadmap_id, began, ends))
        self.over.wait(dice.random() * 8)

    def learn(self, dice: random.Random) -> None:
        """Open a quiz, and save an attempt later."""
        roadmap_id = f"r-{dice.randrange(ROADMAPS)}"
        concept_id = dice.choice(concepts(roadmap_id)[WRITTEN:])
        page = self.product.rows("SELECT quiz_id FROM quiz_metadata WHERE concept_id = :c", c=concept_id)
        require(len(page) <= 1, f"{len(page)} quizzes of {concept_id}")
        self.over.wait(dice.random())
        for row in page:
            self.product.answer(row["quiz_id"], f"{dice.getrandbits(64):x}")

    def read(self, dice: random.Random) -> None:
        """Look for a concept with two rows, a running attempt that a restart has marked, and an attempt that
        goes back or changes its execution.
        """
        for table in ("quiz_metadata", "resource_recommendation_metadata"):
            found = self.product.rows(DUPLICATES.format(table=table))
            require(not found, f"{table}: {found}")
        marked = self.product.rows(MARKED_FAILED)
        require(not marked, f"marked by a restart: {marked}")
        oracle = dice.choice(self.oracles)
        broken = [*oracle._i5(oracle.look())]  # noqa: SLF001 - other records are compared when nothing runs
        require(not broken, f"attempts: {broken}")
        self.over.wait(dice.random() * 0.02)

    def clock(self) -> datetime:
        with self.product.engine.connect() as connection:
            now: datetime = connection.execute(LOUD).scalar_one()
        return now.astimezone(UTC).replace(tzinfo=None)

    # What this system does. Refusals are its answers, not failures.

    def retry(self, dice: random.Random) -> None:
        number = dice.randrange(ROADMAPS)
        scope = WHOLE_TASK
        if dice.random() < 0.7:
            concept_id = dice.choice(concepts(f"r-{number}")[WRITTEN:])
            scope = Scope(concept_id, dice.choice(list(ContentType)), regenerate=True)
        start = user_start(USER)._replace(scope=scope)
        self.ours("retry", lambda: retry_task(self.services, f"t-{number}", USER, deadline(), start))
        self.over.wait(dice.random() * 0.5)

    def cancel(self, dice: random.Random) -> None:
        self.over.wait(5 * dice.random())
        task_id = f"t-{dice.randrange(ROADMAPS)}"
        self.ours(
            "cancel", lambda: cancel_task(self.services, task_id, USER, deadline(), f"user:{USER}", "storm")
        )

    def recover(self, dice: random.Random) -> None:
        """A recovery of all failed and cancelled tasks, to its end."""
        tasks = RecoveryFilter(status=["failed", "cancelled", "partial_failure"], q="t-")
        wanted = RecoveryRequest(
            filter=tasks, reason="storm", rate_per_minute=600, concurrency=ROADMAPS, canary=0, breaker=0
        )

        def recovery() -> None:
            recovery_id = create(self.services, wanted, "operator:o", deadline())
            query = "SELECT ended_at FROM content_recoveries WHERE recovery_id = :r"
            for _ in range(40):
                advance(self.services, recovery_id, deadline())
                (row,) = self.product.rows(query, r=recovery_id)
                if row["ended_at"] is not None or self.over.is_set():
                    return
                self.over.wait(0.5)

        self.ours("recovery", recovery)
        self.over.wait(3 * dice.random())

    def sweep(self, dice: random.Random) -> None:
        self.ours("sweep", lambda: reconcile(ReconcileRequest(), self.services, deadline()))
        self.over.wait(dice.random() * 2)

    def run_one(self, _dice: random.Random) -> None:
        """Run an execution to its end, unless it is stopped between two steps."""
        try:
            run = self.runs.waiting.get(timeout=0.2)
        except Empty:
            return
        while run.running and run.arn not in self.runs.stopped:
            run.advance(self.services)
        if stopped := run.arn in self.runs.stopped:
            run.status = "ABORTED"
        self.counts["runs stopped" if stopped else "runs"] += 1
        end = ExecutionEnd(execution_arn=run.arn, status=run.status)
        self.ours("end of a run", lambda: reconcile(ReconcileRequest(detail=end), self.services, deadline()))

    def ours(self, name: str, act: Callable[[], object]) -> None:
        """Act, and count the result or the refusal."""
        try:
            act()
            self.counts[name] += 1
        except ContentError as refusal:
            self.counts[f"{name}: {refusal.code}"] += 1

    # The whole.

    def go(self, enough: "Callable[[Storm], bool]") -> None:
        """Let all actors act until it is enough, then let all runs end."""
        actors: list[tuple[str, Callable[[random.Random], None]]] = [
            *((f"operations {n}", lambda dice, n=n: self.write(n, dice)) for n in range(ROADMAPS)),
            ("restart", self.restart),
            ("sibling", self.work_on_sibling),
            *((f"learner {n}", self.learn) for n in range(2)),
            ("reader", self.read),
            ("retry", self.retry),
            ("cancel", self.cancel),
            ("recover", self.recover),
            ("sweep", self.sweep),
        ]
        runners_over = threading.Event()
        threads = [
            threading.Thread(target=self._act, args=(*actor, self.over), daemon=True) for actor in actors
        ]
        runners = [
            threading.Thread(target=self._act, args=(f"runner {n}", self.run_one, runners_over), daemon=True)
            for n in range(RUNNERS)
        ]
        for thread in (*threads, *runners):
            thread.start()
        while not enough(self):
            time.sleep(0.1)
        self.over.set()
        for thread in threads:
            thread.join(120)
        runners_over.set()  # the actors start no further runs
        for thread in (*threads, *runners):
            thread.join(120)
            require(not thread.is_alive(), "an actor does not end")
        self.drain()

    def drain(self) -> None:
        while not self.runs.waiting.empty():
            self.run_one(random.Random(0))  # noqa: S311 - not used

    def _act(self, name: str, act: Callable[[random.Random], None], over: threading.Event) -> None:
        dice = random.Random(f"{self.seed} {name}")  # noqa: S311 - an order, not a secret
        kind = name.partition(" ")[0]
        while not over.is_set():
            try:
                act(dice)
                self.counts[kind] += 1
            except Exception as error:  # noqa: BLE001 - every error is a finding
                self.failures.append(f"{name}: {type(error).__name__}: {error}"[:600])

    def ignored_marks(self) -> list[dict[str, Any]]:
        """The attempts that were claimed while the product was processing a task of their roadmap."""
        found = []
        for roadmap_id, began, ends in self.marks:
            found += self.product.rows(
                "SELECT a.task_id, a.attempt, a.claimed_at FROM content_attempts a JOIN roadmap_tasks t "
                "USING (task_id) WHERE t.roadmap_id = :r AND a.claimed_at > :began "
                "AND a.claimed_at < CAST(:ends AS timestamp) - make_interval(secs => :margin)",
                r=roadmap_id,
                began=began,
                ends=ends,
                margin=MARGIN_SECONDS,
            )
        return found

    def heal(self) -> None:
        """Finish the product's work, then retry each task until nothing is missing."""
        self.product.execute(
            "UPDATE roadmap_tasks SET status = 'completed' "
            "WHERE attempt = 0 AND status IN ('processing', 'pending')"
        )
        for number in range(ROADMAPS):
            for _ in range(2):
                retry_task(self.services, f"t-{number}", USER, deadline(), user_start(USER))
                self.drain()
        for _ in range(2):
            reconcile(ReconcileRequest(), self.services, deadline())

    def broken(self) -> list[Broken]:
        """The violations of the invariants, of each task of ours."""
        return [
            broken
            for oracle in self.oracles
            for broken in (*oracle.at_any_time(), *oracle.at_rest(), *oracle.healed())
        ]

    def _oracle(self, number: int) -> Oracle:
        ids = concepts(f"r-{number}")
        bundle = {
            "task": {"task_id": f"t-{number}"},
            "roadmap": {"roadmap_id": f"r-{number}", "framework_data": framework_of(ids)},
            "content": [],
        }
        log = Log(injected=[f"seed {self.seed}"], rewritten=set(ids[:WRITTEN]))
        bucket = self.services.bucket
        return OracleOfOne(self.product.engine, bucket._client, bucket.name, bundle, log)  # noqa: SLF001


def concepts(roadmap_id: str) -> list[str]:
    return [f"{roadmap_id}:c-{number}" for number in range(1, CONCEPTS + 1)]


def require(holds: bool, finding: str) -> None:
    if not holds:
        raise AssertionError(finding)


def prepare(url: str) -> tuple[Product, Services]:
    """The product with its roadmaps and tasks, and this system beside it."""
    product = Product(url)
    product.install(FORMS["create_all"])
    migrate(url)
    with product.engine.begin() as connection:
        use_time_zone(connection, "Asia/Shanghai")
    for number in range(ROADMAPS):
        product.roadmap(f"r-{number}", concepts(f"r-{number}"))
        product.task(f"t-{number}", "failed", roadmap_id=f"r-{number}")
        product.task(f"theirs-{number}", "failed", roadmap_id=f"r-{number}")
    product.roadmap("r-other", ["r-other:c-1"])
    product.task("other", "partial_failure", roadmap_id="r-other")
    services = services_for(url)
    memory = MemoryS3()
    memory.client.create_bucket(Bucket="content")
    services.bucket = Bucket("content", memory.client)
    for number in range(ROADMAPS):
        for concept_id in concepts(f"r-{number}")[:WRITTEN]:  # the product stores a text before its row
            services.bucket.put(product_text_key(f"r-{number}", concept_id, 1), b"# Theirs\n\nA text.")
    return product, services


def untouched(product: Product) -> list[str]:
    """The rows of a task and a roadmap that nobody asked us to change."""
    return [line for lines in product.everything().values() for line in lines if '"r-other' in line]


def play(url: str, seed: int, enough: Callable[[Storm], bool]) -> list[str]:
    """Run the storm on an empty database, heal, and check; return each finding."""
    product, services = prepare(url)
    before = untouched(product)
    storm = Storm(product, services, seed)
    storm.go(enough)
    wrong = [*storm.failures, *map(str, storm.ignored_marks())]
    sys.stdout.write(f"seed {seed}: {dict(sorted(storm.counts.items()))}\n")
    storm.heal()
    wrong += map(str, storm.broken())
    if untouched(product) != before:
        wrong.append("rows changed that nobody asked to change")
    if never := OPERATIONS.keys() - storm.performed:
        wrong.append(f"not performed: {sorted(never)}")
    services.engine.dispose()
    product.engine.dispose()
    return wrong
