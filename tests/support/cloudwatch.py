"""CloudWatch's alarms and composite alarms, emulated from its documentation.

An alarm is evaluated each minute over its last periods, which end at that minute: its expression, its
threshold, how many of its periods must breach, and how it treats missing data. A composite alarm follows its
rule, waits for its suppressor, and stays silent while that is in alarm and for its extension period. Not
emulated: delays of metrics, and the older data that CloudWatch may use instead of missing data.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import accumulate
from types import CodeType
from typing import Any, NamedTuple

Minute = Mapping[str, float]
"""The values of one minute by metric: see `key_of`. A metric that is absent has no data."""

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Maximum": max,
    "Average": lambda values: sum(values) / len(values),
    "p99": max,
}
TOKEN = re.compile(r'\s*(ALARM\("\$\{(\w+)\}"\)|AND|OR|NOT|\(|\))')


class Metrics:
    """The values of each metric by minute, with their sums from the beginning, because periods overlap."""

    def __init__(self, minutes: Sequence[Minute]) -> None:
        self.length = len(minutes)
        self._minutes = minutes
        keys = {key for minute in minutes for key in minute}
        self._sums = {
            key: [*accumulate((minute.get(key, 0) for minute in minutes), initial=0.0)] for key in keys
        }
        self._counts = {key: [*accumulate((key in minute for minute in minutes), initial=0)] for key in keys}

    def value(self, query: "Query", end: int) -> float | None:
        """The value of a metric over its period before a minute; `None` is missing data."""
        first, end = max(0, end - query.seconds // 60), max(0, end)
        counts = self._counts.get(query.key)
        if counts is None or counts[end] == counts[first]:
            return None
        if query.statistic == "Sum":
            return self._sums[query.key][end] - self._sums[query.key][first]
        data = [minute[query.key] for minute in self._minutes[first:end] if query.key in minute]
        return STATISTICS[query.statistic](data)


class Query(NamedTuple):
    """A metric of an alarm over one period."""

    key: str
    statistic: str
    seconds: int


def key_of(metric: Mapping[str, Any]) -> str:
    """The name of a metric and its distinguishing dimension, such as `Errors SaveBatchFunction`."""
    names = ("FunctionName", "content_type")
    values = [each["Value"] for each in metric["Dimensions"] if each["Name"] in names]
    texts = [value["Ref"] if isinstance(value, dict) else value for value in values]
    return " ".join([metric["MetricName"], *texts])


def queries_of(alarm: Mapping[str, Any]) -> Mapping[str, Query]:
    """The metrics of an alarm, by their ids."""
    if "Metrics" not in alarm:
        return {"value": Query(key_of(alarm), alarm["Statistic"], alarm["Period"])}
    return {
        each["Id"]: Query(
            key_of(each["MetricStat"]["Metric"]), each["MetricStat"]["Stat"], each["MetricStat"]["Period"]
        )
        for each in alarm["Metrics"]
        if "MetricStat" in each
    }


class _Conditions(ast.NodeTransformer):
    """IF computes only the chosen value, because the other one may divide by 0."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "IF":
            condition, yes, no = node.args
            return ast.IfExp(condition, yes, no)
        return node


@cache
def compiled(expression: str) -> CodeType:
    """A metric math expression as Python, which has the same operators."""
    tree = _Conditions().visit(ast.parse(expression, mode="eval"))
    return compile(ast.fix_missing_locations(tree), "expression", "eval")


