"""An attempt on a time axis: real rows of the audit trail and the outbox, and a history of known times."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from botocore.stub import Stubber
from sqlalchemy import text

from roadmap_command.timeline_text import timeline_lines
from roadmap_content.api.attempt_timeline import AttemptTimeline, HistoryState
from roadmap_content.contracts.events import Event, attempt_queued, attempt_started, batch_saved, detail_of
from roadmap_content.platform.aws.executions import MOST_PAGES, PAGE_EVENTS, Executions
from roadmap_content.platform.aws.histories import FRESH_SECONDS, Histories
from roadmap_content.platform.timeline.axis import BatchOutcome, Phase, PhaseKind
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Ask
from tests.support.timed_run import TimedRun, moment

ARN = "arn:aws:states:eu-central-1:1:execution:save-content:t-1-r1"
MACHINE = "arn:aws:states:eu-central-1:1:stateMachine:save-content"
BATCHES, SLOTS, LOST = 400, 10, 133
THROTTLES = dict.fromkeys(range(0, 400, 20), 3)
SECOND = timedelta(seconds=1)


class StubbedSteps:
    """Step Functions with one history."""

    def __init__(self) -> None:
        self.executions = Executions(MACHINE)
        self.stubber = Stubber(self.executions._client)  # noqa: SLF001
        self.stubber.activate()

    def expect(self, events: Sequence[dict[str, Any]]) -> None:
        """Answer the requests for a history."""
        pages = [events[start : start + PAGE_EVENTS] for start in range(0, len(events), PAGE_EVENTS)]
        for number, page in enumerate(pages[:MOST_PAGES]):
            asked = {"executionArn": ARN, "maxResults": PAGE_EVENTS, "includeExecutionData": False}
            asked |= {"nextToken": str(number)} if number else {}
            more = {"nextToken": str(number + 1)} if number + 1 < len(pages) else {}
            self.stubber.add_response("get_execution_history", {"events": page, **more}, asked)


@pytest.fixture
def steps(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> StubbedSteps:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    steps = StubbedSteps()
    pipeline.services.executions = steps.executions
    return steps


@pytest.fixture(autouse=True)
def loaded(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(concept_ids(2)))


Get = Callable[[int], AttemptTimeline]


@pytest.fixture
def get(ask: Ask) -> Get:
    def get(attempt: int) -> AttemptTimeline:
        path = f"/tasks/t-1/attempts/{attempt}/timeline"
        reply = ask("GET", path, user_id=USER, roles="owner")
        assert reply.status == 200, reply.body
        return AttemptTimeline.model_validate(reply.body)

    return get


def record_attempt(
    pipeline: Pipeline, attempt: int, claimed_at: float, ended_at: float | None, arn: str | None = ARN
) -> None:
    """A row of the audit trail."""
    pipeline.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, execution_arn, redrive_count, step,"
        " claimed_at, ended_at, outcome) VALUES ('t-1', :attempt, 'user:u', 'retry', :arn, :redrive_count,"
        " 'ended', :claimed_at, :ended_at, :outcome)",
        attempt=attempt,
        arn=arn,
        redrive_count=attempt - 1,
        claimed_at=moment(claimed_at).replace(tzinfo=None),
        ended_at=None if ended_at is None else moment(ended_at).replace(tzinfo=None),
        outcome=None if ended_at is None else "partial_failure",
    )


def record_events(pipeline: Pipeline, *events: tuple[Event, float]) -> None:
    """Rows of the outbox, with their times."""
    rows = [
        {
            "event_id": event.event_id,
            "detail_type": str(event.detail_type),
            "detail": json.dumps(detail_of(event, moment(at))),
        }
        for event, at in events
    ]
    with pipeline.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO content_events (event_id, detail_type, task_id, detail)"
                " VALUES (:event_id, :detail_type, 't-1', CAST(:detail AS json))"
            ),
            rows,
        )


def require_whole(parts: Sequence[Phase], start: datetime, end: datetime) -> None:
    """The parts follow each other without a gap."""
    assert (parts[0].started_at, parts[-1].ended_at) == (start, end)
    assert all(one.ended_at == following.started_at for one, following in pairwise(parts))


class Story:
    """A run of 400 batches with 60 throttles and one lost batch, and its redrive ten minutes later."""

    def __init__(self, pipeline: Pipeline) -> None:
        run = self.run = TimedRun()
        about = ("t-1", "r-1", 1, "user:u", "retry")
        record_events(pipeline, (attempt_queued(*about, 3), 0.1), (attempt_started(*about), 42))
        run.add(42.5, "ExecutionStarted", None)
        self.planned = run.task(42.5, "Plan", 1.25)
        lengths = {batch: 3 + batch % 7 + batch * 0.003 for batch in range(BATCHES)}
        self.fanned = run.fan_out(self.planned, lengths, SLOTS, THROTTLES, LOST)
        self.saved_at, self.chain = dict(run.saved_at), run.longest_chain()
        self.record_saved(pipeline, 1)
        finalized = run.task(self.fanned, "Finalize", 1.5)
        self.ended = finalized - 0.2
        record_attempt(pipeline, 1, 0, self.ended)

        waiting = run.enter(finalized, "AwaitRedrive", run.last)
        failed_at, failed = run.call(finalized, 0.3, waiting, "ContentIncomplete")
        failed = run.add(failed_at, "ExecutionFailed", failed, executionFailedEventDetails={"error": "x"})
        self.redriven = failed_at + 600
        redriven = run.add(
            self.redriven, "ExecutionRedriven", failed, executionRedrivenEventDetails={"redriveCount": 1}
        )
        claiming, called = run.call(self.redriven, 0.5, redriven)
        run.last = run.leave(claiming, "AwaitRedrive", called)
        self.claimed_again = claiming - 0.3
        planned = run.task(claiming, "Plan", 1)
        fanned = run.fan_out(planned, {0: 4}, SLOTS, {})
        self.record_saved(pipeline, 2)
        finalized = run.task(fanned, "Finalize", 1)
        run.add(finalized, "ExecutionSucceeded", run.last)
        self.ended_again = finalized - 0.2
        started = attempt_started("t-1", "r-1", 2, "console", "console_redrive")
        record_events(pipeline, (started, self.claimed_again))
        record_attempt(pipeline, 2, self.claimed_again, self.ended_again)

    def record_saved(self, pipeline: Pipeline, attempt: int) -> None:
        """The outbox's events of batches."""
        saved = self.run.saved_at.items()
        record_events(
            pipeline,
            *((batch_saved("t-1", "r-1", attempt, batch, "quiz", 3, 0), at) for batch, at in saved),
        )


