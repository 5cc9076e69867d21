"""The metrics of the steps match their results."""

import json
from collections import Counter

import pytest

from roadmap_content.items import ContentType
from tests.factories import bundle_of
from tests.integration.pipeline import Pipeline


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
    assert sums["BatchesPlanned", None] == 3
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
