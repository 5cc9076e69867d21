"""Admission: the next attempt, and the cost of an admission and of a claim, on real PostgreSQL."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from secrets import randbits
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, TextClause, text

from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from roadmap_content.contracts.api.capacity import QueuePlace
from roadmap_content.contracts.errors import NotRedrivableError
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage
from roadmap_content.contracts.states import Cause, QueueClass, QueueState
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.state.failures.failures import record_failures
from roadmap_content.state.queue import queue
from roadmap_content.state.queue.admission import admit_waiting, start_admitted
from roadmap_content.state.queue.capacity import Work, lock_capacity
from roadmap_content.state.queue.order import granted_batches
from roadmap_content.state.queue.place import read_place
from roadmap_content.state.queue.queue import RECENT_MINUTES
from roadmap_content.state.tasks.attempts import AttemptStart, NewAttempt
from tests.integration.test_concurrency import at_once
from tests.support.admission_rules import User, expected_users
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.pipeline import Pipeline, RecordedExecutions, services_for
from tests.support.requests_to_api import Ask

INTERACTIVE, BULK = QueueClass.INTERACTIVE, QueueClass.BULK
LIMIT = granted_batches(1)
"""The limit of the grants with one slot."""

TASK = "INSERT INTO roadmap_tasks (task_id, user_id, status, attempt) VALUES (:task, :user, 'processing', 1)"


class Queue:
    """Attempts in the queue, without executions. By default, one attempt takes the whole capacity."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._engine = pipeline.services.engine
        self._tasks = 0
        self.resume()

    def stop(self) -> None:
        self._pipeline.execute("UPDATE content_capacity SET stopped_reason = 'stopped by a test'")

    def resume(self, slots: int = 1) -> None:
        """Admit attempts, with this number of slots."""
        self._pipeline.execute(
            "UPDATE content_capacity SET stopped_reason = NULL, slots = :slots", slots=slots
        )

    def claimed(self, user: str) -> str:
        """A new task of a user, with no attempt in the queue yet; its id begins with the user's."""
        self._tasks += 1
        task = f"{user}-{self._tasks}"
        self._pipeline.execute(TASK, task=task, user=user)
        return task

    def enter(
        self,
        user: str,
        tokens: int = 100,
        queue_class: QueueClass = INTERACTIVE,
        grants: int = LIMIT,
        tenant: str | None = None,
        state: QueueState = QueueState.WAITING,
        task: str | None = None,
    ) -> str:
        """Put a task of a user into the queue, a new one by default; return its id."""
        task = task or self.claimed(user)
        cause = Cause.RECOVERY if queue_class is BULK else Cause.RETRY
        new = NewAttempt(task, 1, f"arn:{task}", AttemptStart("user:u", cause, tenant=tenant))
        with self._engine.begin() as connection:
            queue.enqueue(connection, new, state, Work(tokens, grants), most=0)
        return task

    def replace(self, users: Sequence[User], slots: int) -> None:
        """Replace the whole queue: of each user at most one attempt waits, and one is at work."""
        for table in ("content_queue", "content_queue_keys", "content_attempts", "roadmap_tasks"):
            self._pipeline.execute(f"DELETE FROM {table}")
        for user in users:
            name = user.queue_key.removeprefix("user:")
            if user.grants is not None:
                state = QueueState.RUNNING
                self.enter(name, queue_class=QueueClass(user.queue_class), grants=user.grants, state=state)
            if user.waits:
                self.enter(name, queue_class=QueueClass(user.queue_class), grants=1)
        self.pass_minutes(RECENT_MINUTES)
        for user in users:
            self._pipeline.execute(
                "UPDATE content_queue_keys SET virtual_time = :virtual_time"
                " WHERE class = :queue_class AND queue_key = :queue_key",
                **{name: getattr(user, name) for name in ("virtual_time", "queue_class", "queue_key")},
            )
            if user.is_recent:
                self._pipeline.execute(
                    "UPDATE content_queue SET enqueued_at = now()"
                    " WHERE class = :queue_class AND queue_key = :queue_key AND state <> 'waiting'",
                    queue_class=user.queue_class,
                    queue_key=user.queue_key,
                )
        self.resume(slots)

    def pass_minutes(self, minutes: int) -> None:
        """Let the times of the queue be so long ago."""
        for column in ("enqueued_at", "ended_at"):
            sql = f"UPDATE content_queue SET {column} = {column} - make_interval(mins => :minutes)"
            self._pipeline.execute(sql, minutes=minutes)

    def admit(self, most: int = 1_000) -> list[str]:
        with self._engine.begin() as connection:
            lock_capacity(connection)
            return [one.task_id for one in queue.admit(connection, most)]

    def end(self, task: str, tokens: int = 0) -> None:
        self._pipeline.execute(
            "UPDATE content_attempts SET tokens = :tokens WHERE task_id = :task", task=task, tokens=tokens
        )
        with self._engine.begin() as connection:
            queue.release(connection, task, 1)

    def serve(self, most: int = 1_000) -> Iterator[str]:
        """Admit and end attempts, one at a time, until none waits; yields their tasks."""
        for _ in range(most):
            admitted = self.admit()
            if not admitted:
                return
            (task,) = admitted
            yield task
            self.end(task)

    def leave(self, task: str) -> bool:
        """Remove a waiting attempt, as its cancellation does."""
        with self._engine.begin() as connection:
            return queue.leave_queue(connection, task, 1)

    def tidy(self) -> None:
        """End the attempts of deleted tasks, as a sweep does."""
        with self._engine.begin() as connection:
            queue.tidy_queue(connection)

    def virtual_time(self, user: str) -> float:
        (row,) = self._pipeline.rows(
            "SELECT virtual_time FROM content_queue_keys"
            " WHERE queue_key = 'user:' || :user AND class = 'interactive'",
            user=user,
        )
        return float(row["virtual_time"])

    def queue_class(self, task: str) -> str:
        (row,) = self._pipeline.rows("SELECT class FROM content_queue WHERE task_id = :task", task=task)
        return str(row["class"])

    def at_work(self) -> list[str]:
        """The tasks that were admitted and have not ended."""
        sql = "SELECT task_id FROM content_queue WHERE state NOT IN ('waiting', 'ended') ORDER BY task_id"
        return [row["task_id"] for row in self._pipeline.rows(sql)]


