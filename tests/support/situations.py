"""The metrics on a good day and in incidents: for the alarms.

The numbers of a good day follow from the number of tasks; the effect of an incident on each metric is an
assumption, written from the code: which metric does it write, and for how many of the tasks, requests and
invocations. `python -m tests.support.situations` prints the table of docs/operations.md.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from tests.support.cloudwatch import Watch

HISTORY, OBSERVED = 360, 300
"""Minutes of a good day before an incident, and minutes of observation."""

LASTS = 120
"""Minutes of an incident."""

EXHAUSTED = 95
"""Minutes until the automatic attempts of a task are over, if each fails when its invocation's time is up:
the pauses of 5, 10 and 20 minutes, and four times 15 minutes. From then on the task needs a person.
"""

STACK = read_template(REPOSITORY / "template.yaml")
DATABASE = read_template(REPOSITORY / "database/template.yaml")


def of_type(kind: str) -> dict[str, dict]:  # type: ignore[type-arg]
    """The properties of both templates' resources of a type."""
    return {
        name: each["Properties"]
        for template in (STACK, DATABASE)
        for name, each in template["Resources"].items()
        if each["Type"] == kind
    }


ALARMS, PAGES = of_type("AWS::CloudWatch::Alarm"), of_type("AWS::CloudWatch::CompositeAlarm")
DEFAULTS = {name: each["Default"] for name, each in STACK["Parameters"].items() if "Default" in each}

Values = dict[str, float]
Incident = Callable[[Values, int], None]
"""Changes the values of one minute; the second argument is the minute since the incident began."""

CALLS = {
    "PlanBatchesFunction": 1,
    "GenerateContentFunction": 3,
    "SaveBatchFunction": 3,
    "FinalizeTaskFunction": 1,
}
"""The invocations of a run."""


def good_minute(tasks_a_day: int, minute: int) -> Values:
    """The values of a minute of a good day: tasks of 30 concepts in three batches, of ten minutes, each
    polled every two seconds. A few of everything fail.
    """
    tasks = tasks_a_day / 1440
    running = 10 * tasks
    rates = {
        "TasksCompleted": 0.99 * tasks,
        "TasksIncomplete": 0.01 * tasks,
        "TasksNeedPerson": 0.003 * tasks,
        "TasksLate": 0.01 * tasks,
        "TasksRepaired": 0.001 * tasks,
        "Count": 30 * running + 1,
        "5XXError": 0.0002 * (30 * running + 1),
        "ApiExcused": 0.0001 * (30 * running + 1),
        "StepsExcused": 0.01 * tasks,
        "ItemsThrottled": 0.1 * tasks,
        "DatabaseErrors": 1 / 200,
        **{f"Invocations {step}": calls * tasks for step, calls in CALLS.items()},
        **{f"Errors {step}": 0.0005 * calls * tasks for step, calls in CALLS.items()},
        "ItemsGenerated": 90 * tasks,
        "TokensIn": 81_000 * tasks,
        "TokensOut": 150_000 * tasks,
    }
    # Whole events, evenly spread: the n-th happens when the sum of the rate reaches n.
    values: Values = {
        name: count
        for name, rate in rates.items()
        if (count := int(rate * (minute + 1) + 1e-9) - int(rate * minute + 1e-9))
    }
    values |= {"Latency": 900, "ACUUtilization": 40, "DatabaseConnectionsBorrowLatency": 3_000}
    if minute % 5 == 0:
        values |= {"Sweeps": 1, "TasksStuck": 0, "QueueOldestSeconds": 20, "TasksAtWork": running}
    return values


def _more(values: Values, name: str, count: float) -> None:
    values[name] = values.get(name, 0) + count


def _runs_fail(values: Values, share: float, *names: str) -> None:
    """A share of the tasks that would be complete is incomplete, and counted by these metrics."""
    failed = share * values.get("TasksCompleted", 0)
    _more(values, "TasksCompleted", -failed)
    for name in ("TasksIncomplete", *names):
        _more(values, name, failed)


def model_throttled(values: Values, minute: int) -> None:
    """Nine tenths of the items are given up, for a transient reason. Slots are held longer."""
    _runs_fail(values, 0.9, *(["TasksNeedPerson"] if minute >= EXHAUSTED else []))
    generated = values.get("ItemsGenerated", 0)
    _more(values, "ItemsThrottled", 0.9 * generated)
    for name in ("ItemsGenerated", "TokensIn", "TokensOut"):
        values[name] = 0.1 * values.get(name, 0)
    if "QueueOldestSeconds" in values:
        values["QueueOldestSeconds"] += 60 * minute