def value_of(
    alarm: Mapping[str, Any], queries: Mapping[str, Query], metrics: Metrics, end: int
) -> float | None:
    """The value of an alarm's period that ends before a minute; `None` is missing data."""
    values = {name: metrics.value(query, end) for name, query in queries.items()}
    if "Metrics" not in alarm:
        return values["value"]
    (expression,) = (each["Expression"] for each in alarm["Metrics"] if "Expression" in each)
    known = {
        name: value for name, value in values.items() if value is not None or f"FILL({name}," in expression
    }
    functions = {
        "FILL": lambda value, instead: instead if value is None else value,
        # Of the time series' timestamps, which are those of the periods' beginnings; it has no missing data.
        "MINUTE": lambda _: (end - 5) % 60,
        "SUM": sum,
        "MAX": max,
        "METRICS": lambda: [value for value in values.values() if value is not None],
        "sweeps": 0,
    }
    try:
        return float(eval(compiled(expression), functions | known))  # noqa: S307 - an expression of our template
    except (NameError, ValueError):
        return None  # of missing data


def rings(
    alarm: Mapping[str, Any],
    queries: Mapping[str, Query],
    metrics: Metrics,
    end: int,
    defaults: Mapping[str, float],
) -> bool:
    """Whether an alarm is in ALARM after these minutes. `defaults` are the values of parameters."""
    threshold = alarm["Threshold"]
    if isinstance(threshold, dict):
        threshold = defaults[threshold["Ref"]]
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    missing = alarm["TreatMissingData"] == "breaching"
    length = max(query.seconds for query in queries.values()) // 60
    ends = [end - number * length for number in range(alarm["EvaluationPeriods"])]
    values = [value_of(alarm, queries, metrics, each) for each in ends]
    breaching = [missing if value is None else breaches(value, threshold) for value in values]
    needed: int = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    return breaching.count(True) >= needed


def follows(page: Mapping[str, Any], raised: set[str]) -> bool:
    """Whether a composite alarm's rule holds while these alarms are raised."""
    text = page["AlarmRule"]["Fn::Sub"]
    words = []
    position = 0
    while position < len(text):
        found = TOKEN.match(text, position)
        assert found, f"not a rule: {text[position:]}"
        words.append(str(found[2] in raised) if found[2] else found[1].lower())
        position = found.end()
    return bool(eval(" ".join(words)))  # noqa: S307 - Boolean words only


class Watch:
    """The alarms and pages of a template over some time."""

    def __init__(
        self,
        alarms: Mapping[str, Mapping[str, Any]],
        pages: Mapping[str, Mapping[str, Any]],
        defaults: Mapping[str, float],
        minutes: Sequence[Minute],
        first: int,
    ) -> None:
        self.raised: list[set[str]] = []
        """The alarms and pages in ALARM, by minute from `first` on."""

        self.notified: list[tuple[int, str]] = []
        """Each notification of a page: the minute after `first`, and the page."""

        metrics = Metrics(minutes)
        queries = {name: queries_of(alarm) for name, alarm in alarms.items()}
        pending: dict[str, int] = {}
        for end in range(first, metrics.length + 1):
            raised = {
                name for name, alarm in alarms.items() if rings(alarm, queries[name], metrics, end, defaults)
            }
            # A page that watches pages comes after them.
            for name, page in pages.items():
                if follows(page, raised):
                    raised.add(name)
            self.raised.append(raised)
            now = len(self.raised) - 1
            before = self.raised[-2] if now else set()
            for name, page in pages.items():
                if name not in raised:
                    pending.pop(name, None)
                    continue
                if name not in before:
                    pending[name] = now + page.get("ActionsSuppressorWaitPeriod", 0) // 60
                if name in pending and now >= pending[name] and not self._is_suppressed(page, now):
                    self.notified.append((now, name))
                    del pending[name]

    def _is_suppressed(self, page: Mapping[str, Any], now: int) -> bool:
        if "ActionsSuppressor" not in page:
            return False
        since = max(0, now - page["ActionsSuppressorExtensionPeriod"] // 60)
        return any(page["ActionsSuppressor"]["Ref"] in raised for raised in self.raised[since : now + 1])

    @property
    def first_notified(self) -> Mapping[str, int]:
        """When each page notified first."""
        return {name: minute for minute, name in reversed(self.notified)}

    @property
    def alarms(self) -> set[str]:
        """Everything that was in ALARM at any time."""
        return set().union(*self.raised)
