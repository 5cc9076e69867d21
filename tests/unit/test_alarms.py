"""The metrics of alarms and dashboard: AWS's metrics as documented, and ours as the code writes them.

Whether CloudWatch then raises an alarm is known only on AWS.
"""

import ast
import json
import re
import runpy
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, of_type
from roadmap_content.content.generation.quota import GenerationStoppedError
from roadmap_content.contracts.errors import ContentError, DatabaseUnavailableError
from roadmap_content.contracts.payloads import Payload
from roadmap_content.platform.runtime.metrics import SUMMED, Metric
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.steps.handler import step_handler
from tests.support.requests_to_api import Context
from tests.support.templates import DATABASE, STACK, behind_the_api

if TYPE_CHECKING:
    from roadmap_content.state.services import Services

LAYER = REPOSITORY / "layers/common/roadmap_content"
NAMESPACE = "RoadmapContent"


ALARMS = {
    name: (template, alarm)
    for template in (STACK, DATABASE)
    for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
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
    ("AWS/Lambda", "Throttles"): ("FunctionName",),
    # docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
    ("AWS/ApiGateway", "4XXError"): ("ApiName", "Stage"),
    ("AWS/ApiGateway", "5XXError"): ("ApiName", "Stage"),
    ("AWS/ApiGateway", "Count"): ("ApiName", "Stage"),
    ("AWS/ApiGateway", "Latency"): ("ApiName", "Stage"),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
    # docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    ("AWS/SQS", "NumberOfMessagesSent"): ("QueueName",),
    # docs.aws.amazon.com/eventbridge/latest/userguide/eb-monitoring.html
    ("AWS/Events", "TriggeredRules"): ("RuleName",),
    ("AWS/RDS", "ACUUtilization"): ("DBInstanceIdentifier",),
    # docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-proxy.monitoring.html: dimension set 1
    ("AWS/RDS", "DatabaseConnectionsBorrowLatency"): ("ProxyName",),
}
"""The dimensions that a service reports a metric with. With others, an alarm gets no data and never rings."""

IDENTIFIES: Mapping[str, str] = {
    "FunctionName": "AWS::Serverless::Function",
    "RuleName": "AWS::Events::Rule",
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
            assert (metric.name, typed) in EMITTED | COUNTED or (not typed and metric.name in SUMMED), (
                f"nothing writes {metric}"
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
    """Each metric that the code writes, and whether it has a content type."""
    paths = [*LAYER.rglob("*.py"), *REPOSITORY.glob("functions/*/app.py")]
    for source in (path.read_text() for path in paths):
        tree = ast.parse(source if "emit(" in source else "")
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
FILTERS = {
    change["MetricName"]: (each["FilterPattern"], change)
    for each in of_type(STACK, "AWS::Logs::MetricFilter").values()
    for change in each["MetricTransformations"]
}
UNKNOWN_PATH = "MISSING_AUTHENTICATION_TOKEN"
"""API Gateway's line about a path that it does not have: a scanner's."""

COUNTED = {(name, False) for name in FILTERS}
"""The metrics that CloudWatch counts in the API's access log."""


def matches(pattern: str, line: Mapping[str, str]) -> bool:
    """Whether CloudWatch's pattern selects a line: emulated from its documentation."""

    def holds(term: str) -> bool:
        field, sign, value = term.strip(" ()").split(" ", 2)
        return fnmatch(line[field.removeprefix("$.")], value.strip('"')) is (sign == "=")

    return all(any(map(holds, part.split("||"))) for part in pattern.strip("{} ").split("&&"))


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("ApiUnauthorized", {"403 -"}),
        ("ApiRefused", {"401 -", "403 -", "404 -", f"403 {UNKNOWN_PATH}"}),
    ],
)
def test_a_filter_counts_lines_as_the_access_log_writes_them(name: str, counted: set[str]) -> None:
    pattern, change = FILTERS[name]
    (api,) = of_type(STACK, "AWS::Serverless::Api").values()
    line = json.loads(api["AccessLogSetting"]["Format"]["Fn::Sub"].replace("\n", ""))
    assert line["status"] == "$context.status", "a text, in the JSON of a line"
    assert line["error"] == "$context.error.responseType"
    answers = [f"{status} -" for status in (200, 304, 401, 403, 404, 429, 500)] + [f"403 {UNKNOWN_PATH}"]
    lines = {each: dict(zip(("status", "error"), each.split(), strict=True)) for each in answers}
    assert {each for each, values in lines.items() if matches(pattern, values)} == counted
    assert change["MetricNamespace"] == NAMESPACE
    assert change["Dimensions"] == [{"Key": "service", "Value": "$.service"}]
    assert line["service"] == "${AWS::StackName}"


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
    assert shown == {(str(name), typed) for name, typed in EMITTED} | COUNTED


