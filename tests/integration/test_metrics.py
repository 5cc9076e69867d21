"""The metrics of the steps match their results."""

import json
from collections import Counter

import pytest

from roadmap_content.api.cancel import cancel_task
from roadmap_content.aws.executions import CANCELLED
from roadmap_content.items import ContentType
from roadmap_content.reconciliation.reconcile import ExecutionEnd, ReconcileRequest, reconcile
from roadmap_content.runtime.deadline import Deadline
from tests.support.factories import USER, bundle_of
from tests.support.pipeline import Pipeline


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
    assert [sums["ItemsStaged", kind] for kind in ContentType] == [3, 3, 3]
    assert {kind: sums["ItemsSaved", kind] for kind in ContentType} == {
        "tutorial": 3,
        "resources": 3,
        "quiz": 2,
    }
    assert [sums["ItemsNotSaved", kind] for kind in ("tutorial", "quiz")] == [0, 1]
    assert (sums["ItemsMissing", None], sums["ItemsMissing", "quiz"]) == (1, 1)
    assert (sums["TasksCompleted", None], sums["TasksIncomplete", None]) == (0, 1)
    assert sums["TaskSeconds", None] > 0


@pytest.fixture
def planned(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    """A run of one concept that has been planned and does not end by itself."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    pipeline.load(bundle_of(["c-1"]))
    pipeline.plan()
    return pipeline


def ended(
    pipeline: Pipeline, status: str, capsys: pytest.CaptureFixture[str], error: str | None = None
) -> Counter[tuple[str, str | None]]:
    """The metrics of the reconciliation of the current execution, which ended with this status."""
    capsys.readouterr()
    end = ExecutionEnd(execution_arn=pipeline.execution().arn, status=status, error=error)
    reconcile(ReconcileRequest(detail=end), pipeline.services, Deadline.after(600))
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


def test_a_run_that_no_event_reported_is_counted_as_a_repair_of_the_sweep(
    planned: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    planned.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
    capsys.readouterr()
    reconcile(ReconcileRequest(), planned.services, Deadline.after(600))
    assert counted(capsys)["TasksRepaired", None] == 1