def tasks_hang(values: Values, minute: int) -> None:
    """Half of the runs that start make no progress."""
    for name in ("TasksCompleted", "TasksIncomplete"):
        values[name] = 0.5 * values.get(name, 0)
    if "TasksStuck" in values:
        per_minute = values["TasksAtWork"] / 20
        values["TasksAtWork"] += minute * per_minute
        values["TasksStuck"] = max(0, minute - 30) * per_minute


def bad_release(values: Values, _minute: int) -> None:
    """Save fails with an unforeseen error in all tries; the runs are incomplete for a transient reason."""
    calls = values.get("Invocations SaveBatchFunction", 0)
    _more(values, "Invocations SaveBatchFunction", 2 * calls)
    _more(values, "Errors SaveBatchFunction", 3 * calls)
    _runs_fail(values, 1)


def tokens_run_away(values: Values, _minute: int) -> None:
    """Each item is generated six times before an answer is accepted."""
    for name in values:
        if name.startswith("Tokens"):
            values[name] *= 6


def connections_refused(values: Values, _minute: int) -> None:
    """PostgreSQL refuses connections: functions try again, and give up in some cases."""
    _more(values, "ConnectionsRefused", 20)
    _fails_for_the_database(values, "5XXError", "ApiExcused", 0.1 * values.get("Count", 0))
    calls = values.get("Invocations SaveBatchFunction", 0)
    _fails_for_the_database(values, "Errors SaveBatchFunction", "StepsExcused", 0.2 * calls)


def _fails_for_the_database(values: Values, error: str, excused: str, count: float) -> None:
    _more(values, error, count)
    _more(values, excused, count)


FIVE: Mapping[str, Incident] = {
    "the model is throttled": model_throttled,
    "tasks hang": tasks_hang,
    "a bad release": bad_release,
    "tokens run away": tokens_run_away,
    "connections are refused": connections_refused,
}
"""The incidents of the runbook."""


def database_down(values: Values, _minute: int) -> None:
    """No run ends, no gauge is read, every request fails. Sweeps fail, and count."""
    kept = {name: values.get(name, 0) for name in ("Count", "Sweeps", "ACUUtilization")}
    calls = {name: value for name, value in values.items() if name.startswith("Invocations")}
    values.clear()
    values |= kept | calls | {"DatabaseErrors": 4, "5XXError": kept["Count"], "ApiExcused": kept["Count"]}
    for step in CALLS:
        values[f"Errors {step}"] = values.get(f"Invocations {step}", 0)
    values["StepsExcused"] = sum(values[f"Errors {step}"] for step in CALLS)


def after_database(values: Values, minute: int) -> None:
    """Half an hour without a database, and then sweeps record the outcomes of the runs of that time."""
    if minute < 30:
        database_down(values, minute)
    elif minute < 40:
        _more(values, "TasksRepaired", 0.5 * values.get("TasksCompleted", 0))


def _changed(**changes: float) -> Incident:
    """Adds to metrics; a name with `_` has a space."""

    def change(values: Values, _minute: int) -> None:
        for name, count in changes.items():
            _more(values, name.replace("_", " "), count)

    return change


def _share(name: str, share: float, of: str, lasts: int = LASTS) -> Incident:
    def change(values: Values, minute: int) -> None:
        if minute < lasts:
            _more(values, name, share * values.get(of, 0))

    return change


def _gauge(name: str, value: float) -> Incident:
    def change(values: Values, _minute: int) -> None:
        if name in values:
            values[name] = value

    return change


def _no_sweep(values: Values, _minute: int) -> None:
    for name in ("Sweeps", "TasksStuck", "QueueOldestSeconds", "TasksAtWork"):
        values.pop(name, None)


def _stopped(values: Values, minute: int) -> None:
    """Gauges of waits are 0 while an operator has stopped generation; Generate's errors are excused."""
    if "TasksStuck" in values:
        values |= {"QueueOldestSeconds": 0, "TasksStuck": 0}
    calls = values.get("Invocations GenerateContentFunction", 0)
    _more(values, "Errors GenerateContentFunction", calls)
    _more(values, "StepsExcused", calls)
    for name in [*values]:
        if name.startswith(("Tasks", "Items", "Tokens")) and name not in ("TasksStuck", "TasksAtWork"):
            values[name] = 0


def _many_items(values: Values, _minute: int) -> None:
    for name in values:
        if name.startswith(("TokensIn", "TokensOut", "ItemsGenerated")):
            values[name] *= 25


