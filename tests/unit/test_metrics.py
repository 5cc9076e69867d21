"""Metrics: one line in CloudWatch's embedded metric format per call, and nothing outside Lambda."""

import json
from typing import Any

import pytest

from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.metrics import Metric, emit


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "a-stack")


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.usefixtures("in_lambda")
def test_metrics_of_a_content_type_are_written_as_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    emit({Metric.ITEMS_SAVED: 24, Metric.ITEMS_NOT_SAVED: 1, Metric.BATCH_SECONDS: 0.25}, ContentType.QUIZ)
    (line,) = lines(capsys)
    (described,) = line["_aws"]["CloudWatchMetrics"]
    assert described["Namespace"] == "RoadmapContent"
    assert [set(dimensions) for dimensions in described["Dimensions"]] == [{"service", "content_type"}]
    assert {metric["Name"]: metric["Unit"] for metric in described["Metrics"]} == {
        "ItemsSaved": "Count",
        "ItemsNotSaved": "Count",
        "BatchSeconds": "Seconds",
    }
    assert (line["service"], line["content_type"]) == ("a-stack", "quiz")
    assert (line["ItemsSaved"], line["ItemsNotSaved"], line["BatchSeconds"]) == ([24], [1], [0.25])


@pytest.mark.usefixtures("in_lambda")
def test_a_metric_that_an_alarm_sums_up_is_also_written_without_its_content_type(
    capsys: pytest.CaptureFixture[str],
) -> None:
    emit({Metric.ITEMS_GENERATED: 24, Metric.ITEMS_NOT_GENERATED: 1}, ContentType.QUIZ)
    (line,) = lines(capsys)
    written: set[tuple[str, frozenset[str]]] = {
        (metric["Name"], frozenset(*directive["Dimensions"]))
        for directive in line["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }
    assert written == {
        ("ItemsGenerated", frozenset({"service", "content_type"})),
        ("ItemsNotGenerated", frozenset({"service", "content_type"})),
        ("ItemsGenerated", frozenset({"service"})),
    }


@pytest.mark.usefixtures("in_lambda")
def test_a_call_does_not_repeat_earlier_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    emit({Metric.ITEMS_SAVED: 1}, ContentType.QUIZ)
    emit({Metric.TASKS_REPAIRED: 2})
    _, line = lines(capsys)
    assert line["TasksRepaired"] == [2]
    assert "content_type" not in line
    assert "ItemsSaved" not in line


def test_outside_lambda_nothing_is_written(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POWERTOOLS_METRICS_NAMESPACE", raising=False)
    emit({Metric.ITEMS_SAVED: 1})
    assert capsys.readouterr().out == ""
