"""Beliefs about CloudWatch: pages, and the expressions of alarms."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from release.preflight.topic import problems_of

from .belief import Answer, Belief, NotTriedError, Verdict, held_if


class PageArrives(Belief):
    """A page notifies the topic, and somebody has confirmed a subscription."""

    name = "page"
    plan = (
        "cloudformation.DescribeStackResource",
        "cloudwatch.DescribeAlarms",
        "sns.GetTopicAttributes",
        "kms.DescribeKey",
        "cloudwatch.SetAlarmState",
        "cloudwatch.DescribeAlarmHistory",
    )

    def attempt(self) -> Answer:
        cloudwatch, page = self.stack.client("cloudwatch"), f"{self.stack.name}-page-database"
        found = cloudwatch.describe_alarms(AlarmNames=[page], AlarmTypes=["CompositeAlarm"])
        topics = found["CompositeAlarms"][0]["AlarmActions"] if found["CompositeAlarms"] else []
        if not topics:
            raise NotTriedError("AlarmTopicArn is empty: no page notifies anybody")
        if found["CompositeAlarms"][0].get("StateValue") == "ALARM":
            raise NotTriedError(f"{page} is red already, and notifies only of a change")
        if problems := list(problems_of(self.stack.clients, topics[0])):
            return Answer(Verdict.REFUTED, "; ".join(problem.wrong for problem in problems))
        alarm, since = self.stack.resource("ConnectionsRefusedAlarm"), datetime.now(UTC)
        self.making(alarm=alarm)
        self._set(alarm, "ALARM")

        def action() -> str:
            history = cloudwatch.describe_alarm_history(
                AlarmName=page, AlarmTypes=["CompositeAlarm"], HistoryItemType="Action", StartDate=since
            )
            return "; ".join(item["HistorySummary"] for item in history["AlarmHistoryItems"])

        said = self.stack.until(action, 180)
        return held_if("Successfully executed action" in said, said or "no action within three minutes")

    def undo(self, made: Mapping[str, str]) -> None:
        self._set(made["alarm"], "OK")

    def _set(self, alarm: str, state: str) -> None:
        self.stack.client("cloudwatch").set_alarm_state(
            AlarmName=alarm, StateValue=state, StateReason="make first-day: a test of the page"
        )


class AlarmsAreCalculated(Belief):
    """CloudWatch calculates the expression of every alarm, also of metrics that have never existed."""

    name = "alarms"
    plan = ("cloudwatch.DescribeAlarms", "cloudwatch.GetMetricData")

    def attempt(self) -> Answer:
        pages = self.stack.client("cloudwatch").get_paginator("describe_alarms")
        alarms = [
            alarm
            for page in pages.paginate(AlarmNamePrefix=f"{self.stack.name}-", AlarmTypes=["MetricAlarm"])
            for alarm in page["MetricAlarms"]
        ]
        faults = [fault for alarm in alarms for fault in self._faults(alarm)]
        return held_if(alarms and not faults, "; ".join(faults) or f"{len(alarms)} alarms")

    def _faults(self, alarm: Mapping[str, Any]) -> Iterator[str]:
        now = datetime.now(UTC)
        try:
            answer = self.stack.client("cloudwatch").get_metric_data(
                MetricDataQueries=queries_of(alarm), StartTime=now - timedelta(days=1), EndTime=now
            )
        except ClientError as error:
            yield f"{alarm['AlarmName']}: {error}"
            return
        said = [message["Value"] for message in answer.get("Messages", ())]
        said += [
            each["StatusCode"] for each in answer["MetricDataResults"] if each["StatusCode"] != "Complete"
        ]
        if said:
            yield f"{alarm['AlarmName']}: {', '.join(said)}"


def queries_of(alarm: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The queries of an alarm, verbatim; of one without an expression, its metric."""
    if "Metrics" in alarm:
        return list(alarm["Metrics"])
    metric = {name: alarm[name] for name in ("Namespace", "MetricName", "Dimensions")}
    stat = {"Metric": metric, "Period": alarm["Period"], "Stat": alarm["Statistic"]}
    return [{"Id": "value", "MetricStat": stat}]
