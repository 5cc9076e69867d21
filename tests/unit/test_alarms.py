"""The notifications of an operator: which page notifies in which situation, and which must not.

CloudWatch is emulated from its documentation (`tests/support/cloudwatch.py`). The metrics and dimensions of
AWS's services are those of their documentation; ours are those that the code writes.
"""

import ast
import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any, NamedTuple

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template
from roadmap_content.platform.runtime.metrics import SUMMED, Metric
from tests.support.cloudwatch import Watch, follows
from tests.support.situations import (
    ALARMS,
    ALONE,
    BY_DESIGN,
    EXHAUSTED,
    FIVE,
    PAGES,
    after_database,
    bad_release,
    observe,
    table,
    told,
)

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")
LAYER = REPOSITORY / "layers/common/roadmap_content"
NAMESPACE = "RoadmapContent"


def of_type(template: Template, kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}


TEMPLATES = {
    name: template for template in (STACK, DATABASE) for name in of_type(template, "AWS::CloudWatch::Alarm")
}


class Watched(NamedTuple):
    """A metric of an alarm, with its dimensions by name."""

    namespace: str
    name: str
    dimensions: Mapping[str, Any]


def watched(alarm: Mapping[str, Any]) -> list[Watched]:
    """The metrics of an alarm: its own, or those of its expression."""
    metrics = [each["MetricStat"]["Metric"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    return [
        Watched(
            each["Namespace"],
            each["MetricName"],
            {dimension["Name"]: dimension["Value"] for dimension in each["Dimensions"]},
        )
        for each in metrics or [alarm]
    ]


DOCUMENTED: Mapping[tuple[str, str], tuple[str, ...]] = {
    # docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): ("FunctionName",),
    ("AWS/Lambda", "Invocations"): ("FunctionName",),
    # docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
    ("AWS/ApiGateway", "5XXError"): ("ApiName", "Stage"),
    ("AWS/ApiGateway", "Count"): ("ApiName", "Stage"),
    ("AWS/ApiGateway", "Latency"): ("ApiName", "Stage"),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
    ("AWS/RDS", "ACUUtilization"): ("DBInstanceIdentifier",),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy.monitoring.html: dimension set 1
    ("AWS/RDS", "DatabaseConnectionsBorrowLatency"): ("ProxyName",),
}
"""The dimensions that a service reports a metric with. With others, an alarm gets no data and never rings."""

IDENTIFIES: Mapping[str, str] = {
    "FunctionName": "AWS::Serverless::Function",
    "DBInstanceIdentifier": "AWS::RDS::DBInstance",
    "ProxyName": "AWS::RDS::DBProxy",
}
"""The type of the resource that a dimension identifies by its `Ref`."""


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_a_metric_with_the_dimensions_that_it_is_reported_with(name: str) -> None:
    template, alarm = TEMPLATES[name], ALARMS[name]
    for metric in watched(alarm):
        if metric.namespace == NAMESPACE:
            typed = "content_type" in metric.dimensions
            assert (metric.name, typed) in EMITTED or (not typed and metric.name in SUMMED), (
                f"no code writes {metric}"
            )
            assert metric.dimensions.keys() == ({"service", "content_type"} if typed else {"service"})
            variables = STACK["Globals"]["Function"]["Environment"]["Variables"]
            assert metric.dimensions["service"] == variables["POWERTOOLS_SERVICE_NAME"]
            assert variables["POWERTOOLS_METRICS_NAMESPACE"] == NAMESPACE
        else:
            assert tuple(metric.dimensions) == DOCUMENTED[metric.namespace, metric.name]
        for dimension, value in metric.dimensions.items():
            if kind := IDENTIFIES.get(dimension):
                assert template["Resources"][value["Ref"]]["Type"] == kind
    (api,) = of_type(STACK, "AWS::Serverless::Api").values()
    others = {key: value for metric in watched(alarm) for key, value in metric.dimensions.items()}
    assert others.get("ApiName", api["Name"]) == api["Name"]
    assert others.get("Stage", api["StageName"]) == api["StageName"]


def emissions() -> Iterator[tuple[str, bool]]:
    """Each metric that the layer's code writes, and whether it has a content type."""
    for path in LAYER.rglob("*.py"):
        tree = ast.parse(path.read_text())
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "emit":
                    counts = call.args[0]
                    if isinstance(counts, ast.Name):
                        parts = [
                            node for node in ast.walk(function) if _assigns(node, counts.id)
                        ]  # a variable
                    else:
                        parts = [counts]
                    for part in parts:
                        for name in _metrics_in(part):
                            yield Metric[name], len(call.args) + len(call.keywords) > 1


def _assigns(node: ast.AST, name: str) -> bool:
    """Whether a statement assigns to a variable, or to one of its entries."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return any(
        isinstance(each, ast.Name) and each.id == name for target in targets for each in ast.walk(target)
    )


def _metrics_in(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "Metric":
            yield each.attr


EMITTED = set(emissions())


def test_every_metric_is_written() -> None:
    assert {name for name, _ in EMITTED} == set(Metric)


def test_the_dashboard_shows_every_metric_with_the_dimensions_that_it_is_written_with() -> None:
    (dashboard,) = of_type(STACK, "AWS::CloudWatch::Dashboard").values()
    body = dashboard["DashboardBody"]["Fn::Sub"]
    alone = re.findall(r'\["RoadmapContent", "(\w+)", "service", "\$\{AWS::StackName\}"', body)
    by_type = re.findall(
        r"SEARCH\('\{RoadmapContent,content_type,service\} "
        r'MetricName=\\"(\w+)\\" service=\\"\$\{AWS::StackName\}\\"\', \'Sum\', 300\)", "label": "[^"]*'
        r"\$\{!PROP\('Dim\.content_type'\)\}",
        body,
    )
    assert body.count("SEARCH(") == len(by_type)
    shown = {(name, False) for name in alone} | {(name, True) for name in by_type}
    assert shown == {(str(name), typed) for name, typed in EMITTED}


ALONE_ON = 2_000
"""The tasks a day of the situations in which one alarm is raised."""


@pytest.mark.parametrize("tasks_a_day", [100, 20_000])
@pytest.mark.parametrize("situation", [None, *BY_DESIGN])
def test_no_alarm_is_raised_because_the_system_works_as_intended(
    situation: str | None, tasks_a_day: int
) -> None:
    incidents = () if situation is None else (BY_DESIGN[situation],)
    assert observe(tasks_a_day, *incidents).alarms == {"HourAlarm"}


def test_every_alarm_has_a_situation_in_which_it_alone_is_raised() -> None:
    assert ALONE.keys() | {"HourAlarm"} == ALARMS.keys()


@pytest.mark.parametrize("name", ALONE)
def test_an_alarm_is_raised_alone_and_its_page_notifies(name: str) -> None:
    watch = observe(ALONE_ON, ALONE[name], lasts=240)
    assert {each for each in watch.alarms if each in ALARMS} == {name, "HourAlarm"}
    (page,) = [each for each, page in PAGES.items() if each != "ReminderPage" and follows(page, {name})]
    assert told(watch).keys() == {page}
    assert not ALARMS[name].keys() & {"AlarmActions", "OKActions"}


PAGE_OF: Mapping[str, str] = {
    "the model is throttled": "ModelPage",  # the queue grows, but the page of its cause suppresses it
    "tasks hang": "RunsPage",
    "a bad release": "RunsPage",
    "tokens run away": "ModelPage",
    "connections are refused": "DatabasePage",
}


def told_in_time(watch: Watch) -> set[str]:
    """The pages that notify while automatic attempts still follow; later, tasks need a person too."""
    late = {page for page, minute in told(watch).items() if minute >= EXHAUSTED}
    assert late <= {"RunsPage"}
    return told(watch).keys() - late


@pytest.mark.parametrize("tasks_a_day", [100, 20_000])
@pytest.mark.parametrize("name", FIVE)
def test_an_incident_notifies_one_page(name: str, tasks_a_day: int) -> None:
    watch = observe(tasks_a_day, FIVE[name])
    if (name, tasks_a_day) == ("tasks hang", 100):  # two tasks without progress take longer to come together
        assert told(watch).keys() == {PAGE_OF[name]}
    else:
        assert told_in_time(watch) == {PAGE_OF[name]}


@pytest.mark.parametrize(("one", "other"), [*combinations(FIVE, 2)])
def test_two_incidents_together_notify_both_pages(one: str, other: str) -> None:
    assert told_in_time(observe(20_000, FIVE[one], FIVE[other])) == {PAGE_OF[one], PAGE_OF[other]}


@pytest.mark.parametrize("tasks_a_day", [100, 20_000])
def test_repairs_after_a_database_outage_do_not_notify(tasks_a_day: int) -> None:
    watch = observe(tasks_a_day, after_database)
    assert told(watch).keys() == {"DatabasePage"}
    if tasks_a_day == 20_000:
        assert "TasksRepairedAlarm" in watch.alarms, "suppressed, not unnoticed"


def test_a_page_that_stays_red_notifies_again_each_hour() -> None:
    reminders = [minute for minute, page in observe(20_000, bad_release).notified if page == "ReminderPage"]
    assert len(reminders) == 2
    assert reminders[1] - reminders[0] == 60


def test_a_day_without_a_red_page_has_no_reminder() -> None:
    assert observe(20_000).notified == []


def test_the_document_has_the_matrix() -> None:
    assert table() in (REPOSITORY / "docs/operations.md").read_text()


def test_the_dashboard_answers_its_questions_from_top_to_bottom() -> None:
    (dashboard,) = of_type(STACK, "AWS::CloudWatch::Dashboard").values()
    widgets = json.loads(dashboard["DashboardBody"]["Fn::Sub"])["widgets"]
    places = [(each["y"], each["x"]) for each in widgets]
    assert places == sorted(places)
    covered = [
        set(product(range(x, x + each["width"]), range(y, y + each["height"])))
        for each, (y, x) in zip(widgets, places, strict=True)
    ]
    assert sum(map(len, covered)) == len(set().union(*covered)), "widgets overlap"
    headings = [each["properties"]["markdown"] for each in widgets if each["type"] == "text"]
    assert [heading.split(". ")[1] for heading in headings] == [
        "Are users served?",
        "What waits, and since when?",
        "What fails, and why?",
        "What does it cost?",
        "What is at its limit?",
    ]


def test_events_that_fail_reach_the_queue_whatever_the_stack_is_called() -> None:
    """CloudFormation truncates a long stack name in a rule's name, so the policy must not match names."""
    (policy,) = of_type(STACK, "AWS::SQS::QueuePolicy").values()
    (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    rules = {
        f"{function}{event}"  # as SAM names them
        for function, each in of_type(STACK, "AWS::Serverless::Function").items()
        for event, source in each.get("Events", {}).items()
        if source["Type"] in ("EventBridgeRule", "Schedule")
        and source["Properties"]["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}
    }
    sources = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {tuple(source["Fn::GetAtt"]) for source in sources} == {(rule, "Arn") for rule in rules}
    assert len(rules) == 4