@pytest.fixture
def story(pipeline: Pipeline, steps: StubbedSteps) -> Story:
    story = Story(pipeline)
    steps.expect(story.run.history())
    return story


def test_a_run_of_400_batches_is_right_to_the_second(story: Story, pipeline: Pipeline, get: Get) -> None:
    timeline = get(1)
    assert timeline.history is HistoryState.READ
    (row,) = pipeline.rows("SELECT claimed_at, ended_at FROM content_attempts WHERE attempt = 1")
    assert timeline.claimed_at.replace(tzinfo=None) == row["claimed_at"]
    assert timeline.ended_at
    assert timeline.ended_at.replace(tzinfo=None) == row["ended_at"]
    require_whole(timeline.phases, moment(0), moment(story.ended))
    assert [(phase.kind, phase.started_at) for phase in timeline.phases] == [
        (PhaseKind.QUEUED, moment(0)),
        (PhaseKind.STARTING, moment(42)),
        (PhaseKind.PLAN, moment(42.5)),
        (PhaseKind.BATCHES, moment(story.planned)),
        (PhaseKind.FINALIZE, moment(story.fanned)),
    ]
    saved = {
        row["batch"]: datetime.fromisoformat(row["at"])
        for row in pipeline.rows(
            "SELECT CAST(detail -> 'data' ->> 'batch' AS integer) AS batch, detail -> 'metadata' ->> 'time'"
            " AS at FROM content_events"
            " WHERE detail_type = 'Batch Saved' AND detail -> 'data' ->> 'attempt' = '1'"
        )
    }
    assert [batch.batch for batch in sorted(timeline.batches, key=lambda each: each.batch)] == [
        *range(BATCHES)
    ]
    assert len(saved) == BATCHES - 1
    for batch in timeline.batches:
        assert batch.started_at
        assert batch.ended_at
        require_whole(batch.phases, batch.started_at, batch.ended_at)
        if batch.batch != LOST:
            assert batch.outcome is BatchOutcome.SAVED
            assert abs(batch.ended_at - saved[batch.batch]) < SECOND
            assert batch.saved == {"quiz": 3}


def test_throttles_and_the_lost_batch_are_in_their_places(story: Story, get: Get) -> None:
    timeline = get(1)
    assert (timeline.throttled, timeline.retried, timeline.lost) == (60, 2, 1)
    waits = [
        phase for batch in timeline.batches for phase in batch.phases if phase.kind is PhaseKind.THROTTLED
    ]
    assert {wait.batch for wait in waits} == set(THROTTLES)
    assert {wait.tries for wait in waits} == {3}
    assert all(wait.ended_at and abs(wait.ended_at - wait.started_at - 6 * SECOND) < SECOND for wait in waits)
    (lost,) = [batch for batch in timeline.batches if batch.outcome is BatchOutcome.LOST]
    assert lost.batch == LOST
    assert [(phase.kind, phase.tries, phase.error) for phase in lost.phases] == [
        (PhaseKind.GENERATE, 1, None),
        (PhaseKind.RETRY, 2, "Lambda.Unknown"),
        (PhaseKind.SAVE, 1, "Lambda.Unknown"),
    ]


