"""Beliefs about CloudWatch: pages, and the expressions of alarms."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from release.preflight.topic import problems_of

from .belief import Answer, NotTriedError, Verdict, belief, held_if
from .stack import Stack


def raise_alarm(stack: Stack, alarm: str) -> None:
    """Set an alarm to ALARM, until everything is removed."""
    request = {"AlarmName": alarm, "StateReason": "make first-day"}
    stack.before("cloudwatch.SetAlarmState", StateValue="OK", **request)
    stack.client("cloudwatch").set_alarm_state(StateValue="ALARM", **request)


@belief(
    "cloudformation.DescribeStackResource",
    "cloudwatch.DescribeAlarms",
    "sns.GetTopicAttributes",
    "kms.DescribeKey",
    "cloudwatch.SetAlarmState",
    "cloudwatch.DescribeAlarmHistory",
    pages=True,
    only_aws="the local cloud pages nobody",
)
def page(stack: Stack) -> Answer:
    """A page notifies the topic, and somebody has confirmed a subscription."""
    cloudwatch, name = stack.client("cloudwatch"), f"{stack.name}-page-database"
    found = cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["CompositeAlarm"])
    topics = found["CompositeAlarms"][0]["AlarmActions"] if found["CompositeAlarms"] else []
    if not topics:
        raise NotTriedError("AlarmTopicArn is empty: no page notifies anybody")
    if found["CompositeAlarms"][0].get("StateValue") == "ALARM":
        raise NotTriedError(f"{name} is red already, and notifies only of a change")
    if problems := list(problems_of(stack.clients, topics[0])):
        return Answer(Verdict.REFUTED, "; ".join(problem.wrong for problem in problems))
    alarm, since = stack.resource("ConnectionsRefusedAlarm"), datetime.now(UTC)
    raise_alarm(stack, alarm)

    def action() -> str:
        history = cloudwatch.describe_alarm_history(
            AlarmName=name, AlarmTypes=["CompositeAlarm"], HistoryItemType="Action", StartDate=since
        )
        return "; ".join(item["HistorySummary"] for item in history["AlarmHistoryItems"])

    said = stack.until(action, 180)
    return held_if("Successfully executed action" in said, said or "no action within three minutes")


@belief(
    "cloudformation.DescribeStacks",
    "cloudwatch.GetMetricStatistics",
    only_aws="the local cloud keeps no metrics",
)
def metrics(stack: Stack) -> Answer:
    """CloudWatch counts the metrics that functions write to their log, at the log level of the stack."""
    since = datetime.now(UTC) - timedelta(minutes=20)
    dimensions = {"service": stack.name}
    sweeps = stack.until(lambda: summed(stack, "RoadmapContent", "Sweeps", since, dimensions), 300, every=30)
    return held_if(sweeps, f"LogLevel {stack.parameters['LogLevel']}: {sweeps:.0f} sweeps in 20 minutes")


def summed(
    stack: Stack, namespace: str, metric: str, since: datetime, dimensions: Mapping[str, str]
) -> float:
    """The sum of a metric."""
    answer = stack.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=since,
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


@belief(
    "cloudwatch.DescribeAlarms",
    "cloudwatch.GetMetricData",
    only_aws="the local cloud calculates no expression",
)
def alarms(stack: Stack) -> Answer:
    """CloudWatch calculates the expression of every alarm: a value wherever its metrics have one."""
    pages = stack.client("cloudwatch").get_paginator("describe_alarms")
    found = [
        alarm
        for answer in pages.paginate(AlarmNamePrefix=f"{stack.name}-", AlarmTypes=["MetricAlarm"])
        for alarm in answer["MetricAlarms"]
    ]
    silent: list[str] = []
    faults = [fault for alarm in found for fault in _faults(stack, alarm, silent)]
    said = f"{len(found)} alarms; without a metric that has values yet: {', '.join(silent) or 'none'}"
    return held_if(len(silent) < len(found) and not faults, "; ".join([*faults, said]))


def _faults(stack: Stack, alarm: Mapping[str, Any], silent: list[str]) -> Iterator[str]:
    """The fault of an alarm; `silent` gets its name if it is not known yet."""
    now = datetime.now(UTC)
    try:
        answer = stack.client("cloudwatch").get_metric_data(
            MetricDataQueries=_queries(alarm), StartTime=now - timedelta(days=1), EndTime=now
        )
    except ClientError as error:
        yield f"{alarm['AlarmName']}: {error}"
        return
    said = [message["Value"] for message in answer.get("Messages", ())]
    said += [each["StatusCode"] for each in answer["MetricDataResults"] if each["StatusCode"] != "Complete"]
    if said:
        yield f"{alarm['AlarmName']}: {', '.join(said)}"
    valued = {each["Id"]: bool(each.get("Values")) for each in answer["MetricDataResults"]}
    expressions = {each["Id"] for each in alarm.get("Metrics", ()) if "Expression" in each}
    if not all(has for name, has in valued.items() if name not in expressions):
        silent.append(alarm["AlarmName"])
    elif not all(valued.values()):
        yield f"{alarm['AlarmName']}: its metrics have values, and its expression has none"


def _queries(alarm: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The queries of an alarm, all with an answer; of one without an expression, its metric."""
    if "Metrics" in alarm:
        return [query | {"ReturnData": True} for query in alarm["Metrics"]]
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
    stat = {"Metric": metric, "Period": alarm["Period"], "Stat": alarm["Statistic"]}
    return [{"Id": "value", "MetricStat": stat}]
