"""`python -m documents.cost [CONCEPTS]`: the price of one roadmap, and of an idle stack, from counts.

The prices are those of us-east-1 in 2025, without the free tier. Those of tokens, transitions and keys were
compared with stored copies of AWS's pages in November 2026, the others with other pages. Durations and tokens
are assumptions, named below; logs and the network are not included.
"""

import heapq
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil

from rich.console import Console
from rich.table import Table

from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, default_of, read_template
from roadmap_content.items import ContentType, Item
from roadmap_content.manifest import generation_order, planned_batch_sizes
from roadmap_content.storage.bucket import PARALLEL

TOKENS_IN, TOKENS_OUT = 2_700, 5_000
"""Tokens of a concept: docs/generation.md."""

MODELS = {"tokens, at $3 and $15 per million": (3e-6, 15e-6), "or at $0.80 and $3.20": (0.8e-6, 3.2e-6)}
"""Dollars per input token and per output token."""

TRANSITION, INVOCATION, GB_SECOND = 0.025 / 1_000, 0.20 / 1_000_000, 0.0000133334
PUT, GET = 0.005 / 1_000, 0.0004 / 1_000

KEY, ALARM_METRIC, COMPOSITE, DASHBOARD, SNAPSHOT_GB_SECOND = 1.00, 0.10, 0.50, 3.00, 0.0000015046
OWN_METRIC, FIREWALL, FIREWALL_RULE, ENDPOINT_HOUR = 0.30, 5.00, 1.00, 0.01
HOURS = 730
"""Hours of a month."""

IDLE_DATABASE = HOURS * (2 * 0.5 * 0.12 + 8 * 0.015) + 0.40
"""Two Aurora instances of 0.5 ACU, RDS Proxy, which is charged for 8 ACU, and a secret."""

MODEL_SECONDS = {ContentType.TUTORIAL: 35.0, ContentType.QUIZ: 15.0, ContentType.RESOURCES: 8.0}
"""Assumed seconds of an item. Lambda is charged while it waits for the model."""

SAVE_SECONDS = 4.0
OTHER_SECONDS = {"PlanBatchesFunction": 2.0, "FinalizeTaskFunction": 5.0}
"""Assumed seconds of an invocation, including cold starts."""


def batches_of(concepts: int, batch_size: int) -> int:
    """The batches of a run that generates everything."""
    return ceil(concepts / planned_batch_sizes(concepts, 0, batch_size).generate)


def transitions_of(batches: int) -> int:
    """The state transitions of a run without failures: two per batch, and five."""
    return 2 * batches + 5


def generating_seconds(concepts: int, batch_size: int) -> float:
    """The seconds of all invocations of Generate, which are those that its slots are taken."""
    size = planned_batch_sizes(concepts, 0, batch_size).generate
    full, rest = divmod(concepts, size)

    def batch_of(count: int) -> list[Item]:
        return [Item(str(number), content_type) for number in range(count) for content_type in ContentType]

    return full * seconds_of(generation_order(batch_of(size))) + seconds_of(generation_order(batch_of(rest)))


def seconds_of(items: Iterable[Item], seconds: Mapping[ContentType, float] = MODEL_SECONDS) -> float:
    """The seconds of an invocation that generates items in this order, `PARALLEL` at the same time."""
    threads = [0.0] * PARALLEL
    for item in items:
        heapq.heappush(threads, heapq.heappop(threads) + seconds[item.content_type])
    return max(threads)


def cost_of(concepts: int, batch_size: int, template: Template) -> Mapping[str, float]:
    """Dollars of a run that generates and saves every item, without the model."""

    def lambda_cost(function: str, invocations: int, seconds: float) -> float:
        return invocations * INVOCATION + seconds * memory_of(template, function) * GB_SECOND

    batches, items = batches_of(concepts, batch_size), concepts * len(ContentType)
    others = sum(lambda_cost(name, 1, seconds) for name, seconds in OTHER_SECONDS.items())
    generating = generating_seconds(concepts, batch_size)
    # A text of each tutorial, each staged item, the manifest; a LIST request costs the same as a PUT.
    puts = items + concepts + 1 + batches
    return {
        "Lambda: Generate waits for the model": lambda_cost("GenerateContentFunction", batches, generating),
        "Lambda: all others": lambda_cost("SaveBatchFunction", batches, batches * SAVE_SECONDS) + others,
        "S3": puts * PUT + (items + batches) * GET,
        "Step Functions": transitions_of(batches) * TRANSITION,
    }