@pytest.fixture
def waiting(pipeline: Pipeline) -> Queue:
    """An empty queue with one slot."""
    return Queue(pipeline)


def users_of(tasks: Sequence[str]) -> str:
    """The users of tasks, one letter each."""
    return "".join(task.partition("-")[0] for task in tasks)


def test_users_share_the_capacity_by_tokens(waiting: Queue) -> None:
    """One user came first, with twice as many attempts of half the size."""
    for _ in range(8):
        waiting.enter("a", tokens=100)
    for _ in range(4):
        waiting.enter("b", tokens=200)
    served = users_of(list(waiting.serve()))
    assert len(served) == 12
    for end in range(3, 13, 3):  # each third of the time contains the same share of both
        assert Counter(served[:end]) == {"a": 2 * end // 3, "b": end // 3}


def test_a_tenant_replaces_the_user(waiting: Queue) -> None:
    for number in range(4):
        waiting.enter(f"u{number}", tenant="many ids")
        waiting.enter("b")
    first = users_of(list(waiting.serve(most=4)))
    assert first.count("b") == 2


def test_long_tenants_with_the_same_beginning_are_different(waiting: Queue, pipeline: Pipeline) -> None:
    for end in "ab":
        waiting.enter("u", tenant="t" * 200 + end)
    first, second = queue_keys(pipeline)
    assert first[:200] == second[:200]
    assert first != second


def test_users_who_arrive_between_two_admissions_are_served_in_the_order_of_their_arrival(
    waiting: Queue, pipeline: Pipeline
) -> None:
    entered = [waiting.enter(user) for user in "dbace"]
    assert [place(pipeline, task).position for task in entered] == [1, 2, 3, 4, 5]
    assert list(waiting.serve()) == entered


def test_the_attempts_of_a_user_are_admitted_in_the_order_of_their_claims(waiting: Queue) -> None:
    entered = [waiting.enter("a") for _ in range(12)]
    assert list(waiting.serve()) == entered


def test_new_users_do_not_starve_a_user_with_a_large_counter(waiting: Queue) -> None:
    for _ in range(5):
        waiting.enter("z", tokens=1_000)
    served = list(waiting.serve(most=1))
    for number in range(12):  # more arrive than are served
        waiting.enter(f"n{number}")
        waiting.enter(f"m{number}")
        served += waiting.serve(most=1)
    assert served[0] == "z-1"
    assert "z-2" in served


def test_a_user_who_returns_has_saved_no_credit(waiting: Queue) -> None:
    waiting.enter("a")
    list(waiting.serve())
    for _ in range(3):
        waiting.enter("b", tokens=1_000)
    list(waiting.serve(most=2))
    waiting.enter("a")
    assert waiting.virtual_time("a") == waiting.virtual_time("b") + 1


@pytest.mark.parametrize("at_work", [False, True], ids=["waiting", "at work"])
def test_a_second_attempt_does_not_raise_the_counter(waiting: Queue, at_work: bool) -> None:
    waiting.stop()
    entered = [waiting.enter("a", tokens=1_000), waiting.enter("b")]
    waiting.resume(slots=2 if at_work else 1)
    assert waiting.admit() == (entered if at_work else entered[:1])
    before = waiting.virtual_time("b")
    assert before < waiting.virtual_time("a")
    waiting.enter("b")
    assert waiting.virtual_time("b") == before


@pytest.mark.parametrize("at_work", [False, True], ids=["no work", "at work"])
def test_a_pause_gives_no_credit_and_takes_none_from_a_user_at_work(
    waiting: Queue, pipeline: Pipeline, at_work: bool
) -> None:
    first = waiting.enter("a", queue_class=BULK, state=QueueState.RUNNING)
    if not at_work:
        waiting.end(first)
    waiting.enter("b", queue_class=BULK, state=QueueState.RUNNING)
    waiting.enter("a", queue_class=BULK)
    pipeline.execute("UPDATE content_queue_keys SET virtual_time = 1_000 WHERE queue_key = 'user:b'")
    pipeline.execute("UPDATE content_queue_keys SET virtual_time = 1 WHERE queue_key = 'user:a'")
    for change in (queue.hold_attempts, queue.return_attempts):
        with pipeline.services.engine.begin() as connection:
            change(connection, "user:u")
        waiting.resume(slots=9)
        waiting.admit()  # after the pause, none of theirs waits
    counters = pipeline.rows("SELECT queue_key, virtual_time FROM content_queue_keys WHERE class = 'bulk'")
    by_key = {row["queue_key"]: row["virtual_time"] for row in counters}
    assert (by_key["user:a"] < by_key["user:b"]) is at_work


@pytest.mark.parametrize("used", [300, 40], ids=["more", "less"])
def test_the_end_corrects_the_charge_once(waiting: Queue, used: int) -> None:
    task = waiting.enter("a", tokens=100)
    before = waiting.virtual_time("a")
    waiting.admit()
    assert waiting.virtual_time("a") == before + 100
    for _ in range(3):
        waiting.end(task, tokens=used)
        assert waiting.virtual_time("a") == before + used


def test_without_reported_tokens_the_estimate_stays(waiting: Queue) -> None:
    waiting.enter("a", tokens=100)
    before = waiting.virtual_time("a")
    list(waiting.serve())
    assert waiting.virtual_time("a") == before + 100


def test_a_waiting_attempt_that_ends_is_not_charged(waiting: Queue) -> None:
    waiting.enter("b")
    task = waiting.enter("a", tokens=100)
    before = waiting.virtual_time("a")
    waiting.end(task, tokens=60)
    assert waiting.virtual_time("a") == before


def test_the_plan_corrects_the_estimate_and_frees_slots(waiting: Queue, pipeline: Pipeline) -> None:
    task, other = waiting.enter("a", tokens=100), waiting.enter("b")
    before = waiting.virtual_time("a")
    assert waiting.admit() == [task]
    with pipeline.services.engine.begin() as connection:
        confirmed = queue.record_running(
            connection, task, 1, f"arn:{task}", Work(tokens=30, grants=LIMIT - 1)
        )
    assert confirmed is not None
    assert confirmed.freed
    assert waiting.virtual_time("a") == before + 30
    assert waiting.admit() == [other]
    waiting.end(task, tokens=50)
    assert waiting.virtual_time("a") == before + 50


def test_an_attempt_that_left_the_queue_does_not_hold_up_the_next(waiting: Queue) -> None:
    waiting.stop()
    left, other = waiting.enter("a"), waiting.enter("b")
    waiting.resume()
    assert waiting.leave(left)
    assert waiting.admit() == [other]
    assert not waiting.leave(other), "it is at work"
    assert waiting.at_work() == [other]


def test_an_attempt_that_leaves_while_an_admission_chooses_it_is_passed_over(
    waiting: Queue, pipeline: Pipeline
) -> None:
    """The schema would refuse it, and the whole admission."""
    waiting.stop()
    left, other = waiting.enter("a"), waiting.enter("b")
    waiting.resume()
    with pipeline.engine.connect() as cancelling, ThreadPoolExecutor(1) as pool:
        with cancelling.begin():
            assert queue.leave_queue(cancelling, left, 1)
            admitted = pool.submit(waiting.admit)
            assert becomes_true(lambda: bool(processes_waiting_for(cancelling)), 60)
        assert admitted.result() == [other]


def test_a_late_plan_does_not_bring_an_ended_attempt_back(waiting: Queue, pipeline: Pipeline) -> None:
    task = waiting.enter("a")
    assert waiting.admit() == [task]
    waiting.end(task)
    with pipeline.services.engine.begin() as connection:
        assert queue.record_running(connection, task, 1, f"arn:{task}", Work(1, 1)) is None
    assert waiting.at_work() == []


def test_a_late_plan_of_an_earlier_life_does_not_confirm_the_start_of_the_present_one(
    waiting: Queue, pipeline: Pipeline
) -> None:
    task = waiting.enter("a")
    assert waiting.admit() == [task]
    with pipeline.services.engine.begin() as connection:
        assert queue.record_running(connection, task, 1, "arn:earlier", Work(1, 1)) is None
    assert pipeline.rows("SELECT state FROM content_queue") == [{"state": "starting"}]


def test_the_next_attempt_of_a_task_ends_the_entry_before_it(waiting: Queue, pipeline: Pipeline) -> None:
    waiting.stop()
    task = waiting.enter("a")
    following = NewAttempt(task, 2, None, AttemptStart("user:a", Cause.RETRY))
    with pipeline.services.engine.begin() as connection:
        queue.enqueue(connection, following, QueueState.WAITING, Work(1, 1), most=0)
    entries = pipeline.rows("SELECT attempt, state FROM content_queue ORDER BY attempt")
    assert [(row["attempt"], row["state"]) for row in entries] == [(1, "ended"), (2, "waiting")]


def test_an_attempt_that_is_released_twice_frees_its_slots_once(waiting: Queue) -> None:
    first, *others = [waiting.enter("a") for _ in range(3)]
    assert waiting.admit() == [first]
    waiting.end(first)
    assert waiting.admit() == others[:1]
    waiting.end(first)
    assert waiting.admit() == []
    assert waiting.at_work() == others[:1]


def test_the_place_of_a_deleted_task_is_given_to_the_next(waiting: Queue, pipeline: Pipeline) -> None:
    deleted, next_one, also_deleted, last = [waiting.enter("a") for _ in range(4)]
    assert waiting.admit() == [deleted]
    for task in (deleted, also_deleted):
        pipeline.execute("DELETE FROM roadmap_tasks WHERE task_id = :task", task=task)
    waiting.tidy()
    ended = pipeline.rows("SELECT task_id, outcome FROM content_attempts WHERE ended_at IS NOT NULL")
    assert {row["task_id"]: row["outcome"] for row in ended} == {
        deleted: "cancelled",
        also_deleted: "cancelled",
    }
    assert list(waiting.serve()) == [next_one, last]


def test_the_place_of_an_attempt_before_the_task_s_is_given_to_the_next(
    waiting: Queue, pipeline: Pipeline
) -> None:
    """A release without a queue has claimed the later one."""
    replaced, next_one = waiting.enter("a"), waiting.enter("b")
    assert waiting.admit() == [replaced]
    pipeline.execute("UPDATE roadmap_tasks SET attempt = 2 WHERE task_id = :task", task=replaced)
    waiting.tidy()
    assert waiting.admit() == [next_one]


def test_an_attempt_that_enters_again_waits_behind_those_that_wait(waiting: Queue) -> None:
    """The attempts of its task were reset, as by a restored database."""
    first, second = waiting.enter("a"), waiting.enter("a")
    assert waiting.leave(first)
    waiting.enter("a", task=first)
    assert list(waiting.serve()) == [second, first]


def test_a_run_that_arrives_by_itself_does_not_hide_its_user_s_waiting_attempts(waiting: Queue) -> None:
    waiting.stop()
    task = waiting.enter("a")
    waiting.enter("a", state=QueueState.RUNNING, tokens=0, grants=0)
    waiting.resume()
    assert waiting.admit() == [task]


def test_only_a_waiting_attempt_is_admitted_without_a_slot(waiting: Queue, pipeline: Pipeline) -> None:
    task, other = waiting.enter("a"), waiting.enter("b")
    assert waiting.admit() == [task]
    with pipeline.services.engine.begin() as connection:
        assert queue.admit_free(connection, task, 1) == []
    assert waiting.admit() == []
    assert place(pipeline, other).position == 1


def test_a_stop_admits_nothing_and_its_end_admits_everybody(waiting: Queue) -> None:
    waiting.stop()
    entered = [waiting.enter("a", grants=1), waiting.enter("b", grants=1, queue_class=BULK)]
    assert waiting.admit() == []
    waiting.resume()
    assert sorted(waiting.admit()) == entered


def test_more_slots_admit_more_and_fewer_slots_take_none_away(waiting: Queue) -> None:
    entered = [waiting.enter(user, grants=1) for user in "abcdef"]
    assert waiting.admit() == entered[:LIMIT]
    waiting.resume(slots=2)
    assert len(waiting.admit()) == granted_batches(2) - LIMIT
    waiting.resume(slots=1)
    assert waiting.admit() == []
    assert len(waiting.at_work()) == granted_batches(2)


def test_the_place_above_the_slots_is_one_that_others_may_pass(waiting: Queue, pipeline: Pipeline) -> None:
    waiting.resume(slots=2)
    many = [waiting.enter("a", grants=1) for _ in range(3)]
    assert waiting.admit() == many[:2]
    found = place(pipeline, many[2])
    assert (found.position, found.at_least) == (1, True), "others without work may come before it"


@pytest.mark.parametrize(
    ("second_user", "change"),
    [
        pytest.param("b", lambda connection: queue.hold_attempts(connection, "user:u"), id="pause"),
        pytest.param("b", queue.tidy_queue, id="deleted"),
        pytest.param(
            "a",
            lambda connection: queue.record_running(connection, "a-2", 1, "arn:a-2", Work(1, 1)),
            id="redriven",
        ),
        pytest.param("b", lambda connection: claim_again(connection, "a-1"), id="made again"),
    ],
)
def test_an_admission_and_another_change_of_waiting_attempts_lock_in_one_order(
    waiting: Queue, pipeline: Pipeline, second_user: str, change: Callable[[Connection], object]
) -> None:
    """Regression: each waited for the other, until PostgreSQL ended one after a second."""
    waiting.stop()
    both = {waiting.enter(user, grants=1) for user in ("a", second_user)}
    pipeline.execute("UPDATE content_queue_keys SET virtual_time = 0 WHERE queue_key = 'user:b'")
    pipeline.execute("DELETE FROM roadmap_tasks")
    waiting.resume(slots=10)
    with pipeline.engine.connect() as admission, ThreadPoolExecutor(1) as pool:
        with admission.begin():
            lock_capacity(admission)
            first = queue.admit(admission, 1)
            changed = pool.submit(in_transaction, pipeline.services.engine, change)
            assert becomes_true(lambda: bool(processes_waiting_for(admission)), 60)
            admitted = first + queue.admit(admission, 1)
        changed.result()
    assert {one.task_id for one in admitted} == both


def claim_again(connection: Connection, task: str) -> None:
    """Claim the first attempt of a task that the product has deleted and made again."""
    new = NewAttempt(task, 1, None, AttemptStart("user:a", Cause.RETRY, tenant="t"))
    queue.enqueue(connection, new, QueueState.WAITING, Work(1, 1), most=0)


def in_transaction(engine: Engine, work: Callable[[Connection], object]) -> None:
    with engine.begin() as connection:
        work(connection)


def test_an_admission_follows_the_rules_in_any_queue(waiting: Queue, pipeline: Pipeline) -> None:
    """Compared with a simulation that looks at all users, and shares no code with the product."""
    seed = randbits(32)
    random = Random(seed)  # noqa: S311 - not a secret
    for number in range(40):
        slots = random.choice([1, 2, 3, 10])
        users = [
            User(
                queue_class,
                f"user:{name}",
                virtual_time=random.choice([0, 1, 1, 5, 7, 9]),
                waits=random.random() < 0.8,
                grants=random.choice([None, None, None, None, 0, 1, slots // 2]),
                is_recent=random.random() < 0.3,
            )
            for queue_class in ("interactive", "bulk")
            for name in random.sample("abcdefgh", 6)
        ]
        waiting.replace(users, slots)
        admitted = users_of(waiting.admit(most=1)) or None
        assert admitted in expected_users(users, slots), (seed, number, slots, users)


def test_many_processes_admit_each_attempt_once(
    waiting: Queue, pipeline: Pipeline, database_url: str
) -> None:
    waiting.stop()
    entered = [waiting.enter(f"u{number}", grants=1) for number in range(30)]
    waiting.resume(slots=10)
    found: list[tuple[str, int]] = []

    def admit(_: int) -> None:
        services = services_for(database_url)
        admit_waiting(services, Deadline.after(600))
        services.engine.dispose()
        assert isinstance(services.executions, RecordedExecutions)
        found.extend(services.executions.started)

    at_once(4, admit)
    assert len(found) == len(set(found)) == granted_batches(10)
    assert len(waiting_tasks(pipeline)) == len(entered) - len(found)


class TimeOfStarts(Deadline):
    """A deadline that passes with the third start."""

    executions: RecordedExecutions

    @property
    def remaining(self) -> float:
        return 60.0 if len(self.executions.started) < 3 else 0.0


def test_no_execution_is_started_after_the_deadline(waiting: Queue, pipeline: Pipeline) -> None:
    """Regression: if each StartExecution hung, Finalize failed after it had recorded its outcome."""
    waiting.stop()
    entered = [waiting.enter(f"u{number}", grants=1) for number in range(5)]
    waiting.resume(slots=10)
    with pipeline.services.engine.begin() as connection:
        lock_capacity(connection)
        admitted = queue.admit(connection, 5)
    deadline = TimeOfStarts(0.0)
    deadline.executions = pipeline.executions
    start_admitted(pipeline.services, admitted, deadline)
    assert pipeline.executions.started == [(task, 1) for task in entered[:3]]
    assert waiting.at_work() == sorted(entered), "the sweep starts the others"


def waiting_tasks(pipeline: Pipeline) -> list[str]:
    rows = pipeline.rows("SELECT task_id FROM content_queue WHERE state = 'waiting' ORDER BY task_id")
    return [row["task_id"] for row in rows]


def load(pipeline: Pipeline, number: int, *, staged: bool = False) -> str:
    """Load a task that takes the whole capacity unless its items are staged; return its id."""
    ids = concept_ids(20, f"r-{number}")
    bundle = bundle_of(ids, roadmap_id=f"r-{number}", task_id=f"t-{number}")
    if not staged:
        bundle["content"] = []
    pipeline.load(bundle)
    return f"t-{number}"


def retry(pipeline: Pipeline, task_id: str) -> str:
    """Retry a task as its user; return the message of the answer."""
    return pipeline.retry(task_id=task_id).message


def queue_keys(pipeline: Pipeline) -> list[str]:
    """The keys of the attempts in the queue, by task and attempt."""
    rows = pipeline.rows("SELECT queue_key FROM content_queue ORDER BY task_id, attempt")
    return [row["queue_key"] for row in rows]


def test_the_tenant_of_the_caller_s_token_replaces_the_user_and_an_operator_s_does_not(
    pipeline: Pipeline, ask: Ask
) -> None:
    def retry_by(task_id: str, **who: Any) -> None:
        assert ask("POST", f"/tasks/{task_id}/retry", **who).status == 202

    first, second = load(pipeline, 1), load(pipeline, 2)
    operator = {"user_id": "op", "roles": "owner,operator", "tenant": "operators"}
    retry_by(first, tenant="acme")
    retry_by(first, **operator)
    retry_by(second, **operator)
    assert queue_keys(pipeline) == ["tenant:acme", "tenant:acme", f"user:{USER}"]


def started(pipeline: Pipeline) -> list[str]:
    return [task_id for task_id, _ in pipeline.executions.started]


@pytest.mark.parametrize("stopped", [False, True], ids=["no capacity", "stopped"])
def test_staged_content_is_saved_without_a_slot(waiting: Queue, pipeline: Pipeline, stopped: bool) -> None:
    first, second, third = load(pipeline, 1), load(pipeline, 2, staged=True), load(pipeline, 3)
    if stopped:
        waiting.stop()
    assert retry(pipeline, first).startswith("Attempt queued" if stopped else "Attempt started")
    assert retry(pipeline, second).startswith("Attempt started")
    assert retry(pipeline, third).startswith("Attempt queued")
    fourth, refused = load(pipeline, 4, staged=True), Item(concept_ids(1, "r-4")[0], ContentType.QUIZ)
    with pipeline.engine.begin() as connection:
        failure = Failure(refused, Stage.SAVE, "InvalidContent", "no", False, "its fingerprint")
        record_failures(connection, fourth, 1, [failure])
    assert retry(pipeline, fourth).startswith("Attempt queued"), "it may have to be generated"
    assert started(pipeline) == ([second] if stopped else [first, second])
    (row,) = pipeline.rows("SELECT grants, tokens FROM content_queue WHERE task_id = :id", id=second)
    assert (row["grants"], row["tokens"]) == (0, 0)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_refused_redrive_of_staged_content_is_answered_as_one(
    waiting: Queue, pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    """Regression: without capacity, the answer was "started", until the sweep ended the attempt."""
    task_id = pipeline.task_id = load(pipeline, 1, staged=True)
    pipeline.finalize(pipeline.plan())
    if stopped:
        waiting.stop()

    def refuse(_: str) -> None:
        raise NotRedrivableError("it is older than 14 days")

    monkeypatch.setattr(pipeline.executions, "redrive", refuse)
    reply = ask("POST", f"/tasks/{task_id}/retry", {"user_id": USER, "force_checkpoint": "true"})
    assert (reply.status, reply.body["error"]) == (409, "NotRedrivable")
    assert pipeline.task()["status"] == "failed"


# The cost of a claim and of an admission.


def blocks(connection: Connection, statement: TextClause, **parameters: object) -> int:
    """The blocks of 8 KiB that a statement reads; its changes are rolled back."""
    savepoint = connection.begin_nested()
    sql = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.text}")
    (explained,) = connection.execute(sql, parameters).scalars().one()
    savepoint.rollback()
    return int(explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"])


# The place in the queue.


def place(pipeline: Pipeline, task: str) -> QueuePlace:
    """The place of a task's first attempt."""
    with pipeline.services.reading_engine.connect() as connection:
        found = read_place(connection, task, 1)
    assert found is not None, f"{task} does not wait"
    return found


def test_positions_are_the_order_of_admission(waiting: Queue, pipeline: Pipeline) -> None:
    entered = [
        *(waiting.enter("a", tokens=100) for _ in range(3)),
        *(waiting.enter("b", tokens=300) for _ in range(3)),
        waiting.enter("c", tokens=50),
        *(waiting.enter(user, queue_class=BULK) for user in "db"),
    ]
    list(waiting.serve(most=2))  # counters are not 0, and a bulk attempt is at work
    assert waiting.admit(), "the one that holds the capacity"
    places = {task: place(pipeline, task).position for task in waiting_tasks(pipeline)}
    assert sorted(places.values()) == list(range(1, len(entered) - 2))
    (held,) = waiting.at_work()
    waiting.end(held)
    served = list(waiting.serve())
    interactive = [task for task in served if waiting.queue_class(task) == INTERACTIVE]
    assert interactive == sorted(interactive, key=places.__getitem__)


def test_a_start_is_estimated_from_the_attempts_that_ended(waiting: Queue, pipeline: Pipeline) -> None:
    """The last ten ended one minute apart, so an attempt of the same size takes a minute."""
    for _ in range(10):
        waiting.enter("a")
    assert len(list(waiting.serve())) == 10
    pipeline.execute("""
        UPDATE content_queue q
        SET ended_at = now() - make_interval(mins => CAST(n AS integer))
        FROM (SELECT task_id, row_number() OVER (ORDER BY task_id) AS n FROM content_queue) numbered
        WHERE numbered.task_id = q.task_id
    """)
    at_work, first, second, third = (waiting.enter(user) for user in "bcde")
    assert waiting.admit() == [at_work]
    assert not place(pipeline, first).starts_in_seconds
    seconds = [place(pipeline, task).starts_in_seconds or 0 for task in (second, third)]
    assert seconds == pytest.approx([60 * 10 / 9, 120 * 10 / 9], rel=0.05), "9 ended since the oldest"
    assert not place(pipeline, third).at_least
    pipeline.execute("UPDATE content_queue SET ended_at = ended_at + interval '1 day' WHERE state = 'ended'")
    assert place(pipeline, third).starts_in_seconds is None, "the clock was ahead when they ended"


def test_the_start_of_a_flooder_is_at_least_so_late(waiting: Queue, pipeline: Pipeline) -> None:
    waiting.enter("a", queue_class=BULK)
    assert waiting.admit()
    first, second = waiting.enter("b"), waiting.enter("b")
    assert [place(pipeline, task).at_least for task in (first, second)] == [False, True]
    bulk = waiting.enter("c", queue_class=BULK)
    assert [place(pipeline, task).at_least for task in (first, bulk)] == [True, True]
    waiting.end(waiting.at_work()[0])
    assert waiting.admit() == [bulk], "one bulk attempt is always at work"


def test_without_a_measurement_no_start_is_named(waiting: Queue, pipeline: Pipeline) -> None:
    waiting.enter("a")
    task = waiting.enter("b")
    waiting.admit()
    assert (place(pipeline, task).position, place(pipeline, task).starts_in_seconds) == (1, None)
    waiting.stop()
    assert place(pipeline, task).stopped


def test_a_waiting_task_shows_its_place(waiting: Queue, pipeline: Pipeline) -> None:
    first, second = load(pipeline, 1), load(pipeline, 2)
    retry(pipeline, first)
    answer = pipeline.retry(task_id=second)
    assert answer.queue is not None
    assert answer.queue.position == 1
    for task_id, shown in ((first, None), (second, answer.queue)):
        pipeline.task_id = task_id
        assert pipeline.status().queue == shown
    (event_,) = pipeline.rows(
        "SELECT detail FROM content_events WHERE detail_type = 'Attempt Queued' AND task_id = :id", id=second
    )
    assert event_["detail"]["data"]["position"] == 1


def test_attempts_without_a_sign_are_looked_up_the_longest_silence_first(pipeline: Pipeline) -> None:
    waiting = Queue(pipeline)
    tasks = [
        waiting.enter(name, state=QueueState.RUNNING) for name in ("busy", "silent", "silent-for-longer")
    ]
    waiting.enter("waiting")
    pipeline.execute("UPDATE content_queue SET admitted_at = now() - interval '1 hour'")
    pipeline.execute(
        "INSERT INTO content_events (event_id, detail_type, task_id, detail, recorded_at)"
        " SELECT task_id, 'x', task_id, '{}', now() - CAST(ago AS interval)"
        " FROM (VALUES (:busy, '1 minute'), (:silent, '9 minutes')) AS v(task_id, ago)",
        busy=tasks[0],
        silent=tasks[1],
    )
    with pipeline.services.engine.connect() as connection:
        assert queue.silent(connection, timedelta(minutes=5), 10) == [tasks[2], tasks[1]]
        assert queue.silent(connection, timedelta(minutes=5), 1) == [tasks[2]]