@pytest.mark.parametrize("name", ["ApiErrorsAlarm", "ApiReservationAlarm"])
def test_a_used_up_reservation_of_each_function_behind_the_api_is_told_from_an_error(name: str) -> None:
    throttled = {
        each.dimensions["FunctionName"]["Ref"]
        for each in watched(ALARMS[name][1])
        if each.name == "Throttles"
    }
    assert throttled == behind_the_api()
    (dashboard,) = of_type(STACK, "AWS::CloudWatch::Dashboard").values()
    shown = re.findall(r'"Throttles", "FunctionName", "\$\{(\w+)\}"', dashboard["DashboardBody"]["Fn::Sub"])
    assert throttled <= set(shown)


MATH = {
    "IF": lambda condition, yes, no: yes if condition else no,
    "FILL": lambda value, other: other if value is None else value,
    "MAX": max,
}
Point = float | None
Points = Point | list[Point]
"""The points of a metric: the same in all periods, or the newest ones, the last one at the end."""

EXTRA = 2
"""The points that CloudWatch reads beyond the evaluation periods, in the tables below."""


def alarms(breaching: list[bool | None], periods: int, needed: int, *, missing_breaches: bool) -> bool:
    """Whether an alarm is in ALARM: emulated from "Configuring how CloudWatch alarms treat missing data".
    `None` is a missing point. It counts only if there are fewer other ones than periods.
    """
    real = [point for point in breaching if point is not None][-periods:]
    return sum(real) + missing_breaches * (periods - len(real)) >= needed


@pytest.mark.parametrize(
    ("needed", "points", "if_breaching", "if_not"),
    [
        (3, "0 - X - X", False, False),
        (3, "0 - - - -", False, False),
        (3, "- - - - -", True, False),
        (3, "0 X X - X", True, True),
        (3, "- - X - -", True, False),
        (2, "0 - X - X", True, True),
        (2, "0 0 X 0 X", True, True),
        (2, "0 - X - -", True, False),
        (2, "- - - - 0", True, False),
        (2, "- - - X -", True, False),
    ],
)
def test_the_emulation_has_the_states_of_aws_s_tables(
    needed: int, points: str, if_breaching: bool, if_not: bool
) -> None:
    """Both tables of that page of CloudWatch's user guide, read on 2026-12-03: `needed` of 3 periods."""
    breaching = [{"0": False, "X": True}.get(point) for point in points.split()]
    states = [alarms(breaching, 3, needed, missing_breaches=treated) for treated in (True, False)]
    assert states == [if_breaching, if_not]