def _paced(values: Values, _minute: int) -> None:
    """Half of the calls of the model are refused, as the pace intends, and made again."""
    _more(values, "ModelThrottles", 90)


def _cancelled(values: Values, _minute: int) -> None:
    """Users cancel a tenth of their tasks: these are incomplete, and their steps end early."""
    _runs_fail(values, 0.1)
    _more(values, "StepsExcused", 0.1 * values.get("Invocations SaveBatchFunction", 0))
    _more(values, "Errors SaveBatchFunction", 0.1 * values.get("Invocations SaveBatchFunction", 0))


BY_DESIGN: Mapping[str, Incident] = {
    "the pace of the model": _paced,
    "users cancel a tenth": _cancelled,
    "an operator stops generation": _stopped,
    "bulk attempts wait for hours": _changed(QueueWaiting=200),
}
"""The intended behaviour of the system."""

ALONE: Mapping[str, Incident] = {
    "DatabaseErrorsAlarm": database_down,
    "ConnectionsRefusedAlarm": connections_refused,
    "ApiErrorsAlarm": _share("5XXError", 0.03, "Count", lasts=6),
    "ApiErrorsSlowAlarm": _share("5XXError", 0.009, "Count"),
    "ApiLatencyAlarm": _gauge("Latency", 7_000),
    "TasksNeedPersonAlarm": _share("TasksNeedPerson", 0.6, "TasksCompleted", lasts=20),
    "TasksNeedPersonSlowAlarm": _share("TasksNeedPerson", 0.25, "TasksCompleted", lasts=240),
    "TasksLateAlarm": _share("TasksLate", 0.9, "TasksCompleted", lasts=20),
    "TasksLateSlowAlarm": _share("TasksLate", 0.5, "TasksCompleted", lasts=240),
    "TasksStuckAlarm": tasks_hang,
    "StepErrorsAlarm": bad_release,
    "QueueAgeAlarm": _gauge("QueueOldestSeconds", 4_000),
    "ModelThrottledAlarm": _share("ItemsThrottled", 0.3, "ItemsGenerated"),
    "TokensPerItemAlarm": tokens_run_away,
    "TokenSpendAlarm": _many_items,
    "SweepSilentAlarm": _no_sweep,
    "TasksRepairedAlarm": _share("TasksRepaired", 0.9, "TasksCompleted"),
    "CapacityAlarm": _gauge("ACUUtilization", 97),
    "ConnectionsAlarm": _gauge("DatabaseConnectionsBorrowLatency", 3_000_000),
}
"""A situation for each alarm in which it alone is raised."""


def minutes_of(tasks_a_day: int, incidents: Sequence[Incident], lasts: int = LASTS) -> list[Values]:
    """The values of each minute, with incidents that begin after `HISTORY`."""
    minutes = [good_minute(tasks_a_day, minute) for minute in range(HISTORY + OBSERVED)]
    for incident in incidents:
        for minute in range(lasts):
            incident(minutes[HISTORY + minute], minute)
    return minutes


@cache
def observe(tasks_a_day: int, *incidents: Incident, lasts: int = LASTS) -> Watch:
    """The alarms and pages during incidents, on a stack with this number of tasks a day."""
    # Lists of both templates: the database's stack has its own.
    return Watch(ALARMS, PAGES, DEFAULTS, minutes_of(tasks_a_day, incidents, lasts), HISTORY)


def told(watch: Watch) -> Mapping[str, int]:
    """The pages that notify, except reminders, and after how many minutes."""
    return {name: minute for name, minute in watch.first_notified.items() if name != "ReminderPage"}


def table() -> str:
    """The matrix, in Markdown."""
    names = [name for name in PAGES if name != "ReminderPage"]
    rows = [
        "| situation | tasks a day | " + " | ".join(name.removesuffix("Page") for name in names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    situations: dict[str, Sequence[Incident]] = {"a good day": ()}
    situations |= {name: (incident,) for name, incident in [*BY_DESIGN.items(), *FIVE.items()]}
    situations["a bad release of the API"] = (_share("5XXError", 0.1, "Count"),)
    situations["no database for half an hour"] = (after_database,)
    for name, incidents in situations.items():
        for tasks_a_day in (100, 20_000):
            notified = told(observe(tasks_a_day, *incidents))
            cells = [f"{notified[page]} min" if page in notified else "–" for page in names]
            rows.append(f"| {name} | {tasks_a_day:,} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
