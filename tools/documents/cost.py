"""`python -m documents.cost`: the bill of a run, and of a day of 20,000 roadmaps; also in docs/deploy.md.

The prices are in `documents/aws.csv`. Durations and tokens are assumptions, named below. docs/deploy.md
names the costs that are not included.
"""

import heapq
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from io import StringIO
from math import ceil

from rich.console import Console
from rich.table import Column, Table

from documents.aws import FACTS, PRICES, UNCONFIRMED
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, default_of, read_template
from roadmap_content.content.manifest import generation_order, planned_batch_size
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.bucket import PARALLEL

TOKENS_IN, TOKENS_OUT = 2_700, 5_000
"""Tokens of a concept: docs/generation.md."""

MODELS = {
    "tokens, at $3 and $15 per million": (PRICES["TOKENS_IN"], PRICES["TOKENS_OUT"]),
    "or at $0.80 and $3.20": (PRICES["CHEAP_TOKENS_IN"], PRICES["CHEAP_TOKENS_OUT"]),
}

DAY_OF_ROADMAPS, CONCEPTS_OF_A_DAY = 20_000, 30
"""The roadmaps of a large day, and the concepts of each."""

MODEL_SECONDS = {ContentType.TUTORIAL: 35.0, ContentType.QUIZ: 15.0, ContentType.RESOURCES: 8.0}
"""Assumed seconds of an item, of the content types that are billed. Lambda is charged while it waits for the
model.
"""

SAVE_SECONDS = 4.0
OTHER_SECONDS = {"PlanBatchesFunction": 2.0, "FinalizeTaskFunction": 5.0}
"""Assumed seconds of an invocation, including cold starts."""

API_SECONDS = 0.05
POLLS_PER_MINUTE = 30
"""A client asks for the status of a running task every two seconds (assumed)."""

BUSY_HOUR, QUEUE_MINUTES = 0.1, 5
"""The share of a large day's roadmaps that begin in its busiest hour, and for how long each of them waits in
the queue, where it is polled, too (assumed).
"""

HOURS_OF_A_MONTH, ZONES, KEPT_VERSIONS = 730, 2, 3

TEMPLATES = (REPOSITORY / "template.yaml", REPOSITORY / "database/template.yaml")
PAGE = REPOSITORY / "docs/deploy.md"


def batches_of(concepts: int, batch_size: int) -> int:
    """The batches of a run that generates everything."""
    return ceil(concepts / planned_batch_size(concepts, 0, batch_size))


def transitions_of(batches: int) -> int:
    """The state transitions of a run without failures: two per batch, and five."""
    return 2 * batches + 5


def generating_seconds(concepts: int, batch_size: int) -> float:
    """The seconds of all invocations of Generate, which are those that its slots are taken."""
    size = planned_batch_size(concepts, 0, batch_size)
    full, rest = divmod(concepts, size)

    def batch_of(count: int) -> list[Item]:
        return [Item(str(number), content_type) for number in range(count) for content_type in MODEL_SECONDS]

    return full * seconds_of(generation_order(batch_of(size))) + seconds_of(generation_order(batch_of(rest)))


def seconds_of(items: Iterable[Item], seconds: Mapping[ContentType, float] = MODEL_SECONDS) -> float:
    """The seconds of an invocation that generates items in this order, `PARALLEL` at the same time."""
    threads = [0.0] * PARALLEL
    for item in items:
        heapq.heappush(threads, heapq.heappop(threads) + seconds[item.content_type])
    return max(threads)


def run_minutes(concepts: int, batch_size: int, parallel: int) -> float:
    """The minutes of a run that generates some batches at a time."""
    seconds = generating_seconds(concepts, batch_size) / min(parallel, batches_of(concepts, batch_size))
    return (seconds + SAVE_SECONDS + sum(OTHER_SECONDS.values())) / 60


def cost_of(concepts: int, batch_size: int, template: Template) -> Mapping[str, float]:
    """Dollars of a run that generates and saves every item, without the model and the database."""

    def lambda_cost(function: str, invocations: float, seconds: float) -> float:
        gigabytes = memory_of(template, function)
        return invocations * PRICES["INVOCATION"] + seconds * gigabytes * PRICES["GB_SECOND"]

    batches = batches_of(concepts, batch_size)
    others = sum(lambda_cost(name, 1, seconds) for name, seconds in OTHER_SECONDS.items())
    generating = generating_seconds(concepts, batch_size)
    minutes = run_minutes(concepts, batch_size, default_of(template, "GeneratorConcurrency"))
    requests = 1 + POLLS_PER_MINUTE * minutes
    return {
        "Lambda: Generate waits for the model": lambda_cost("GenerateContentFunction", batches, generating),
        "Lambda: all others": lambda_cost("SaveBatchFunction", batches, batches * SAVE_SECONDS) + others,
        "Step Functions": transitions_of(batches) * PRICES["TRANSITION"],
        "API, with its functions": requests * PRICES["API_REQUEST"]
        + lambda_cost("TaskApiFunction", requests, requests * API_SECONDS),
    }


def model_cost(concepts: int) -> Mapping[str, float]:
    """Dollars of the tokens of a run, by model."""
    return {
        name: concepts * (TOKENS_IN * read + TOKENS_OUT * written) for name, (read, written) in MODELS.items()
    }


def bill(template: Template) -> Mapping[str, tuple[float, float]]:
    """Dollars of a run of 1,000 concepts, and of a day of 20,000 roadmaps, by kind."""
    batch_size = default_of(template, "BatchSize")
    columns = []
    for concepts, times in ((1_000, 1), (CONCEPTS_OF_A_DAY, DAY_OF_ROADMAPS)):
        run = {**model_cost(concepts), **cost_of(concepts, batch_size, template)}
        columns.append({name: times * dollars for name, dollars in run.items()})
    one, many = columns
    return {name: (one[name], many[name]) for name in one}