def test_the_longest_path_is_the_chain_of_batches_that_ended_last(story: Story, get: Get) -> None:
    timeline = get(1)
    require_whole(timeline.longest_path, moment(0), moment(story.ended))
    batches = [part.batch for part in timeline.longest_path if part.batch is not None]
    assert list(dict.fromkeys(batches)) == story.chain
    kinds = [part.kind for part in timeline.longest_path]
    assert kinds[:3] == [PhaseKind.QUEUED, PhaseKind.STARTING, PhaseKind.PLAN]
    assert kinds[-1] is PhaseKind.FINALIZE


def test_a_redrive_is_an_attempt_of_its_own(story: Story, get: Get) -> None:
    timeline = get(2)
    require_whole(timeline.phases, moment(story.claimed_again), moment(story.ended_again))
    assert [phase.kind for phase in timeline.phases] == ["starting", "plan", "batches", "finalize"]
    ((only,), lost) = timeline.batches, timeline.lost
    assert (only.batch, only.outcome, lost, timeline.throttled) == (0, BatchOutcome.SAVED, 0, 0)
    assert only.ended_at
    assert abs(only.ended_at - moment(story.run.saved_at[0])) < SECOND


def test_the_text_of_400_batches_is_short(story: Story, get: Get) -> None:
    lines = list(timeline_lines(get(1), moment(0)))
    assert len(lines) < 60
    assert max(map(len, lines)) < 130
    assert "batches: 400 (399 saved, 1 lost)" in lines
    assert "  calls throttled: 60, retried: 2" in lines
    assert any(
        line.lstrip().startswith(f"batch {LOST} ") and line.endswith("lost, retry 2×") for line in lines
    )


def test_a_history_that_ended_is_read_once_per_attempt(story: Story, steps: StubbedSteps, get: Get) -> None:
    first = get(1)
    assert get(1) == first
    steps.stubber.assert_no_pending_responses()


def test_without_a_history_the_outbox_has_the_ends(pipeline: Pipeline, steps: StubbedSteps, get: Get) -> None:
    story = Story(pipeline)
    steps.stubber.add_client_error("get_execution_history", "ExecutionDoesNotExist", http_status_code=400)
    timeline = get(1)
    assert timeline.history is HistoryState.GONE
    assert [(phase.kind, phase.started_at) for phase in timeline.phases] == [
        (PhaseKind.QUEUED, moment(0)),
        (PhaseKind.WORKING, moment(42)),
    ]
    assert {batch.batch: batch.ended_at for batch in timeline.batches} == {
        batch: moment(at) for batch, at in story.saved_at.items()
    }
    assert all(batch.started_at is None and batch.phases == [] for batch in timeline.batches)
    assert list(timeline_lines(timeline, moment(0)))


def test_an_exhausted_quota_is_no_error(pipeline: Pipeline, steps: StubbedSteps, get: Get) -> None:
    record_attempt(pipeline, 1, 0, 10)
    steps.stubber.add_client_error("get_execution_history", "ThrottlingException", http_status_code=400)
    assert get(1).history is HistoryState.UNAVAILABLE
    steps.stubber.add_response("get_execution_history", {"events": []})
    assert get(1).history is HistoryState.READ, "an error is not cached"


def test_a_very_long_history_is_read_in_part(pipeline: Pipeline, steps: StubbedSteps, get: Get) -> None:
    run = TimedRun()
    planned = run.task(0, "Plan", 1)
    run.fan_out(planned, dict.fromkeys(range(20), 1.0), SLOTS, dict.fromkeys(range(20), 280))
    events = run.history()
    assert len(events) > MOST_PAGES * PAGE_EVENTS
    record_attempt(pipeline, 1, 0, 3_000)
    steps.expect(events)
    timeline = get(1)
    assert timeline.history is HistoryState.PARTIAL
    assert timeline.throttled > 4_000
    assert len(timeline.model_dump_json()) < 20_000, "throttles of one wait are one phase"


def test_an_attempt_in_the_queue_has_no_execution(pipeline: Pipeline, get: Get) -> None:
    record_events(pipeline, (attempt_queued("t-1", "r-1", 1, "user:u", "retry", 3), 0.1))
    record_attempt(pipeline, 1, 0, None)
    timeline = get(1)
    assert timeline.history is HistoryState.NOT_STARTED
    ((only,), path) = timeline.phases, timeline.longest_path
    assert (only.kind, only.started_at, only.ended_at) == (PhaseKind.QUEUED, moment(0), None)
    assert path == [only]


def test_a_running_attempt_is_read_again_after_a_while(steps: StubbedSteps) -> None:
    clock = [0.0]
    histories = Histories(steps.executions, lambda: clock[0])
    for _ in range(2):
        steps.stubber.add_response("get_execution_history", {"events": []})
    histories.read(ARN, 1, is_final=False)
    clock[0] += FRESH_SECONDS - 1
    histories.read(ARN, 1, is_final=False)
    clock[0] += 1
    histories.read(ARN, 1, is_final=True)
    clock[0] += 10 * FRESH_SECONDS
    histories.read(ARN, 1, is_final=True)
    steps.stubber.assert_no_pending_responses()