def is_red(name: str, counts: Mapping[str, Points], *, minutes: int = 10_000) -> bool:
    """Whether an alarm is red, so many minutes after its creation. `counts` has the points by a metric's id
    or name; those of the others are missing.
    """
    template, alarm = ALARMS[name]
    if minutes < alarm.get("WarmUpConfiguration", {}).get("WarmUpPeriodDurationInMinutes", 0):
        return False  # "Alarm warm-up periods": it is not evaluated
    periods = alarm["EvaluationPeriods"]
    size = periods + EXTRA
    metrics = [each.get("Id") for each in alarm.get("Metrics", ()) if "MetricStat" in each]
    points: dict[str, list[Point]] = {}
    for each in metrics or [alarm["MetricName"]]:
        found = counts.get(each)
        missing: list[Point] = [None] * size
        points[each] = (missing + found)[-size:] if isinstance(found, list) else [found] * size
    (formula,) = [each["Expression"] for each in alarm.get("Metrics", ()) if "Expression" in each] or [
        *points
    ]
    formula = formula.replace("METRICS()", f"[{', '.join(points)}]")
    required = points.keys() & re.findall(r"\w+", re.sub(r"FILL\(\w+, 0\)", "", formula))
    limit = alarm["Threshold"]
    limit = default_of(template, limit["Ref"]) if isinstance(limit, dict) else limit
    is_under = alarm["ComparisonOperator"] == "LessThanThreshold"
    breaching: list[bool | None] = []
    for period in range(size):
        moment = {metric: values[period] for metric, values in points.items()}
        if any(moment[metric] is None for metric in required):
            breaching.append(None)
            continue
        try:
            value = eval(formula, MATH, moment) if metrics else moment[formula]  # noqa: S307 - our template's
        except ZeroDivisionError:  # the branch of an IF that is not taken
            breaching.append(None)
            continue
        breaching.append(value < limit if is_under else value > limit)
    needed, treated = alarm.get("DatapointsToAlarm", periods), alarm["TreatMissingData"]
    return alarms(breaching, periods, needed, missing_breaches=treated == "breaching")


Counts = Mapping[str, float]
SCENARIOS = {
    "TasksNeedPersonAlarm": ("bad=10 incomplete=10 complete=0", "bad=1 complete=90 incomplete=10"),
    "TasksLateAlarm": ("bad=80 complete=90 incomplete=10", "bad=60 complete=90 incomplete=10"),
    "TasksOfADayAlarm": ("bad=5 late=0 complete=0 incomplete=5", "bad=10 late=10 complete=90 incomplete=10"),
    "TasksStuckAlarm": ("stuck=20 work=90", "stuck=2 work=90"),
    "StepErrorsAlarm": ("errors1=9 calls1=100", "errors0=90 excused=90 calls0=100 calls1=100"),
    "ItemsRefusedAlarm": ("refused=100", "refused=100 planned=9000"),
    "QueueAgeAlarm": ("QueueOldestSeconds=1801", "QueueOldestSeconds=60"),
    "SweepSilentAlarm": ("", "Sweeps=1"),
    "TasksRepairedAlarm": ("TasksRepaired=10", "TasksRepaired=9"),
    "EventsSetAsideAlarm": ("EventsSetAside=1", "EventsSetAside=0"),
    "DatabaseFindingsAlarm": ("DatabaseFindings=1", "DatabaseFindings=0"),
    "DeadLettersAlarm": ("NumberOfMessagesSent=1", "NumberOfMessagesSent=0"),
    "DatabaseErrorsAlarm": ("DatabaseErrors=3", "DatabaseErrors=2"),
    "KeyAtRiskAlarm": ("TriggeredRules=1", "TriggeredRules=0"),
    "ConnectionsRefusedAlarm": ("ConnectionsRefused=10", "ConnectionsRefused=9"),
    "ApiErrorsAlarm": ("errors=30 requests=100", "errors=90 excused=50 tasks=40 requests=100"),
    "ApiLatencyAlarm": ("latency=6000 requests=100", "latency=90 requests=100"),
    "ApiUnauthorizedAlarm": ("refused=12 requests=12", "refused=10 requests=900"),
    "ApiThrottledAlarm": ("clients=90", "clients=90 logged=90"),
    "ApiReservationAlarm": ("console=30", "tasks=1 console=1"),
    "ModelThrottledAlarm": ("throttled=10 items=0", "throttled=10 items=900"),
    "TokensPerItemAlarm": ("read=300000 written=100000 items=9", "read=900000 written=100000 items=500"),
    "TokenSpendAlarm": ("read=1e+09 written=1e+09", "read=900000 written=100000"),
    "CapacityAlarm": ("instance=95 standby=20", "instance=50 standby=50"),
    "ConnectionsAlarm": ("DatabaseConnectionsBorrowLatency=2e+06", "DatabaseConnectionsBorrowLatency=1000"),
}
"""By alarm: what it is for, and a busy system that needs nobody; as points of its metrics."""