def idle_month(template: Template, database: Template) -> Mapping[str, float]:
    """Dollars of a month without a task, with a created database, WAF and SnapStart."""
    both = [*template["Resources"].values(), *database["Resources"].values()]

    def count(kind: str) -> int:
        return sum(resource["Type"] == kind for resource in both)

    cluster = database["Resources"]["DatabaseCluster"]["Properties"]
    units = cluster["ServerlessV2ScalingConfiguration"]["MinCapacity"] * count("AWS::RDS::DBInstance")
    endpoints = {name for name, each in database["Parameters"].items() if each.get("Default") == "true"}
    interfaces = [
        name
        for name, each in database["Resources"].items()
        if each.get("Properties", {}).get("VpcEndpointType") == "Interface" and f"Create{name}" in endpoints
    ]
    snapshots = sum(
        memory_of(template, name)
        for name, each in template["Resources"].items()
        if "SnapStart" in each.get("Properties", {})
    )
    alarms = [each["Properties"] for each in both if each["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = sum(sum("MetricStat" in m for m in alarm.get("Metrics", ())) or 1 for alarm in alarms)
    rules = len(template["Resources"]["ApiFirewall"]["Properties"]["Rules"])
    return {
        "instances": units * HOURS_OF_A_MONTH * PRICES["ACU_HOUR"],
        "proxy": HOURS_OF_A_MONTH * PRICES["PROXY_HOUR"],
        "endpoints": len(interfaces) * ZONES * HOURS_OF_A_MONTH * PRICES["ENDPOINT_HOUR"],
        "SnapStart": snapshots * KEPT_VERSIONS * HOURS_OF_A_MONTH * 3600 * PRICES["SNAPSHOT_GB_SECOND"],
        "alarms": metrics * PRICES["ALARM_METRIC"]
        + count("AWS::CloudWatch::CompositeAlarm") * PRICES["PAGE"],
        "WAF, keys and secrets": PRICES["FIREWALL"]
        + rules * PRICES["FIREWALL_RULE"]
        + count("AWS::KMS::Key") * PRICES["KEY"]
        + (count("AWS::SecretsManager::Secret") + 1) * PRICES["SECRET"],  # and the administrator's
    }


def requests_per_second(batch_size: int, parallel: int) -> float:
    """The requests in the busiest hour of a large day: each roadmap is polled while it waits and runs."""
    minutes = QUEUE_MINUTES + run_minutes(CONCEPTS_OF_A_DAY, batch_size, parallel)
    return DAY_OF_ROADMAPS * BUSY_HOUR * minutes * POLLS_PER_MINUTE / 3600


def tokens_of_a_slot(batch_size: int) -> float:
    """The tokens that a slot uses in an hour without a pause."""
    return DAY_OF_ROADMAPS * CONCEPTS_OF_A_DAY * (TOKENS_IN + TOKENS_OUT) / 24 / slots_of_a_day(batch_size)


def slots_of_a_day(batch_size: int) -> float:
    """The slots that a large day takes on average."""
    return DAY_OF_ROADMAPS * generating_seconds(CONCEPTS_OF_A_DAY, batch_size) / 86_400


def memory_of(template: Template, function: str) -> float:
    """The memory of a function, in GB."""
    default = template["Globals"]["Function"]["MemorySize"]
    return float(template["Resources"][function]["Properties"].get("MemorySize", default)) / 1024


def not_read(year: int) -> list[str]:
    """The facts about AWS with sources that were not read since the beginning of a year."""
    return [fact.name for fact in FACTS if fact.read < str(year)]


def printed_bill(template: Template, database: Template) -> tuple[str, str, str]:
    """The bill as a table; a sentence with the slots and the tokens of the day; and the idle month."""
    table = Table(
        "",
        Column("1,000 concepts, $", justify="right"),
        Column(f"a day of {DAY_OF_ROADMAPS:,} roadmaps, $", justify="right"),
    )
    for name, (one, many) in bill(template).items():
        table.add_row(name, f"{one:.4f}", f"{many:,.2f}")
    printed = StringIO()
    Console(file=printed, width=110).print(table)
    slots, given = (
        slots_of_a_day(default_of(template, "BatchSize")),
        default_of(template, "GeneratorConcurrency"),
    )
    tokens = DAY_OF_ROADMAPS * CONCEPTS_OF_A_DAY * (TOKENS_IN + TOKENS_OUT) / 1_440
    idle = idle_month(template, database)
    parts = ", ".join(f"{name} ${dollars:.0f}" for name, dollars in idle.items())
    return (
        "\n".join(map(str.rstrip, printed.getvalue().splitlines())),
        (
            f"The day needs {slots:.0f} slots on average and {tokens / 1e6:.1f} million tokens a minute; "
            f"{given} slots make {DAY_OF_ROADMAPS * given / slots:,.0f} roadmaps."
        ),
        (
            f"A month without a task costs about ${sum(idle.values()):.0f} for each environment with a "
            f"created database, WAF and SnapStart: {parts}."
        ),
    )


def main() -> None:
    """Print the bill, and write its table into the document."""
    table, *sentences = printed_bill(*map(read_template, TEMPLATES))
    page = PAGE.read_text()
    PAGE.write_text(page[: page.index("┏")] + table + page.partition("┘")[2])
    sys.stdout.write("\n".join([table, *sentences, ""]))
    year = datetime.now(UTC).year
    sys.stdout.write(f"Not confirmed by a page of AWS: {', '.join(UNCONFIRMED)}.\n")
    sys.stdout.write(f"Not read in {year}: {', '.join(not_read(year)) or 'none'}.\n")


if __name__ == "__main__":
    main()
