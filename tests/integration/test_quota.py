"""The model's quota of tokens, which invocations share through PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, text

from benchmarks.quota import person_beside_others
from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from roadmap_content.content.generation.leases import (
    ABANDONED_SECONDS,
    BURST_SECONDS,
    Exchanged,
    exchange,
)
from roadmap_content.content.generation.quota import (
    LONGEST_WAIT,
    GenerationStoppedError,
    ModelQuota,
    Need,
    TaskBudget,
    Usage,
)
from roadmap_content.contracts.errors import DatabaseUnavailableError, TokenBudgetExhaustedError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from tests.support.pipeline import Pipeline, services_for
from tests.support.quota_clock import quota_clock

RATE = 1_000
"""Tokens per second."""

BURST = int(RATE * BURST_SECONDS)
NEED = Need(500, 1_500)
"""Of a call that takes the whole burst."""


class Bucket:
    """The bucket of a database, with a clock that the test advances."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self.engine: Engine = pipeline.services.engine
        self.now = 0.0
        self.exchanges: Iterator[int] = iter(())

    def configure(self, tokens_per_minute: int | None = RATE * 60, stopped: str | None = None) -> None:
        self._pipeline.execute(
            "WITH quota AS (UPDATE content_model_quota SET tokens_per_minute = :tokens)"
            " UPDATE content_capacity SET stopped_reason = :stopped",
            tokens=tokens_per_minute,
            stopped=stopped,
        )

    def advance(self, seconds: float) -> None:
        self.now += seconds

    def invocation(self, burndown: str = "1") -> ModelQuota:
        settings = Settings({"MODEL_OUTPUT_BURNDOWN": burndown})
        return ModelQuota(self.engine, settings, Deadline.after(60), lambda: self.now)

    def started_within(self, quota: ModelQuota, seconds: int, need: Need = NEED) -> float | None:
        """The seconds after which a call starts that may wait for some seconds; `None`: it does not."""
        began = self.now
        while quota.begin(need) is None:
            if self.now - began > seconds:
                quota.give_up()
                return None
            self.advance(quota.seconds_to_wait)
        return self.now - began


@pytest.fixture
def bucket(pipeline: Pipeline) -> Iterator[Bucket]:
    bucket = Bucket(pipeline)
    bucket.configure()
    with quota_clock(bucket.engine, lambda: bucket.now) as bucket.exchanges:
        yield bucket


def test_without_a_quota_calls_start_at_once_after_one_round_trip(bucket: Bucket) -> None:
    bucket.configure(None)
    quota = bucket.invocation()
    for _ in range(100):
        taken = quota.begin(NEED)
        assert taken is not None
        quota.end(taken, NEED, Usage(10, 10))
    quota.close()
    assert next(bucket.exchanges) == 1


def test_a_call_above_the_quota_starts_when_the_quota_has_supplied_its_tokens(bucket: Bucket) -> None:
    quota = bucket.invocation()
    assert quota.begin(NEED) == NEED.total == BURST
    waited = bucket.started_within(quota, 10)
    assert waited is not None
    assert 2.0 <= waited <= 2.0 + LONGEST_WAIT


def test_invocations_share_the_quota_in_the_order_in_which_they_asked(bucket: Bucket) -> None:
    first, second, third = (bucket.invocation() for _ in range(3))
    assert first.begin(NEED) is not None
    assert second.begin(NEED) is third.begin(NEED) is None
    order = []
    for _ in range(60):
        bucket.advance(0.25)
        for quota in (third, second):
            if quota not in order and quota.begin(NEED) is not None:
                order.append(quota)
    assert order == [second, third]


@pytest.mark.parametrize(("usage", "starts"), [(Usage(400, 600), 1), (Usage(500, 1_500), 2), (None, 2)])
def test_the_tokens_that_a_call_did_not_use_are_available_to_others(
    bucket: Bucket, usage: Usage | None, starts: float
) -> None:
    first, second = bucket.invocation(), bucket.invocation()
    taken = first.begin(NEED)
    assert taken is not None
    first.end(taken, NEED, usage)
    waited = bucket.started_within(second, 10)
    assert waited is not None
    assert starts <= waited < starts + 0.6


