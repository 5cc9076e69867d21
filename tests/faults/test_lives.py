"""A task has lives: an erasure ends one, and so does the product when it deletes the row and makes it again.
Messages of one life that arrive late (a step, an event, a console's redrive) write nothing into the next.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from roadmap_content.api.cancel import cancel_task
from roadmap_content.contracts.errors import ContentError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest, reconcile
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, await_redrive
from roadmap_content.runs.steps.finalize import finalize_task
from roadmap_content.runs.steps.generate import generate_content
from roadmap_content.runs.steps.plan import plan_batches
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.scope import Scope
from tests.faults.world import Scene, World
from tests.support.erasing import erased_at_last, rows_with
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.machine_model import Run, State

SEED = int(os.environ.get("FAULTS_SEED", "1"))
IDS = concept_ids(3)
UNNAMED = ("content_sweeps", "content_installation", "content_schema_version", "content_token_hours")
"""Tables that a sweep writes, or with rows of nobody."""

Message = Callable[[Deadline], object]


class Life:
    """One life of the task, with every message that its executions have sent."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self.dice = world, dice
        self.messages: list[Message] = []
        self.arrivals: list[Message] = []
        """Steps of executions that claim their attempt themselves. Nothing shows their life."""

        self.before = len(world.runs)
        self.after: int | None = None

    def live(self) -> None:
        """Start, advance, cancel and regenerate at random; at least one run has ended then."""
        self.retry()
        for _ in range(self.dice.randrange(2, 7)):
            self.dice.choice([self.retry, self.retry, self.cancel, self.advance, self.run_all, self.hand])()
        self.run_all()
        self.after = len(self.world.runs)

    def retry(self, *, regenerate: bool | None = None) -> None:
        scope = Scope(regenerate=self.dice.random() < 0.4 if regenerate is None else regenerate)
        start = user_start(USER)._replace(scope=scope)
        self.try_to(lambda: retry_task(self.services, self.world.task_id, USER, self.deadline(), start))

    def cancel(self) -> None:
        subject = self.services, self.world.task_id, USER, self.deadline()
        self.try_to(lambda: cancel_task(*subject, f"user:{USER}", None))

    def hand(self) -> None:
        self.world.start_by_hand()

    def advance(self) -> None:
        for run in self.runs:
            for _ in range(self.dice.randrange(4)):
                self.step(run)

    def run_all(self) -> None:
        for run in self.runs:
            while run.going:
                self.step(run)
            if run.status == "RUNNING":
                run.status = "FAILED"

    def step(self, run: Run) -> None:
        if not run.going:
            return
        services, state = self.services, run.state
        if state is State.PLAN:
            planning = run.plan_request()
            known = self.messages if run.input.attempt else self.arrivals
            known.append(partial(plan_batches, planning, services))
        elif state is State.FINALIZE:
            ending = run.finalize_request()
            known = self.messages if ending.plan or ending.input.attempt else self.arrivals
            known.append(partial(finalize_task, ending, services))
            end = ExecutionEnd(
                execution_arn=run.arn,
                status=self.dice.choice(["FAILED", "ABORTED", "TIMED_OUT"]),
                input=run.input.model_dump_json(),
                started_at=run.started_at,
            )
            ended = ReconcileRequest(detail=end, time=datetime.now(UTC))
            self.messages.append(partial(reconcile, ended, services))
        else:
            request = run.requests[run.batch]
            for work in (generate_content, save_batch):
                self.messages.append(partial(work, request, services))
        run.advance(services)
        # Nothing says that an execution which never had an attempt is of an earlier life.
        if run.outcome is not None and not run.outcome.complete and run.outcome.attempt is not None:
            execution = run.execution().model_copy(update={"redrive_count": run.redrives + 1})
            redriven = AwaitRedriveRequest(outcome=run.outcome, execution=execution)
            self.messages.append(partial(await_redrive, redriven, services))

    def again(self, *, arriving: bool) -> None:
        """Deliver every message once more, in any order, while its execution runs, or not."""
        messages = self.messages + (self.arrivals if arriving else [])
        self.dice.shuffle(messages)
        for message in messages:
            for run in self.runs:
                run.status = self.dice.choice(["RUNNING", "FAILED"])
            self.try_to(partial(message, self.deadline()))

    def try_to(self, work: Callable[[], object]) -> None:
        with suppress(ContentError):  # most are refused; what counts is what they wrote
            work()

    def deadline(self) -> Deadline:
        return self.world.deadline()

    @property
    def services(self) -> Services:
        return self.world.services

    @property
    def runs(self) -> list[Run]:
        found = self.world.runs[self.before : self.after]
        return [run for run in found if run.input.task_id == self.world.task_id]

    def event_ids(self) -> set[str]:
        return {row["event_id"] for row in self.world.pipeline.rows("SELECT event_id FROM content_events")}


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    with closing(Scene(database_url, "content")) as scene:
        yield scene


def state_of(world: World, *, texts: bool = True) -> set[tuple[str, str]]:
    """Every row and key, but a sweep's notes about itself."""
    every = rows_with(world.pipeline.engine, "").items()
    rows = {(table, row) for table, rows in every if table not in UNNAMED for row in rows}
    keys = [entry.key for entry in world.pipeline.bucket.entries("")]
    return rows | {("objects", key) for key in keys if texts or not key.endswith(".md")}


def bundle_with_some_content(dice: random.Random) -> dict[str, Any]:
    bundle = bundle_of(IDS)
    for entry in bundle["content"]:
        for kind in ("tutorial", "resources", "quiz"):
            if dice.random() < 0.5:
                del entry[kind]
    return bundle


@pytest.mark.parametrize("seed", range(SEED, SEED + 12))
@pytest.mark.parametrize("end", ["erased", "erased with the product's rows", "deleted by the product"])
def test_an_earlier_life_writes_nothing_into_the_next(scene: Scene, end: str, seed: int) -> None:
    dice = random.Random(f"{seed} {end}")  # noqa: S311 - not a secret
    scene.empty()
    bundle = bundle_with_some_content(dice)
    with closing(World(scene, bundle)) as world:
        first = Life(world, dice)
        is_deleted = end == "deleted by the product"
        # A late Save may store a text whose manifest is still there. A sweep removes what no row names.
        state = partial(state_of, world, texts=not is_deleted)
        first.live()
        ids = first.event_ids()

        if is_deleted:
            world.pipeline.execute("DELETE FROM roadmap_tasks WHERE task_id = :id", id=world.task_id)
        else:
            product_rows = end != "erased"
            answer = erased_at_last(scene.aside.engine, world.services, USER, product_rows=product_rows)
            assert answer.complete
        before = state()
        first.again(arriving=True)
        assert state() ^ before == set(), (seed, "after its end")

        if end != "erased":
            world.pipeline.load({**bundle, "content": []})
            if end == "erased with the product's rows":
                assert world.pipeline.task()["attempt"] == 0
            before = state()
            first.again(arriving=False)
            assert state() ^ before == set(), (seed, "after the row was made again")

        second = Life(world, dice)
        second.retry(regenerate=True)  # also if nothing is missing
        second.advance()
        assert second.event_ids() - ids
        assert is_deleted or not second.event_ids() & ids
        before = state()
        first.again(arriving=False)
        assert state() ^ before == set(), (seed, "beside the next life")
        second.run_all()
        before = state()
        first.again(arriving=False)
        assert state() ^ before == set(), (seed, "after the next life's run")