def counts_of(text: str) -> Counts:
    return {name: float(value) for name, value in (pair.split("=") for pair in text.split())}


def test_every_alarm_has_its_scenarios() -> None:
    assert ALARMS.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_alarm_is_red_for_what_it_is_for_also_with_sparse_points(name: str) -> None:
    """Regression: an average over the periods counted missing points as 0, and a lockout was silent."""
    counts, good = map(counts_of, SCENARIOS[name])
    assert (is_red(name, counts), is_red(name, good)) == (True, False)
    assert is_red(name, {metric: [count, None, count, None, count] for metric, count in counts.items()})
    one_of_many: dict[str, Points] = {
        metric: [*[good.get(metric, 0.0)] * 4, count] for metric, count in counts.items()
    }
    alarm = ALARMS[name][1]
    needed = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    assert is_red(name, {**good, **one_of_many}) == (needed == 1)


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_alarm_is_red_because_a_point_comes_late(name: str) -> None:
    """A counter may be complete before the other one: a log, a batch that has not ended."""
    counts = counts_of(SCENARIOS[name][1])
    for late, count in counts.items():
        points: list[Point] = [*[count] * ALARMS[name][1]["EvaluationPeriods"], None]
        assert not is_red(name, {**counts, late: points}), late


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_alarm_without_any_point_is_silent_at_its_creation(name: str) -> None:
    """Regression: the alarm of the sweep rang before the first one."""
    assert not is_red(name, {}, minutes=29)


def test_the_alarm_of_the_sweep_rings_25_minutes_after_the_last_one() -> None:
    """Any sweep in the evaluation range keeps it silent: row 2 of AWS's first table."""
    alarm = ALARMS["SweepSilentAlarm"][1]
    assert (alarm["Period"], "25 minutes" in alarm["AlarmDescription"]) == (300, True)
    assert not is_red("SweepSilentAlarm", {"Sweeps": [1, *[None] * 4]})
    assert is_red("SweepSilentAlarm", {"Sweeps": [1, *[None] * 5]})


@pytest.mark.parametrize(
    ("name", "counts", "red"),
    [
        pytest.param("TasksOfADayAlarm", {"late": 4, "complete": 6}, True, id="four of six late"),
        pytest.param("TasksOfADayAlarm", {"bad": 3, "complete": 3, "incomplete": 3}, False, id="half of six"),
        pytest.param("TasksOfADayAlarm", {"bad": 2, "incomplete": 2}, False, id="two"),
        pytest.param("ApiErrorsAlarm", {"errors": 30, "console": 30, "requests": 100}, False, id="throttled"),
        pytest.param("ApiUnauthorizedAlarm", {"requests": 100}, False, id="a scanner"),
        pytest.param("ApiUnauthorizedAlarm", {"refused": 10, "requests": 100}, True, id="a canary's tenth"),
        pytest.param("ApiUnauthorizedAlarm", {"refused": 9, "requests": 9}, False, id="few"),
    ],
)
def test_a_threshold_is_where_it_is_meant(name: str, counts: Counts, red: bool) -> None:
    zero = dict.fromkeys(("bad", "late", "complete", "incomplete"), 0.0) if name.startswith("Tasks") else {}
    assert is_red(name, zero | dict(counts)) is red