def test_output_that_counts_several_times_delays_the_next_call(bucket: Bucket) -> None:
    first, second = bucket.invocation(burndown="5"), bucket.invocation(burndown="5")
    taken = first.begin(NEED)
    assert taken is not None
    first.end(taken, NEED, Usage(500, 1_100))  # 6,000 tokens, 4,000 more than it took
    waited = bucket.started_within(second, 20)
    assert waited is not None
    assert 6 <= waited < 6 + LONGEST_WAIT


def test_after_a_time_without_calls_only_the_burst_starts_at_once(bucket: Bucket) -> None:
    quota = bucket.invocation()
    assert quota.begin(NEED) is not None
    bucket.advance(3_600)
    assert quota.begin(NEED) is not None
    waited = bucket.started_within(quota, 10)
    assert waited is not None
    assert waited >= 2


def test_a_small_call_does_not_overtake_a_large_one_that_came_before_it(bucket: Bucket) -> None:
    quota, small = bucket.invocation(), Need(0, 100)
    assert quota.begin(NEED) is not None
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        assert first.submit(quota.begin, NEED).result() is None
        begun = second.submit(quota.begin, small).result()
        while begun is None and bucket.now < 10:
            bucket.advance(quota.seconds_to_wait)
            begun = second.submit(quota.begin, small).result()
            if bucket.now < 2:
                assert begun is None, "its tokens are due, and another call waits for them"
            first.submit(quota.begin, NEED).result()
    assert begun is not None


def test_nothing_is_leased_while_generation_is_stopped(bucket: Bucket) -> None:
    assert bucket.invocation().begin(NEED) is not None
    bucket.configure(stopped="the bill")
    for _ in range(3):
        with pytest.raises(GenerationStoppedError):
            bucket.invocation().begin(NEED)
    bucket.configure()
    waited = bucket.started_within(bucket.invocation(), 10)
    assert waited is not None
    assert waited <= 2.0 + LONGEST_WAIT


@pytest.mark.parametrize("changed", [RATE * 6_000, None], ids=["changed", "removed"])
def test_a_changed_quota_is_effective_for_waiting_calls(bucket: Bucket, changed: int | None) -> None:
    quota = bucket.invocation()
    assert quota.begin(Need(0, 100 * BURST)) is None
    bucket.configure(changed)
    assert bucket.started_within(quota, 10, Need(0, 100 * BURST)) is not None


def test_a_stop_reaches_calls_that_wait(bucket: Bucket) -> None:
    quota = bucket.invocation()
    assert quota.begin(NEED) is not None
    assert quota.begin(NEED) is None
    bucket.configure(stopped="the bill")
    bucket.advance(LONGEST_WAIT)
    with pytest.raises(GenerationStoppedError, match="the bill"):
        quota.begin(NEED)


def test_the_waiting_calls_of_an_invocation_need_one_round_trip(bucket: Bucket) -> None:
    bucket.configure(RATE * 60 * 1_000)
    quota = bucket.invocation()
    assert quota.begin(NEED) is not None
    together = Barrier(16)

    def call(_: int) -> tuple[float | None, float | None]:
        too_soon = quota.begin(NEED)
        together.wait()
        together.wait()
        return too_soon, quota.begin(NEED)

    with ThreadPoolExecutor(15) as pool:
        calls = pool.map(call, range(15))
        together.wait()
        bucket.advance(quota.seconds_to_wait)
        together.wait()
        assert list(calls) == [(None, NEED.total)] * 15
    assert next(bucket.exchanges) == 2