def memory_of(template: Template, function: str) -> float:
    """The memory of a function, in GB."""
    default = template["Globals"]["Function"]["MemorySize"]
    return float(template["Resources"][function]["Properties"].get("MemorySize", default)) / 1024


def at_rest(template: Template) -> Mapping[str, float]:
    """Dollars a month of an idle stack, by kind."""
    resources = template["Resources"]
    cached = [name for name, resource in resources.items() if "SnapStart" in resource.get("Properties", {})]
    snapshots = sum(memory_of(template, name) for name in cached) * HOURS * 3_600 * SNAPSHOT_GB_SECOND
    return {
        "key, alarms, pages and dashboard": watching(template),
        "own metrics, if each has a value in each hour": len(own_metrics(template)) * OWN_METRIC,
        "SnapStart's cache, for each release that is kept": snapshots,
        "a firewall, where WafRequestsPer5Minutes is set": sum(
            FIREWALL + len(resource["Properties"]["Rules"]) * FIREWALL_RULE
            for resource in resources.values()
            if resource["Type"] == "AWS::WAFv2::WebACL"
        ),
    }


def own_metrics(template: Template) -> set[tuple[str, str]]:
    """The metrics that the functions write, which the dashboard shows: the name, and the content type or "".

    CloudWatch charges for each combination of a metric's dimensions.
    """
    (body,) = (
        resource["Properties"]["DashboardBody"]["Fn::Sub"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Dashboard"
    )
    return set(
        re.findall(r'\["RoadmapContent", "(\w+)", "service", "[^"]+"(?:, "content_type", "(\w+)")?', body)
    )


def created_database() -> float:
    """Dollars a month of the idle stack of database/template.yaml, in two zones."""
    template = read_template(REPOSITORY / "database/template.yaml")
    endpoints: int = sum(
        resource.get("Properties", {}).get("VpcEndpointType") == "Interface"
        for resource in template["Resources"].values()
    )
    return IDLE_DATABASE + 2 * endpoints * HOURS * ENDPOINT_HOUR + watching(template)


def watching(template: Template) -> float:
    """Dollars a month for the keys, alarms, pages and dashboards of a template."""
    resources = template["Resources"].values()
    kinds = Counter(resource["Type"] for resource in resources)
    metrics: int = sum(
        sum("MetricStat" in metric for metric in resource["Properties"].get("Metrics", ())) or 1
        for resource in resources
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    )
    pages = kinds["AWS::CloudWatch::CompositeAlarm"] * COMPOSITE
    dashboards = kinds["AWS::CloudWatch::Dashboard"] * DASHBOARD
    return kinds["AWS::KMS::Key"] * KEY + metrics * ALARM_METRIC + pages + dashboards


def main(concepts: int) -> None:
    """Print both tables."""
    template = read_template(REPOSITORY / "template.yaml")
    model = {
        name: concepts * (TOKENS_IN * dollars_in + TOKENS_OUT * dollars_out)
        for name, (dollars_in, dollars_out) in MODELS.items()
    }
    run = cost_of(concepts, default_of(template, "BatchSize"), template)
    table = Table("one run", "$", title=f"{concepts:,} concepts, {concepts * len(ContentType):,} items")
    for name, dollars in {**model, **run}.items():
        table.add_row(name, f"{dollars:.4f}")
    month = Table("idle, a month", "$")
    database = {"a created database (database/template.yaml)": created_database()}
    for name, dollars in {**at_rest(template), **database}.items():
        month.add_row(name, f"{dollars:.2f}")
    console = Console(width=100)
    console.print(table)
    console.print(month)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