PAGE = (REPOSITORY / "docs/alarms.md").read_text()


def test_the_document_has_each_alarm_on_its_page() -> None:
    pages = {
        page["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-"): set(
            re.findall(r"\w+Alarm", page["AlarmRule"]["Fn::Sub"])
        )
        for template in (STACK, DATABASE)
        for page in of_type(template, "AWS::CloudWatch::CompositeAlarm").values()
    }
    sections = dict(each.split("\n", 1) for each in PAGE.split("\n## ")[1:])
    assert pages.keys() <= sections.keys()
    rows = {page: re.findall(r"^\| `(\w+)` \|", sections[page], re.MULTILINE) for page in pages}
    assert {page: set(found) for page, found in rows.items()} == pages


def test_events_that_fail_reach_the_queue_whatever_the_stack_is_called() -> None:
    """CloudFormation truncates a long stack name in a rule's name, so the policy must not match names."""
    (policy,) = of_type(STACK, "AWS::SQS::QueuePolicy").values()
    (allowed,) = [each for each in policy["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    rules = {
        f"{function}{event}"  # as SAM names them
        for function, each in of_type(STACK, "AWS::Serverless::Function").items()
        for event, source in each.get("Events", {}).items()
        if source["Type"] in ("EventBridgeRule", "Schedule")
        and source["Properties"].get("DeadLetterConfig") == {"Arn": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}
    }
    rules |= {
        name
        for name, each in of_type(STACK, "AWS::Events::Rule").items()
        if {"Fn::GetAtt": ["DeadLetters", "Arn"]} in [target["Arn"] for target in each["Targets"]]
    }
    sources = allowed["Condition"]["ArnEquals"]["aws:SourceArn"]
    assert {tuple(source["Fn::GetAtt"]) for source in sources} == {(rule, "Arn") for rule in rules}
    assert len(rules) == 4


STEPS = sorted(
    app.parent.name for app in REPOSITORY.glob("functions/*/app.py") if "step_handler" in app.read_text()
)


def below(kind: type[ContentError]) -> Iterator[type[ContentError]]:
    """An error type and all types below it."""
    yield kind
    for inner in kind.__subclasses__():
        yield from below(inner)


@pytest.mark.parametrize("function", STEPS)
def test_the_errors_that_the_alarm_of_the_steps_excuses_are_those_that_it_counts(
    function: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For each state's own event: a stop of generation, for example, must page nobody."""
    errors = list(below(ContentError))
    assert {GenerationStoppedError, DatabaseUnavailableError} < {kind for kind in errors if kind.is_excused}
    pending = list(errors)

    def fail(*_: object) -> Any:
        raise pending[0].__new__(pending[0])

    def failing(request_type: type[Payload], _step: object, **options: Any) -> Any:
        services = cast("Services", SimpleNamespace(settings=Settings({})))
        return step_handler(request_type, fail, services, **options)

    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", NAMESPACE)
    monkeypatch.setattr("roadmap_content.runs.steps.handler.step_handler", failing)
    handler = runpy.run_path(str(REPOSITORY / f"functions/{function}/app.py"))["handler"]
    event = json.loads((REPOSITORY / f"events/{function}.json").read_text())
    excused = set()
    while pending:
        with pytest.raises(pending[0]):
            handler(event, Context())
        if Metric.STEPS_EXCUSED in capsys.readouterr().out:
            excused.add(pending[0])
        pending.pop(0)

    counted = {
        metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"]["Ref"]
        for metric in ALARMS["StepErrorsAlarm"][1]["Metrics"]
        if metric.get("MetricStat", {}).get("Metric", {}).get("MetricName") == "Errors"
    }
    (logical_id,) = (
        name
        for name, declared in of_type(STACK, "AWS::Serverless::Function").items()
        if declared["CodeUri"].rstrip("/").endswith(f"/{function}")
    )
    assert excused == ({kind for kind in errors if kind.is_excused} if logical_id in counted else set())