def test_the_end_of_an_invocation_returns_what_it_did_not_use(bucket: Bucket) -> None:
    first, second = bucket.invocation(), bucket.invocation()
    taken = first.begin(NEED)
    assert taken is not None
    bucket.advance(1)
    first.end(taken, NEED, Usage())
    first.close()
    assert second.begin(NEED) is not None


def test_the_leases_of_killed_invocations_delay_others_for_seconds(bucket: Bucket) -> None:
    """Twenty, each for four seconds of the quota."""
    assert bucket.invocation().begin(NEED) is not None
    for _ in range(20):
        assert bucket.invocation().begin(Need(0, 2 * BURST)) is None
    waited = bucket.started_within(bucket.invocation(), 200)
    assert waited is not None
    assert waited <= ABANDONED_SECONDS + LONGEST_WAIT


def test_an_invocation_that_was_taken_for_a_killed_one_leases_anew(bucket: Bucket) -> None:
    slow, other = bucket.invocation(), bucket.invocation()
    assert other.begin(NEED) is not None
    assert slow.begin(NEED) is None
    bucket.advance(ABANDONED_SECONDS + 1)
    assert other.begin(NEED) is not None, "the rest of the other lease"
    assert slow.begin(NEED) is None, "its tokens were given to others"
    assert bucket.started_within(slow, 10) is not None


@pytest.mark.parametrize("end", ["give up", "close"])
def test_a_lease_that_ends_before_its_time_is_not_waited_for(bucket: Bucket, end: str) -> None:
    """It was for twenty times the burst; the next call takes the burst."""
    first, second = bucket.invocation(), bucket.invocation()
    assert first.begin(NEED) is not None
    assert second.begin(Need(0, 20 * BURST)) is None
    if end == "give up":
        second.give_up()
    else:
        second._waiting.clear()  # noqa: SLF001 - its threads have died
        second.close()
    waited = bucket.started_within(bucket.invocation(), 60)
    assert waited is not None
    assert 2.0 <= waited <= 2.0 + LONGEST_WAIT


def test_the_calls_of_an_invocation_return_their_tokens_together(bucket: Bucket) -> None:
    bucket.configure(RATE * 60 * 1_000)
    quota = bucket.invocation()
    for _ in range(2):
        assert bucket.started_within(quota, 10) is not None
    before = next(bucket.exchanges)
    quota.end(NEED.total, NEED, Usage(10, 10))
    assert next(bucket.exchanges) == before + 1, "one is still at work"  # the counter counts itself
    quota.end(NEED.total, NEED, Usage(10, 10))
    assert next(bucket.exchanges) == before + 3


def test_a_clock_that_was_ahead_does_not_stop_the_refill(pipeline: Pipeline) -> None:
    Bucket(pipeline).configure()
    engine = pipeline.services.engine
    exchange_by(engine)
    pipeline.execute("UPDATE content_model_quota SET refilled_at = refilled_at + interval '1 hour'")
    exchange_by(engine)
    (row,) = pipeline.rows(
        "SELECT supplied, refilled_at > clock_timestamp() AS is_ahead FROM content_model_quota"
    )
    assert row == {"supplied": BURST, "is_ahead": False}


def test_of_two_exchanges_the_one_that_began_earlier_does_not_refill_twice(pipeline: Pipeline) -> None:
    Bucket(pipeline).configure()
    with pipeline.services.engine.connect() as earlier:
        earlier.execute(text("SELECT now()"))
        exchange_by(pipeline.engine, "a", asked=10 * BURST)
        (before,) = pipeline.rows("SELECT supplied, refilled_at FROM content_model_quota")
        exchange(earlier, "", asked=0, returned=0, is_kept=False)
        earlier.commit()
    (after,) = pipeline.rows("SELECT supplied, refilled_at FROM content_model_quota")
    elapsed = (after["refilled_at"] - before["refilled_at"]).total_seconds()
    assert elapsed >= 0
    assert after["supplied"] - before["supplied"] == pytest.approx(RATE * elapsed)


