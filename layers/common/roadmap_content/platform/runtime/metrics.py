"""The metrics of the dashboard and the alarms, in CloudWatch's embedded metric format.

Each metric is written to the log immediately, so that it is reported even if the function crashes later.
Powertools is imported for logging anyway, so that metrics add no start-up time.
"""

import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ...contracts.items import ContentType


class Metric(StrEnum):
    """Metric names. Metrics of items have the dimension `content_type`, except three that alarms compare."""

    BATCHES_PLANNED = "BatchesPlanned"
    ITEMS_PLANNED = "ItemsPlanned"
    ITEMS_REFUSED = "ItemsRefused"
    ITEMS_STAGED = "ItemsStaged"
    ITEMS_GENERATED = "ItemsGenerated"
    ITEMS_NOT_GENERATED = "ItemsNotGenerated"
    ITEMS_THROTTLED = "ItemsThrottled"
    TOKENS_IN = "TokensIn"
    TOKENS_OUT = "TokensOut"
    MODEL_THROTTLES = "ModelThrottles"
    ITEMS_SAVED = "ItemsSaved"
    ITEMS_NOT_SAVED = "ItemsNotSaved"
    BATCH_SECONDS = "BatchSeconds"
    BATCHES_UNSAVED = "BatchesUnsaved"
    ITEMS_MISSING = "ItemsMissing"
    TASKS_COMPLETED = "TasksCompleted"
    TASKS_INCOMPLETE = "TasksIncomplete"
    TASK_SECONDS = "TaskSeconds"
    TASKS_LATE = "TasksLate"
    TASKS_NEED_PERSON = "TasksNeedPerson"
    TASKS_REPAIRED = "TasksRepaired"
    TASKS_AT_WORK = "TasksAtWork"
    TASKS_STUCK = "TasksStuck"
    QUEUE_WAITING = "QueueWaiting"
    QUEUE_OLDEST_SECONDS = "QueueOldestSeconds"
    SWEEPS = "Sweeps"
    RUNS_ABORTED = "RunsAborted"
    RECOVERY_TASKS_STARTED = "RecoveryTasksStarted"
    RECOVERY_TASKS_RECOVERED = "RecoveryTasksRecovered"
    RECOVERY_TASKS_STILL_FAILING = "RecoveryTasksStillFailing"
    RECOVERIES_STOPPED = "RecoveriesStopped"
    AUTOMATIC_ATTEMPTS_STARTED = "AutomaticAttemptsStarted"
    AUTOMATIC_ATTEMPTS_REFUSED = "AutomaticAttemptsRefused"
    TRANSACTIONS_RETRIED = "TransactionsRetried"
    DATABASE_ERRORS = "DatabaseErrors"
    CONNECTIONS_REFUSED = "ConnectionsRefused"
    STEPS_EXCUSED = "StepsExcused"
    API_EXCUSED = "ApiExcused"
    API_UNAUTHORIZED = "ApiUnauthorized"
    EVENTS_SET_ASIDE = "EventsSetAside"
    DATABASE_FINDINGS = "DatabaseFindings"


SUMMED = frozenset({Metric.ITEMS_GENERATED, Metric.TOKENS_IN, Metric.TOKENS_OUT})
"""The metrics of items that are also written without their content type, for alarms: these cannot search."""


def emit(counts: Mapping[Metric, float], content_type: ContentType | None = None) -> None:
    """Write metrics. Does nothing if no namespace is set, as outside Lambda."""
    if not os.environ.get("POWERTOOLS_METRICS_NAMESPACE"):
        return
    metrics = EphemeralMetrics()
    if content_type is not None:
        metrics.add_dimension("content_type", content_type)
    for metric, value in counts.items():
        unit = MetricUnit.Seconds if metric.endswith("Seconds") else MetricUnit.Count
        metrics.add_metric(metric, unit, value)
    entry: dict[str, Any] = dict(metrics.serialize_metric_set())
    # A second directive for the values of `SUMMED`, with the service as the only dimension.
    directives = entry["_aws"]["CloudWatchMetrics"]
    if content_type is not None and (summed := SUMMED & counts.keys()):
        (typed,) = directives
        definitions = [definition for definition in typed["Metrics"] if definition["Name"] in summed]
        directives.append(typed | {"Dimensions": [["service"]], "Metrics": definitions})
    # One write per line: Powertools prints a line and its line end separately, so threads would mix lines.
    sys.stdout.write(json.dumps(entry) + "\n")
