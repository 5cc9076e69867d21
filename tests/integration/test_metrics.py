"""The metrics of the steps match their results."""

import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, text

from roadmap_content.api.cancel import cancel_task
from roadmap_content.capabilities.failure_groups.request import GroupStateRequest
from roadmap_content.capabilities.failure_groups.states import change_group
from roadmap_content.content.generation.model import ModelThrottledError
from roadmap_content.contracts.errors import (
    DatabaseUnavailableError,
    InvalidContentError,
    ModelDeclinedError,
)
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.states import GroupState
from roadmap_content.platform.aws.executions import CANCELLED
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.reconciliation.jobs import report_queue
from tests.support.factories import TYPES, USER, bundle_of, counts
from tests.support.pipeline import SETTINGS, Pipeline

GENERATE = "roadmap_content.content.generation.offline.OfflineGenerator.generate"
THROTTLED = ModelThrottledError("too many tokens")


def raise_in(monkeypatch: pytest.MonkeyPatch, function: str, error: Exception) -> None:
    def fail(*_: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(function, fail)


def counted(capsys: pytest.CaptureFixture[str]) -> Counter[tuple[str, str | None]]:
    """The sum of every written metric, by name and content type."""
    sums: Counter[tuple[str, str | None]] = Counter()
    for line in capsys.readouterr().out.splitlines():
        if '"_aws"' in line:
            entry = json.loads(line)
            for metric in entry["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
                sums[metric["Name"], entry.get("content_type")] += entry[metric["Name"]][0]
    return sums


def test_the_metrics_of_a_run_with_one_invalid_item(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    bundle = bundle_of(["c-1", "c-2", "c-3"])
    pipeline.load(bundle)
    pipeline.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
    )
    pipeline.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON quiz_metadata FOR EACH ROW "
        f"WHEN (NEW.concept_id = '{bundle['content'][0]['concept_id']}') EXECUTE FUNCTION refuse()"
    )
    pipeline.run()

    sums = counted(capsys)
    assert sums["BatchesPlanned", None] == 1
    assert [sums["ItemsStaged", kind] for kind in ContentType] == [3] * TYPES
    assert {kind: sums["ItemsSaved", kind] for kind in ContentType} == counts(3, quiz=2)
    assert [sums["ItemsNotSaved", kind] for kind in ("tutorial", "quiz")] == [0, 1]
    assert sums["ItemsMissing", "quiz"] == 1
    assert (sums["ItemsPlanned", None], sums["ItemsRefused", None]) == (3 * TYPES, 1)
    assert (sums["TasksCompleted", None], sums["TasksIncomplete", None]) == (0, 1)
    assert sums["TaskSeconds", None] > 0


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")


@pytest.fixture
def planned(pipeline: Pipeline, in_lambda: None) -> Pipeline:
    """A run of one concept that has been planned and does not end by itself."""
    pipeline.load(bundle_of(["c-1"]))
    pipeline.plan()
    return pipeline


def ended(
    pipeline: Pipeline, status: str, capsys: pytest.CaptureFixture[str], error: str | None = None
) -> Counter[tuple[str, str | None]]:
    """The metrics of the reconciliation of the current execution, which ended with this status."""
    capsys.readouterr()
    end = ExecutionEnd(execution_arn=pipeline.execution().arn, status=status, error=error)
    pipeline.sweep(detail=end, time=datetime.now(UTC))  # as EventBridge sends it
    return counted(capsys)


def test_a_run_that_a_person_stopped_is_counted_once_and_as_no_repair(
    planned: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each alarm is on a page: with a second metric, a stopped run would ring two pages."""
    sums = ended(planned, "ABORTED", capsys)
    assert planned.task()["status"] == "failed"
    assert (sums["RunsAborted", None], sums["TasksRepaired", None]) == (1, 0)


@pytest.mark.parametrize("error", [None, CANCELLED], ids=["without an error", "with its error"])
def test_a_run_whose_task_was_cancelled_is_no_aborted_run(
    planned: Pipeline, capsys: pytest.CaptureFixture[str], error: str | None
) -> None:
    """A user's own cancellation must ring no page."""
    cancel_task(planned.services, planned.task_id, USER, Deadline.after(600), f"user:{USER}", None)

    sums = ended(planned, "ABORTED", capsys, error)
    assert planned.task()["status"] == "cancelled"
    assert (sums["RunsAborted", None], sums["TasksRepaired", None]) == (0, 0)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT"])
def test_other_ends_of_a_run_are_no_aborted_runs(
    planned: Pipeline, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    """Step Functions' own metrics count them."""
    sums = ended(planned, status, capsys)
    assert (sums["RunsAborted", None], sums["TasksRepaired", None]) == (0, 0)
    assert sums["TasksIncomplete", None] == 1, "without an outcome, it is a task that ended"


def test_a_run_that_no_event_reported_is_counted_as_a_repair_of_the_sweep(
    planned: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    planned.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
    capsys.readouterr()
    planned.sweep()
    assert counted(capsys)["TasksRepaired", None] == 1


def needing_a_person(pipeline: Pipeline, capsys: pytest.CaptureFixture[str], sql: str) -> int:
    """The tasks that need a person, by a run in which a statement of PostgreSQL makes saving quizzes fail."""
    pipeline.load(bundle_of(["c-1"]))
    pipeline.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {sql}; END $$")
    pipeline.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON quiz_metadata FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    pipeline.run()
    sums = counted(capsys)
    assert sums["TasksIncomplete", None] == 1
    return sums["TasksNeedPerson", None]


@pytest.mark.usefixtures("in_lambda")
def test_a_task_that_misses_an_item_for_a_lasting_reason_needs_a_person(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert needing_a_person(pipeline, capsys, "RAISE 'no'") == 1


@pytest.mark.usefixtures("in_lambda")
def test_a_task_whose_items_fail_for_a_transient_reason_needs_no_person(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.services.settings = Settings(SETTINGS | {"AUTOMATIC_ATTEMPTS": "3"})
    pipeline.load(bundle_of(["c-1"]) | {"content": []})
    raise_in(monkeypatch, GENERATE, THROTTLED)
    pipeline.run()
    sums = counted(capsys)
    assert (sums["TasksIncomplete", None], sums["TasksNeedPerson", None]) == (1, 0)


@pytest.mark.usefixtures("in_lambda")
def test_a_task_whose_automatic_attempts_are_over_needs_a_person_and_says_so(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: when somebody has acknowledged the group, the next task of it calls nobody."""

    pipeline.services.settings = Settings(SETTINGS | {"AUTOMATIC_ATTEMPTS": "0"})
    first, second = (
        bundle_of([f"c-{n}"], roadmap_id=f"r-{n}", task_id=f"t-{n}") | {"content": []} for n in (1, 2)
    )
    raise_in(monkeypatch, GENERATE, THROTTLED)
    pipeline.load(first)
    pipeline.run()
    assert counted(capsys)["TasksNeedPerson", None] == 1
    (event,) = pipeline.rows(
        "SELECT detail FROM content_events WHERE detail_type = 'Automatic Attempts Exhausted'"
    )
    data = event["detail"]["data"]
    assert (data["group"]["error_code"], data["console"]) == ("ModelThrottled", "console/#/tasks/t-1")
    groups = pipeline.rows("SELECT group_id FROM content_failure_groups")
    known = GroupStateRequest(state=GroupState.ACKNOWLEDGED, note="known")
    with pipeline.engine.begin() as connection:
        for row in groups:
            change_group(connection, row["group_id"], "operator:op", known)
    pipeline.task_id = "t-2"
    pipeline.load(second)
    pipeline.run()
    sums = counted(capsys)
    assert (sums["TasksIncomplete", None], sums["TasksNeedPerson", None]) == (1, 0)


@pytest.mark.usefixtures("in_lambda")
@pytest.mark.parametrize(
    ("method", "error", "refused"),
    [
        (GENERATE, ModelDeclinedError("no"), 3 * TYPES),
        ("roadmap_content.content.kind.ContentKind.parse", InvalidContentError("no"), 3 * TYPES),
        (GENERATE, THROTTLED, 0),
    ],
)
def test_a_release_that_refuses_everything_is_seen_in_what_the_canary_watches(
    pipeline: Pipeline,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    error: Exception,
    refused: int,
) -> None:
    """Also if each item is refused once: by Generate, and not again by Save, or the other way round."""
    pipeline.load(bundle_of(["c-1", "c-2", "c-3"]) | {"content": []})
    raise_in(monkeypatch, method, error)
    pipeline.run()
    sums = counted(capsys)
    assert (sums["ItemsPlanned", None], sums["ItemsRefused", None]) == (3 * TYPES, refused)
    assert sums["ItemsThrottled", None] == (3 * TYPES if error is THROTTLED else 0)


def scheduled_sweep(
    pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> Counter[tuple[str, str | None]]:
    capsys.readouterr()
    pipeline.sweep(time=datetime.now(UTC))
    return counted(capsys)


def test_a_sweep_of_the_schedule_is_counted_and_reports_what_waits(
    planned: Pipeline, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadmap_content.runs.reconciliation.reconcile.before_the_checks", lambda *_: ())
    planned.execute(
        "UPDATE content_queue SET state = 'waiting', class = 'interactive', "
        "enqueued_at = now() - interval '1 hour'"
    )
    sums = scheduled_sweep(planned, capsys)
    assert (sums["Sweeps", None], sums["QueueWaiting", None]) == (1, 1)
    assert 3600 <= sums["QueueOldestSeconds", None] < 4600

    planned.execute("UPDATE content_capacity SET stopped_reason = 'the bill'")
    assert scheduled_sweep(planned, capsys)["QueueOldestSeconds", None] == 0, "it waits by intention"

    reconciling = "roadmap_content.runs.reconciliation.reconcile._check_tasks"
    raise_in(monkeypatch, reconciling, DatabaseUnavailableError("gone"))
    with pytest.raises(DatabaseUnavailableError):
        scheduled_sweep(planned, capsys)
    assert counted(capsys)["Sweeps", None] == 1, "the database has an alarm of its own"


def test_what_waits_or_is_stopped_by_intention_rings_no_alarm(
    planned: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    planned.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
    planned.execute("UPDATE content_events SET recorded_at = recorded_at - interval '1 hour'")
    planned.execute("UPDATE content_queue SET enqueued_at = enqueued_at - interval '1 hour'")
    reported = {}
    for state, queue_class in (("running", "interactive"), ("waiting", "bulk"), ("waiting", "interactive")):
        planned.execute(
            "UPDATE content_queue SET state = :state, class = :name", state=state, name=queue_class
        )
        capsys.readouterr()
        report_queue(planned.services, Deadline.after(60))
        sums = counted(capsys)
        reported[state, queue_class] = sums["TasksStuck", None], sums["QueueOldestSeconds", None] > 0
    assert reported == {
        ("running", "interactive"): (1, False),
        ("waiting", "bulk"): (0, False),
        ("waiting", "interactive"): (0, True),
    }
    planned.execute("UPDATE content_queue SET state = 'running'")
    planned.execute("UPDATE content_capacity SET stopped_reason = 'the bill'")
    report_queue(planned.services, Deadline.after(60))
    assert counted(capsys)["TasksStuck", None] == 0


def test_other_invocations_of_reconcile_do_not_hide_that_the_schedule_stopped(
    planned: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(planned, "FAILED", capsys)["Sweeps", None] == 0
    planned.sweep(starts_only=True, time=datetime.now(UTC))
    planned.sweep()
    assert counted(capsys)["Sweeps", None] == 0


def test_a_refused_connection_is_counted_as_that_and_not_as_a_dead_database(
    planned: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    def refused(connection: Connection) -> None:
        connection.execute(text("DO $$ BEGIN RAISE 'full' USING ERRCODE = '53300'; END $$"))

    with pytest.raises(DatabaseUnavailableError):
        transact(planned.services.engine, refused, Deadline.after(3))
    sums = counted(capsys)
    assert sums["ConnectionsRefused", None] >= 1
    assert sums["DatabaseErrors", None] == 0