def test_a_lease_that_ends_while_its_invocation_waits_for_the_bucket_is_not_renewed(
    pipeline: Pipeline,
) -> None:
    """The other exchange has given its tokens to others."""
    Bucket(pipeline).configure()
    exchange_by(pipeline.engine, "slow", asked=10 * BURST)
    pipeline.execute("UPDATE content_model_leases SET seen_at = seen_at - interval '1 minute'")
    with pipeline.engine.begin() as other, ThreadPoolExecutor(1) as pool:
        exchange(other, "other", asked=0, returned=0, is_kept=True)
        slow = pool.submit(exchange_by, pipeline.services.engine, "slow")
        assert becomes_true(lambda: bool(processes_waiting_for(other)), 600)
        other.commit()
        found = slow.result()
    assert found is not None
    assert found.bucket.lease is None
    assert pipeline.rows("SELECT lease_id FROM content_model_leases") == []


def test_an_exchange_whose_commit_was_not_answered_is_repeated(pipeline: Pipeline) -> None:
    Bucket(pipeline).configure()
    for _ in range(2):
        exchange_by(pipeline.engine, "a", asked=BURST)
    assert pipeline.rows("SELECT range_end FROM content_model_leases") == [{"range_end": 2 * BURST}]


def exchange_by(engine: Engine, lease_id: str = "", asked: float = 0) -> Exchanged | None:
    """Exchange by PostgreSQL's own clock."""
    with engine.begin() as connection:
        return exchange(connection, lease_id, asked=asked, returned=0, is_kept=True)


def test_an_unreachable_database_fails_the_call_and_not_the_end_of_another(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = bucket.invocation()
    taken = quota.begin(NEED)
    assert taken is not None

    def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailableError("no connection")

    monkeypatch.setattr("roadmap_content.content.generation.quota.transact", fail)
    quota.end(taken, NEED, Usage(500, 500))
    quota.close()
    with pytest.raises(DatabaseUnavailableError):
        bucket.invocation().begin(NEED)


def test_returned_tokens_go_to_the_call_that_asked_first(bucket: Bucket) -> None:
    """Not to another call of the invocation that returns them, while its lease is not due."""
    first, second = bucket.invocation(), bucket.invocation()
    taken = first.begin(NEED)
    assert taken is not None
    bucket.advance(first.seconds_to_wait)
    with ThreadPoolExecutor(1) as other:
        assert second.begin(NEED) is other.submit(first.begin, NEED).result() is None
        first.end(taken, NEED, Usage())
        assert other.submit(first.begin, NEED).result() is None


def test_the_first_call_of_a_task_stays_within_its_budget(pipeline: Pipeline) -> None:
    settings = Settings({"TASK_TOKEN_BUDGET": "1000"})
    budget = TaskBudget(pipeline.services.engine, settings, "t-1", Deadline.after(60))
    with pytest.raises(TokenBudgetExhaustedError, match="0 of the task's 1000 tokens"):
        budget.reserve(1_001)
    budget.reserve(1_000)


def test_concurrent_invocations_never_take_more_than_the_quota_supplied(bucket: Bucket) -> None:
    # A call waits in its thread: another thread would be another call.
    invocations = [(bucket.invocation(), ThreadPoolExecutor(1)) for _ in range(5)]
    taken = 0.0
    for _ in range(40):
        bucket.advance(0.25)
        begun = [thread.submit(quota.begin, Need(0, 300)) for quota, thread in invocations]
        taken += sum(call.result() or 0 for call in begun)
        assert taken <= BURST + RATE * bucket.now
    assert taken >= 0.9 * RATE * bucket.now


@pytest.mark.slow
def test_a_person_s_roadmaps_are_served_evenly_beside_others(database_url: str) -> None:
    """The limit of `make load`, which fails without leases."""
    engine = services_for(database_url).engine
    found = person_beside_others(engine)
    engine.dispose()
    assert found.holds(), found
