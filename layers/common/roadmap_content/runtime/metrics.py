"""What the dashboard shows and the alarms watch, counted in CloudWatch's embedded metric format.

A count is a line of the log, written when it is known and not at the end: a function that dies afterwards has
said it. Powertools is imported with the log anyway, so that counting costs no start-up time.
"""

import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ..items import ContentType


class Metric(StrEnum):
    """The metrics. Those of batches and their items have the dimension `content_type`; so has, beside its sum
    over all types, `ITEMS_MISSING`.
    """

    BATCHES_PLANNED = "BatchesPlanned"
    ITEMS_STAGED = "ItemsStaged"
    ITEMS_GENERATED = "ItemsGenerated"
    ITEMS_NOT_GENERATED = "ItemsNotGenerated"
    TOKENS_IN = "TokensIn"
    TOKENS_OUT = "TokensOut"
    ITEMS_SAVED = "ItemsSaved"
    ITEMS_NOT_SAVED = "ItemsNotSaved"
    BATCH_SECONDS = "BatchSeconds"
    BATCHES_UNSAVED = "BatchesUnsaved"
    ITEMS_MISSING = "ItemsMissing"
    TASKS_COMPLETED = "TasksCompleted"
    TASKS_INCOMPLETE = "TasksIncomplete"
    TASK_SECONDS = "TaskSeconds"
    TASKS_REPAIRED = "TasksRepaired"
    TRANSACTIONS_RETRIED = "TransactionsRetried"
    DATABASE_ERRORS = "DatabaseErrors"


def emit(counts: Mapping[Metric, float], content_type: ContentType | None = None) -> None:
    """Count. Where no namespace is set, as outside Lambda, nobody reads it and nothing is written."""
    if not os.environ.get("POWERTOOLS_METRICS_NAMESPACE"):
        return
    metrics = EphemeralMetrics()
    if content_type is not None:
        metrics.add_dimension("content_type", content_type)
    for metric, value in counts.items():
        unit = MetricUnit.Seconds if metric.endswith("Seconds") else MetricUnit.Count
        metrics.add_metric(metric, unit, value)
    # Written at once: Powertools prints the line and its end apart, and threads would mix their lines.
    sys.stdout.write(json.dumps(metrics.serialize_metric_set()) + "\n")
