"""Histories: random sequences of operations and faults on one task, as a state machine of Hypothesis.

A history that breaks an invariant is shrunk and printed as the body of a test. Paste it into a function in
`test_histories.py`.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from roadmap_content.api.restores import Author, Restore
from roadmap_content.api.revisions import list_revisions
from roadmap_content.api.status import read_status
from roadmap_content.capabilities.recoveries.advance import advance, cancel, pause, resume
from roadmap_content.contracts.api.capacity import RetryAnswer
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.scope import WHOLE_TASK, Scope
from roadmap_content.state.tasks.task import read_task
from tests.faults.world import Scene, World
from tests.support.commits import How, Strike, When
from tests.support.evidence import TABLES, TYPES
from tests.support.factories import USER, bundle_of, concept_ids, content_of, tutorial
from tests.support.machine_model import Run
from tests.support.pipeline import SETTINGS, Pipeline

IDS = concept_ids(4)
NEIGHBOUR = "somebody else"
NEIGHBOURS_CONCEPT = "elsewhere"

ROUNDS = 8
"""Sweeps after which a recovery of two tasks must have ended."""

Control = Callable[[Services, str, Deadline], None]

strikes = st.builds(Strike, st.integers(0, 3), st.sampled_from(When), st.sampled_from(How))
concepts = st.sampled_from(IDS)
kinds = st.sampled_from(TYPES)
numbers = st.integers(0, 7)
"""An index counted from the last element, modulo the length: stays valid while a history shrinks."""


def _steal(_world: World, concept_id: str, kind: str) -> bytes:
    """Valid content with the id of a row of another user."""
    return json.dumps(
        _valid(kind, concept_id) | {_id(kind): _valid(kind, NEIGHBOURS_CONCEPT)[_id(kind)]}
    ).encode()


def _nul(_world: World, concept_id: str, kind: str) -> bytes:
    return json.dumps(_valid(kind, concept_id) | {"note": "\x00"}).encode()


def _cut_off(_world: World, concept_id: str, kind: str) -> bytes:
    return json.dumps(_valid(kind, concept_id)).encode()[:-10]


def _next_version(world: World, concept_id: str, kind: str) -> bytes:
    """Valid content; a tutorial gets the version after the highest."""
    if kind != "tutorial":
        return json.dumps(_valid(kind, concept_id)).encode()
    versions = [row["content_version"] for row in world.tutorials(concept_id)]
    return json.dumps(tutorial(concept_id, version=max(versions, default=0) + 1)).encode()


def _another_text(world: World, concept_id: str, kind: str) -> bytes:
    """For a tutorial, another text for an existing version."""
    content = _valid(kind, concept_id)
    if kind == "tutorial":
        content |= {"markdown": "another text", "tutorial_id": f"another {concept_id}"}
    return json.dumps(content).encode()


Stage = Callable[[World, str, str], bytes]
STAGED: dict[str, Stage] = {
    "an id of another user's": _steal,
    "NUL": _nul,
    "cut off": _cut_off,
    "the next version": _next_version,
    "another text of a version": _another_text,
}


def _valid(kind: str, concept_id: str) -> dict[str, Any]:
    return content_of(ContentType(kind), concept_id)


def _id(kind: str) -> str:
    return TABLES[kind][1]


class Histories(RuleBasedStateMachine):
    """One history of one task."""

    scene: ClassVar[Scene]

    world: World | None = None
    over = False
    """An invariant is broken already; further steps are skipped."""

    # The start.

    @initialize(
        count=st.integers(1, 3), staged=st.sets(st.tuples(concepts, kinds)), batch_size=st.integers(1, 3)
    )
    def load(self, count: int, staged: set[tuple[str, str]], batch_size: int) -> None:
        """Load a neighbour with content, and a roadmap with some staged items."""
        self.scene.empty()
        neighbour = Pipeline(self.scene.aside, "t-2")
        neighbour.load(bundle_of([NEIGHBOURS_CONCEPT], roadmap_id="r-2", task_id="t-2", user_id=NEIGHBOUR))
        neighbour.run()
        bundle = bundle_of(IDS[:count])
        for entry in bundle["content"]:
            for kind in TYPES:
                if (entry["concept_id"], kind) not in staged:
                    del entry[kind]
        self.world = World(self.scene, bundle)
        self.loaded = bundle
        self.world.services.settings = Settings(
            SETTINGS | {"BATCH_SIZE": str(batch_size), "EVENT_BUS": "bus"}
        )
        self.untried: set[tuple[str, str]] = set()
        self._check("load")

    # Executions.

    @rule()
    def start_by_hand(self) -> None:
        self._world.start_by_hand()
        self._check("start_by_hand")

    @rule(strike=st.none() | strikes)
    def retry(self, strike: Strike | None) -> None:
        """The user's retry. It may crash between the claim and StartExecution."""
        self._check("retry", self._world.attempt(lambda: self._retry(USER), strike), strike)

    @rule()
    def retry_twice(self) -> None:
        ended = [self._world.attempt(lambda: self._retry(USER)) for _ in range(2)]
        self._check("retry_twice", ended)

    @rule(
        concept_id=st.none() | concepts,
        kind=st.none() | kinds,
        regenerate=st.booleans(),
        strike=st.none() | strikes,
    )
    def retry_a_part(
        self, concept_id: str | None, kind: str | None, regenerate: bool, strike: Strike | None
    ) -> None:
        """The user's retry of a concept, a type, an item or everything, with or without saved items."""
        scope = Scope(concept_id, None if kind is None else ContentType(kind), regenerate)
        ended = self._world.attempt(lambda: self._retry(USER, scope), strike)
        self._check("retry_a_part", concept_id, kind, regenerate, ended, strike)

    @rule(number=numbers, steps=st.integers(1, 4))
    def advance(self, number: int, steps: int) -> None:
        run = self._running(number)
        for _ in range(steps):
            if run is not None and run.running:
                self._advance(run)

    @rule(number=numbers, strike=strikes, again=st.booleans())
    def advance_with_a_fault(self, number: int, strike: Strike, again: bool) -> None:
        run = self._running(number)
        if run is not None:
            self._advance(run, strike, again=again)

    @rule(number=numbers)
    def run_to_its_end(self, number: int) -> None:
        run = self._running(number)
        while run is not None and run.running:
            self._advance(run)

    @rule(number=numbers, told=st.booleans())
    def stop(self, number: int, told: bool) -> None:
        """StopExecution. The event of its end may be lost."""
        run = self._running(number)
        if run is not None:
            self._world.stop(run)
            self._check("stop", run.arn)
            if told:
                self.reconcile_what_ended(number=0)

    @rule(number=numbers)
    def redrive_in_the_console(self, number: int) -> None:
        run = self._pick(number)
        if run is not None:
            ended = self._world.attempt(lambda: self._world.services.executions.redrive(run.arn))
            self._check("redrive", run.arn, ended)

    @rule()
    def redrive_over_the_api(self) -> None:
        def redrive() -> RetryAnswer:
            world = self._world
            return redrive_task(world.services, world.task_id, USER, world.deadline(), user_start(USER))

        self._check("redrive_over_the_api", self._world.attempt(redrive))

    @rule(concept_id=concepts, kind=kinds, number=numbers, strike=st.none() | strikes)
    def restore(self, concept_id: str, kind: str, number: int, strike: Strike | None) -> None:
        """The user restores a revision of an item: a former one, or the current one."""
        world, item = self._world, Item(concept_id, ContentType(kind))
        found = list_revisions(world.services, world.task_id, USER, item, world.deadline()).items
        if found:
            revision_id = found[-1 - number % len(found)].revision_id
            world.log.restored.add((concept_id, kind))
            restore = Restore(world.services, item, revision_id, Author(f"user:{USER}", None))
            ended = world.attempt(lambda: restore.of_task(world.task_id, USER, world.deadline()), strike)
            self._check("restore", concept_id, kind, number, strike, ended)

    # Late and repeated deliveries.

    @rule(number=numbers, batch=numbers, strike=st.none() | strikes)
    def save_late(self, number: int, batch: int, strike: Strike | None) -> None:
        run = self._pick(number)
        if run is not None and run.requests:
            request = run.requests[batch % len(run.requests)]
            ended = self._world.attempt(lambda: self._world.save_again(request), strike)
            self._check("save_late", run.arn, request.batch.number, strike, ended)

    @rule(number=numbers, batch=numbers)
    def generate_late(self, number: int, batch: int) -> None:
        run = self._pick(number)
        if run is not None and run.requests:
            request = run.requests[batch % len(run.requests)]
            ended = self._world.attempt(lambda: self._world.generate_again(run, request))
            self._check("generate_late", run.arn, request.batch.number, ended)

    @rule(number=numbers, strike=st.none() | strikes)
    def finalize_late(self, number: int, strike: Strike | None) -> None:
        run = self._pick(number)
        if run is not None and run.outcome is not None:
            ended = self._world.attempt(lambda: self._world.finalize_again(run), strike)
            self._check("finalize_late", run.arn, strike, ended)

    @rule(number=numbers)
    def plan_late(self, number: int) -> None:
        run = self._pick(number)
        if run is not None and run.planned is not None:
            self._check("plan_late", run.arn, self._world.attempt(lambda: self._world.plan_again(run)))

    # Repairs.

    @rule(strike=st.none() | strikes)
    def sweep(self, strike: Strike | None) -> None:
        self._check("sweep", self._world.attempt(self._world.reconcile, strike))

    @rule(number=numbers)
    def reconcile_what_ended(self, number: int) -> None:
        run = self._pick(number)
        if run is not None and not run.running:
            ended = self._world.attempt(lambda: self._world.reconcile(run))
            self._check("reconcile_what_ended", run.arn, ended)

    @rule()
    def a_minute_passes(self) -> None:
        self._world.let_a_minute_pass()
        self._check("a_minute_passes")

    # Recoveries.

    @rule(canary=st.integers(0, 1), budget=st.none() | st.just(1), strike=st.none() | strikes)
    def recover(self, canary: int, budget: int | None, strike: Strike | None) -> None:
        ended = self._world.attempt(lambda: self._world.recover(canary, budget), strike)
        self._check("recover", canary, budget, strike, ended)

    @rule(number=numbers, strike=st.none() | strikes)
    def advance_a_recovery(self, number: int, strike: Strike | None) -> None:
        """As at the end of one of its runs. It may crash."""
        if (recovery_id := self._recovery(number)) is not None:
            world = self._world
            ended = world.attempt(lambda: advance(world.services, recovery_id, world.deadline()), strike)
            self._check("advance_a_recovery", recovery_id, strike, ended)

    @rule(number=numbers, change=st.sampled_from([pause, resume, cancel]), strike=st.none() | strikes)
    def control(self, number: int, change: Control, strike: Strike | None) -> None:
        if (recovery_id := self._recovery(number)) is not None:
            world = self._world
            ended = world.attempt(lambda: change(world.services, recovery_id, world.deadline()), strike)
            self._check("control", change.__name__, recovery_id, strike, ended)

    @rule()
    def delete_other_task(self) -> None:
        self._world.delete_other_task()
        self._check("delete_other_task")

    @rule(down=st.booleans())
    def bus(self, down: bool) -> None:
        """EventBridge stops responding, or responds again."""
        self._world.bus.down = down
        self._check("bus", down)

    # Concurrent changes by the product and by users.

    @rule()
    def load_again(self) -> None:
        """Load the bundle again, which stages its content again."""
        self._world.pipeline.load(self.loaded)
        self._check("load_again")

    @rule(concept_id=concepts, kind=kinds, staged=st.sampled_from(sorted(STAGED)))
    def stage(self, concept_id: str, kind: str, staged: str) -> None:
        """The product replaces staged content."""
        world = self._world
        body = STAGED[staged](world, concept_id, kind)
        world.pipeline.stage(Item(concept_id, ContentType(kind)), body)
        world.log.unstaged[concept_id, kind] += 1
        self.untried.add((concept_id, kind))
        self._check("stage", concept_id, kind, staged)

    @rule(concept_id=concepts, kind=kinds)
    def lose_what_is_staged(self, concept_id: str, kind: str) -> None:
        world = self._world
        world.pipeline.bucket.delete(f"staged/items/r-1/{kind}/{concept_id}.json")
        world.log.unstaged[concept_id, kind] += 1
        self._check("lose_what_is_staged", concept_id, kind)

    @rule(concept_id=concepts)
    def publish_a_version(self, concept_id: str) -> None:
        """The product writes the next version of a tutorial itself."""
        if self._world.publish(concept_id):
            self._check("publish_a_version", concept_id)

    @rule(concept_id=concepts)
    def add_a_concept(self, concept_id: str) -> None:
        def add(framework: dict[str, Any]) -> None:
            if concept_id not in self._world.pipeline.concepts():
                framework["stages"][-1]["modules"][-1]["concepts"].insert(0, {"concept_id": concept_id})

        self._world.change_framework(add)
        self._check("add_a_concept", concept_id)

    @rule(concept_id=concepts)
    def remove_a_concept(self, concept_id: str) -> None:
        def remove(framework: dict[str, Any]) -> None:
            if self._world.pipeline.concepts().keys() - {concept_id}:
                for stage in framework["stages"]:
                    for module in stage["modules"]:
                        module["concepts"] = [
                            node for node in module["concepts"] if node["concept_id"] != concept_id
                        ]

        self._world.change_framework(remove)
        self._check("remove_a_concept", concept_id)

    @rule(status=st.sampled_from(["pending", "generating", "completed", "failed"]))
    def overwrite_statuses(self, status: str) -> None:
        """The product writes its own statuses and an unknown field."""

        def overwrite(framework: dict[str, Any]) -> None:
            for stage in framework["stages"]:
                for module in stage["modules"]:
                    module["concepts"].reverse()
                    for node in module["concepts"]:
                        node |= {
                            "content_status": status,
                            "quiz_status": status,
                            "quiz_id": None,
                            "note": status,
                        }

        self._world.change_framework(overwrite)
        self._check("overwrite_statuses", status)

    @rule(concept_id=concepts, kind=kinds)
    def remove_rows(self, concept_id: str, kind: str) -> None:
        """The product deletes an item's rows. Its staged content may never have been saved."""
        self._world.remove_rows(concept_id, kind)
        self.untried.add((concept_id, kind))
        self._check("remove_rows", concept_id, kind)

    @rule()
    def cancel(self) -> None:
        self._world.cancel()
        self._check("cancel")

    @rule(deleted=st.booleans())
    def delete_roadmap(self, deleted: bool) -> None:
        """The product soft-deletes the roadmap, or restores it."""
        self._world.delete_roadmap(deleted=deleted)
        self._check("delete_roadmap", deleted)

    @rule(call=st.sampled_from(["retry", "redrive", "status"]))
    def intrude(self, call: str) -> None:
        world = self._world
        calls: dict[str, Callable[[], object]] = {
            "retry": lambda: self._retry(NEIGHBOUR),
            "redrive": lambda: redrive_task(
                world.services, world.task_id, NEIGHBOUR, world.deadline(), user_start(NEIGHBOUR)
            ),
            "status": lambda: transact(
                world.services.engine,
                lambda connection: read_status(
                    connection,
                    read_task(connection, world.task_id, NEIGHBOUR),
                    world.services.framework_cache,
                ),
                world.deadline(),
            ),
        }
        ended = world.attempt(calls[call])
        world.log.intrusions.append((call, "refused" if ended == "TaskNotFound" else ended))
        self._check("intrude", call)

    # The end.

    def teardown(self) -> None:
        """Without further faults, one reconcile corrects the records, and one retry completes the task."""
        world = self.world
        if world is None:
            return
        try:
            if self.over:
                return
            for run in [run for run in world.runs if run.running]:
                world.stop(run)
            world.delete_roadmap(deleted=False)
            world.bus.down = False
            self._reconcile_once()
            self._end_recoveries()
            if self.untried:
                # Content that was staged last may not have been refused yet, so its fault may still exist.
                self._retry_once()
            self._retry_once()
            world.oracle.require(world.oracle.healed(), world.oracle.at_rest())
            world.reconcile()
            world.oracle.require(world.oracle.accounted())
        finally:
            world.close()

    def _reconcile_once(self) -> None:
        world = self._world
        world.let_a_minute_pass()
        world.reconcile()
        world.log.injected.append("reconcile, at the end")
        self._run_all()  # the sweep has started what was claimed before a crash
        if world.pipeline.task()["attempt"] > 0:
            world.oracle.require(world.oracle.at_any_time(), world.oracle.at_rest())

    def _end_recoveries(self) -> None:
        """Resume paused recoveries, and sweep until every recovery has ended."""
        world = self._world
        for recovery_id in world.recovery_ids():
            world.attempt(partial(resume, world.services, recovery_id, world.deadline()))
        for _ in range(ROUNDS):
            world.let_a_minute_pass()
            world.reconcile()
            self._run_all()

    def _retry_once(self) -> None:
        self._retry(USER)
        self._world.log.injected.append("retry, at the end")
        self._run_all()

    # Helpers.

    @property
    def _world(self) -> World:
        assert self.world is not None
        return self.world

    def _retry(self, user_id: str, scope: Scope = WHOLE_TASK) -> RetryAnswer:
        world = self._world
        start = user_start(user_id)._replace(scope=scope)
        return retry_task(world.services, world.task_id, user_id, world.deadline(), start)

    def _advance(self, run: Run, strike: Strike | None = None, *, again: bool = True) -> None:
        state, batch = run.state, run.batch
        self._world.advance(run, strike, again=again)
        self._check("advance", run.arn, state, batch, strike, "→", run.state, run.status)

    def _run_all(self) -> None:
        for run in [run for run in self._world.runs if run.running]:
            while run.running:
                self._advance(run)

    def _recovery(self, number: int) -> str | None:
        """A recovery, counted from the last."""
        found = self._world.recovery_ids()
        return found[-1 - number % len(found)] if found else None

    def _pick(self, number: int) -> Run | None:
        runs = self._world.runs
        return runs[-1 - number % len(runs)] if runs else None

    def _running(self, number: int) -> Run | None:
        running = [run for run in self._world.runs if run.running]
        return running[-1 - number % len(running)] if running else None

    def _check(self, *what: object) -> None:
        """Log the step, and check the invariants that hold at any time."""
        self._world.log.injected.append(" ".join(map(str, what)))
        self.over = True
        self._world.oracle.require(self._world.oracle.at_any_time())
        self.over = False
