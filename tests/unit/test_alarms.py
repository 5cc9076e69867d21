"""What an operator sees of an alarm: it rings if and only if its cause is there, on one page.

CloudWatch is a model here, written from its documentation: an alarm's periods, its treatment of missing data,
and the rule of a composite alarm. The metrics and dimensions of AWS's services are those of their
documentation; ours are those that the code writes.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template
from roadmap_content.items import ContentType
from roadmap_content.runtime.metrics import Metric

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")
LAYER = REPOSITORY / "layers/common/roadmap_content"
NAMESPACE = "RoadmapContent"


def of_type(template: Template, kind: str) -> dict[str, Any]:
    return {name: each["Properties"] for name, each in template["Resources"].items() if each["Type"] == kind}


ALARMS = {
    name: (template, alarm)
    for template in (STACK, DATABASE)
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
}
PAGES = {
    name: page
    for template in (STACK, DATABASE)
    for name, page in of_type(template, "AWS::CloudWatch::CompositeAlarm").items()
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
    # docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html
    ("AWS/States", "ExecutionsFailed"): ("StateMachineArn",),
    ("AWS/States", "ExecutionsTimedOut"): ("StateMachineArn",),
    # docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    ("AWS/Lambda", "Errors"): ("FunctionName",),
    # docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    ("AWS/Events", "Invocations"): ("RuleName",),
    # docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "NumberOfMessagesSent"): ("QueueName",),
    # docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
    ("AWS/ApiGateway", "5XXError"): ("ApiName", "Stage"),
    ("AWS/ApiGateway", "Latency"): ("ApiName", "Stage"),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
    ("AWS/RDS", "ACUUtilization"): ("DBInstanceIdentifier",),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy.monitoring.html: dimension set 1
    ("AWS/RDS", "DatabaseConnectionsBorrowLatency"): ("ProxyName",),
}
"""The dimensions that a service reports a metric with. With others, an alarm gets no data and never rings."""

IDENTIFIES: Mapping[str, str] = {
    "StateMachineArn": "AWS::Serverless::StateMachine",
    "FunctionName": "AWS::Serverless::Function",
    "DBInstanceIdentifier": "AWS::RDS::DBInstance",
    "ProxyName": "AWS::RDS::DBProxy",
}
"""The type of the resource that a dimension identifies by its `Ref`."""


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_watches_a_metric_with_the_dimensions_that_it_is_reported_with(name: str) -> None:
    template, alarm = ALARMS[name]
    for metric in watched(alarm):
        if metric.namespace == NAMESPACE:
            typed = "content_type" in metric.dimensions
            assert (metric.name, typed) in EMITTED, f"no code writes {metric}"
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
    of_machine = [each for each in watched(alarm) if each.namespace == "AWS/States"]
    assert all(each.dimensions["StateMachineArn"]["Ref"] == "SaveContentStateMachine" for each in of_machine)
    others = {key: value for metric in watched(alarm) for key, value in metric.dimensions.items()}
    assert others.get("ApiName", api["Name"]) == api["Name"]
    assert others.get("Stage", api["StageName"]) == api["StageName"]
    assert others.get("QueueName", 0) in (0, {"Fn::GetAtt": ["DeadLetters", "QueueName"]})


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
    shown = set(
        re.findall(
            r'\["RoadmapContent", "(\w+)", "service", "\$\{AWS::StackName\}"(?:, "content_type", "(\w+)")?',
            dashboard["DashboardBody"]["Fn::Sub"],
        )
    )
    of_all_types = {("ItemsMissing", False)}  # for its alarm; the dashboard shows each type
    assert shown == {
        (str(name), str(content_type))
        for name, typed in EMITTED - of_all_types
        for content_type in (ContentType if typed else [""])
    }


COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

Periods = Sequence[float | None]


def rings(alarm: Mapping[str, Any], periods: Periods) -> bool:
    """Whether an alarm is raised after these periods, the latest last; `None` is a period without data.

    The model: all of the last `EvaluationPeriods` breach the threshold; a period without data counts as
    `TreatMissingData` says.
    """
    assert "DatapointsToAlarm" not in alarm, "the model does not know it"
    threshold = alarm["Threshold"]
    if isinstance(threshold, dict):
        threshold = STACK["Parameters"][threshold["Ref"]]["Default"]
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    missing = {"breaching": True, "notBreaching": False}[alarm["TreatMissingData"]]
    last = ([None] * alarm["EvaluationPeriods"] + list(periods))[-alarm["EvaluationPeriods"] :]
    return all(missing if value is None else breaches(value, threshold) for value in last)


def seconds_of(alarm: Mapping[str, Any]) -> set[int]:
    """The lengths of an alarm's periods."""
    stats = [each["MetricStat"] for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    return {each["Period"] for each in stats or [alarm]}


def statistics_of(alarm: Mapping[str, Any]) -> set[str]:
    """An alarm's statistics, and the expression that joins them."""
    stats = {each.get("Expression") or each["MetricStat"]["Stat"] for each in alarm.get("Metrics", ())}
    return stats or {alarm.get("Statistic") or alarm["ExtendedStatistic"]}


class Case(NamedTuple):
    """What an alarm does: the periods after which it rings, and those after which it does not."""

    rings: Sequence[Periods]
    silent: Sequence[Periods]
    statistics: frozenset[str] = frozenset({"Sum"})
    period: int = 300


ONE_IS_TOO_MANY = Case(rings=[[1], [None, 0, 3]], silent=[[0], [None], [1, 0], [5, None]])
"""An alarm about errors: one rings, none does not, and it ends by itself."""

SUMMED = ONE_IS_TOO_MANY._replace(statistics=frozenset({"Sum", "SUM(METRICS())"}))

CASES: Mapping[str, Case] = {
    "ExecutionsFailedAlarm": ONE_IS_TOO_MANY,
    "ExecutionsTimedOutAlarm": ONE_IS_TOO_MANY,
    "RunsAbortedAlarm": ONE_IS_TOO_MANY,
    "ItemsMissingAlarm": ONE_IS_TOO_MANY,
    "StepErrorsAlarm": SUMMED,
    "SweepSilentAlarm": Case(
        rings=[[None] * 4, [1, None, 0, None, None]],
        # EventBridge may start two sweeps in one period, and none in the next.
        silent=[[1], [2, None, 2, None], [1, None, None, None]],
    ),
    "ReconcileErrorsAlarm": SUMMED,
    "DeadLettersAlarm": ONE_IS_TOO_MANY,
    "TasksRepairedAlarm": ONE_IS_TOO_MANY,
    "DatabaseErrorsAlarm": ONE_IS_TOO_MANY,
    "ApiErrorsAlarm": ONE_IS_TOO_MANY,
    "ApiFunctionErrorsAlarm": SUMMED,
    "ApiLatencyAlarm": Case(
        rings=[[5001] * 3], silent=[[4999] * 3, [9000, 9000], [9000, 9000, 10]], statistics=frozenset({"p99"})
    ),
    "ModelThrottledAlarm": Case(rings=[[1, 1, 1]], silent=[[50], [7, 7], [7, None, 7], [0, 0, 0]]),
    "TokenSpendAlarm": Case(
        rings=[[20_000_001]],
        silent=[[20_000_000], [None]],
        statistics=frozenset({"Sum", "SUM(METRICS())"}),
        period=3600,
    ),
    "RecoveriesStoppedAlarm": ONE_IS_TOO_MANY,
    "AutomaticAttemptsRefusedAlarm": ONE_IS_TOO_MANY,
    "CapacityAlarm": Case(
        rings=[[91, 99, 100]],
        silent=[[90] * 3, [100, 100], [None] * 3],
        statistics=frozenset({"Average", "MAX(METRICS())"}),
    ),
    "ConnectionsAlarm": Case(
        rings=[[1_000_001] * 3],
        silent=[[999_999] * 3, [None] * 3, [9e6, 9e6, 10]],
        statistics=frozenset({"Average"}),
    ),
}


def test_every_alarm_has_its_case() -> None:
    assert CASES.keys() == ALARMS.keys()


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_rings_if_and_only_if_its_cause_is_there(name: str) -> None:
    _, alarm = ALARMS[name]
    case = CASES[name]
    assert [periods for periods in case.rings if not rings(alarm, periods)] == []
    assert [periods for periods in case.silent if rings(alarm, periods)] == []
    assert statistics_of(alarm) == case.statistics
    assert seconds_of(alarm) == {case.period}


TOKEN = re.compile(r'\s*(ALARM\("\$\{(\w+)\}"\)|AND|OR|NOT|\(|\))')


def notified(page: Mapping[str, Any], raised: set[str]) -> bool:
    """Whether a page is in ALARM while these alarms are raised. The model: the rule, a Boolean expression."""
    rule = page["AlarmRule"]
    if "Fn::If" in rule:
        rule = rule["Fn::If"][1]
    text = rule["Fn::Sub"]
    words = []
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        assert found, f"not a rule: {text[position:]}"
        words.append(str(found[2] in raised) if found[2] else found[1].lower())
        position = found.end()
    return bool(eval(" ".join(words)))  # noqa: S307 - Boolean words only


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_on_one_page(name: str) -> None:
    assert len([page for page in PAGES.values() if notified(page, {name})]) == 1


def test_no_page_without_an_alarm() -> None:
    assert [name for name, page in PAGES.items() if notified(page, set())] == []


INDEPENDENT = {
    "DatabasePage",
    "ModelPage",  # the model's quota and the spent tokens are no consequences of the database
    "CapacityPage",  # of the database's own stack: too little capacity is a cause
}


def test_the_page_of_the_database_suppresses_those_of_its_consequences() -> None:
    suppressed = {name for name, page in PAGES.items() if "ActionsSuppressor" in page}
    assert suppressed == PAGES.keys() - INDEPENDENT
    for name in suppressed:
        page = PAGES[name]
        assert page["ActionsSuppressor"] == {"Ref": "DatabasePage"}
        # The database's alarm may be raised after that of a consequence (CloudWatch evaluates an alarm each
        # minute, and reads our metrics from logs), and ends before it. A longer wait would delay other pages.
        assert 120 <= page["ActionsSuppressorWaitPeriod"] <= 300
        longest = max(max(seconds_of(alarm)) for each, (_, alarm) in ALARMS.items() if notified(page, {each}))
        assert page["ActionsSuppressorExtensionPeriod"] >= longest


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
    assert len(rules) == 3
