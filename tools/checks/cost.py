"""`python -m checks.cost [CONCEPTS]`: the AWS cost of saving a roadmap, computed from counts.

The batches are those of Plan, the transitions those of the simulated state machine, the memory sizes those of
the template. The duration of an invocation is a conservative assumption: `SECONDS`, `MODEL_SECONDS`. Not
included, because they depend on the deployment: the model's tokens, logs and the network.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, NamedTuple, NoReturn

from rich.console import Console
from rich.table import Table

from checks.simulation import FailedError, Function, Run, simulate
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, default_of, read_template
from roadmap_content.contracts import BatchRequest, FinalizeResult, Plan, parse
from roadmap_content.items import ContentType, count_by_type
from roadmap_content.manifest import make_manifest
from roadmap_content.roadmaps.framework import read_framework
from roadmap_content.steps.await_redrive import AwaitRedriveRequest
from roadmap_content.steps.finalize import FinalizeRequest
from roadmap_content.steps.generate import GenerateReport
from roadmap_content.steps.plan import PlanRequest, PlanResult
from roadmap_content.steps.save import SaveReport
from roadmap_content.storage.keys import manifest_key


class Price(NamedTuple):
    """A unit price in dollars, in us-east-1, without the free tier."""

    dollars: float
    unit: str
    source: str
    """The AWS page with the price."""

    as_of: str
    """The year of the price."""

    compared: str
    """The source of a comparison in November 2026: a stored copy of AWS's page, or other pages. No command
    reads them.
    """


PRICES: Mapping[str, Price] = {
    "transition": Price(
        0.025 / 1_000,
        "state transition",
        "aws.amazon.com/step-functions/pricing",
        "2025",
        compared="AWS's page",
    ),
    "gb_second": Price(
        0.0000133334, "GB-second, arm64", "aws.amazon.com/lambda/pricing", "2025", compared="others' pages"
    ),
    "invocation": Price(
        0.20 / 1_000_000, "invocation", "aws.amazon.com/lambda/pricing", "2025", compared="others' pages"
    ),
    "snapshot": Price(
        0.0000015046,
        "GB-second of a cached snapshot",
        "aws.amazon.com/lambda/pricing",
        "2025",
        compared="others' pages",
    ),
    "put": Price(0.005 / 1_000, "PUT", "aws.amazon.com/s3/pricing", "2025", compared="others' pages"),
    "get": Price(0.0004 / 1_000, "GET", "aws.amazon.com/s3/pricing", "2025", compared="others' pages"),
    "key": Price(1.00, "key and month", "aws.amazon.com/kms/pricing", "2025", compared="AWS's page"),
    "alarm": Price(
        0.10,
        "metric of an alarm and month",
        "aws.amazon.com/cloudwatch/pricing",
        "2025",
        compared="others' pages",
    ),
    "metric": Price(
        0.30, "own metric and month", "aws.amazon.com/cloudwatch/pricing", "2025", compared="others' pages"
    ),
    "composite": Price(
        0.50,
        "composite alarm and month",
        "aws.amazon.com/cloudwatch/pricing",
        "2025",
        compared="others' pages",
    ),
    "dashboard": Price(
        3.00, "dashboard and month", "aws.amazon.com/cloudwatch/pricing", "2025", compared="others' pages"
    ),
    "firewall": Price(
        5.00, "firewall and month", "aws.amazon.com/waf/pricing", "2025", compared="others' pages"
    ),
    "rule": Price(
        1.00, "rule of a firewall and month", "aws.amazon.com/waf/pricing", "2025", compared="others' pages"
    ),
    "inspection": Price(
        0.60 / 1_000_000,
        "request that a firewall sees",
        "aws.amazon.com/waf/pricing",
        "2025",
        compared="others' pages",
    ),
    "acu_hour": Price(
        0.12,
        "ACU-hour, Aurora Serverless v2",
        "aws.amazon.com/rds/aurora/pricing",
        "2025",
        compared="others' pages",
    ),
    "proxy_hour": Price(
        0.015,
        "ACU-hour behind RDS Proxy",
        "aws.amazon.com/rds/proxy/pricing",
        "2025",
        compared="others' pages",
    ),
    "endpoint_hour": Price(
        0.01,
        "interface endpoint, zone and hour",
        "aws.amazon.com/privatelink/pricing",
        "2025",
        compared="others' pages",
    ),
    "secret": Price(
        0.40, "secret and month", "aws.amazon.com/secrets-manager/pricing", "2025", compared="others' pages"
    ),
}

HOURS_OF_A_MONTH = 730
ZONES = 2
LEAST_ACU, PROXY_LEAST_ACU = 0.5, 8
"""The ACU of an idle instance, and the minimum ACU that RDS Proxy charges for (compared with others)."""

MODEL_SECONDS = 30.0
"""Assumed seconds for one item. Lambda is charged while it waits for the model."""

SECONDS: Mapping[str, float] = {
    "PlanBatchesFunction": 2.0,
    "GenerateContentFunction": 2.0,  # there is nothing to generate
    "SaveBatchFunction": 4.0,
    "FinalizeTaskFunction": 5.0,
}
"""Assumed seconds of an invocation, including cold starts. Warm invocations take less than one second
here.
"""


class Cost(NamedTuple):
    """The resources that one run uses, and their cost."""

    concepts: int
    batches: int
    transitions: int
    invocations: int
    gb_seconds: float
    puts: int
    gets: int

    @property
    def dollars(self) -> Mapping[str, float]:
        """Dollars by service."""
        return {
            "Step Functions": self.transitions * PRICES["transition"].dollars,
            "Lambda": self.invocations * PRICES["invocation"].dollars
            + self.gb_seconds * PRICES["gb_second"].dollars,
            "S3": self.puts * PRICES["put"].dollars + self.gets * PRICES["get"].dollars,
        }


def cost_of(concepts: int, batch_size: int) -> Cost:
    """The cost of saving all three items of each concept in one run, if all of them are staged."""
    run = run_of(concepts, batch_size)
    batches = run.invocations["SaveBatchFunction"]
    template = read_template(REPOSITORY / "template.yaml")
    default = template["Globals"]["Function"]["MemorySize"]
    gb_seconds = sum(
        times * SECONDS[name] * template["Resources"][name]["Properties"].get("MemorySize", default) / 1024
        for name, times in run.invocations.items()
    )
    items = concepts * len(ContentType)
    return Cost(
        concepts=concepts,
        batches=batches,
        transitions=run.transitions,
        invocations=run.invocations.total(),
        gb_seconds=gb_seconds,
        # Each staged item, each tutorial's text, the manifest. A LIST request costs the same as a PUT.
        puts=items + concepts + 1 + len(ContentType) * ceil(concepts / 1_000),
        gets=items + batches,  # each item, and a part of the manifest for each batch
    )


def run_of(concepts: int, batch_size: int, broken: Mapping[str, Function] | None = None) -> Run:
    """Simulate a run with everything staged and nothing saved. All functions succeed except for `broken`."""
    definition = json.loads((REPOSITORY / "statemachine/save_content.asl.json").read_text())
    functions: dict[str, Function] = {
        "PlanBatchesFunction": lambda event: _plan(event, concepts, batch_size),
        "GenerateContentFunction": _generate,
        "SaveBatchFunction": _save,
        "FinalizeTaskFunction": _finalize,
        "AwaitRedriveFunction": _await_redrive,
    }
    run_input = {"task_id": _TASK_ID, "attempt": 1}
    name = f"{_TASK_ID}-r1"
    execution = {
        "Id": f"arn:aws:states:eu-central-1:123456789012:execution:roadmap-content-save-content:{name}",
        "Input": run_input,
        "Name": name,
        "RoleArn": "arn:aws:iam::123456789012:role/roadmap-content-state-machine",
        "StartTime": "2026-11-24T22:00:00.000Z",
        "RedriveCount": 0,
    }
    return simulate(definition, {**functions, **(broken or {})}, run_input, execution)


_TASK_ID = "925bf0ca-f462-5bdd-a653-4b32c3663a3a"


def _plan(event: object, concepts: int, batch_size: int) -> dict[str, Any]:
    """The response of Plan if nothing is saved."""
    request = parse(PlanRequest, event)
    leaves = [{"concept_id": f"c-{number}", "name": "A concept"} for number in range(concepts)]
    framework = read_framework({"stages": [{"name": "S", "modules": [{"name": "M", "concepts": leaves}]}]})
    missing = list(framework.items())
    manifest = make_manifest(framework, missing, set(missing), batch_size)
    plan = Plan(
        task_id=request.input.task_id,
        roadmap_id="serverless-python-9b2c8d4e",
        attempt=1,
        claimed_at=datetime.now(UTC).replace(tzinfo=None),
        manifest=manifest_key(request.input.task_id, 1, manifest.body),
        planned=count_by_type(missing),
    )
    return PlanResult(plan=plan, batches=manifest.batches).model_dump(mode="json")


def _generate(event: object) -> dict[str, Any]:
    """The response of Generate if everything is staged."""
    batch = parse(BatchRequest, event).batch
    report = GenerateReport(
        number=batch.number,
        content_type=batch.content_type,
        planned=batch.items,
        staged=batch.items,
        generated=0,
        failed=0,
    )
    return report.model_dump(mode="json")


def _save(event: object) -> dict[str, Any]:
    """The response of Save if every item is saved."""
    batch = parse(BatchRequest, event).batch
    return SaveReport(batch=batch, saved=batch.items, failed=0).model_dump(mode="json")


def _finalize(event: object) -> dict[str, Any]:
    """The response of Finalize, computed here from the reports of the run."""
    request = parse(FinalizeRequest, event)
    missing = dict.fromkeys(ContentType, 0)
    for lost in request.lost:
        missing[lost.batch.content_type] += lost.batch.items
    if request.plan is not None and request.error is not None:
        missing = dict(request.plan.planned)
    complete = request.error is None and not any(missing.values())
    result = FinalizeResult(
        task_id=request.input.task_id,
        attempt=1,
        status="completed" if complete else "failed",
        complete=complete,
        missing=missing,
        error=request.error,
    )
    return result.model_dump(mode="json")


def _await_redrive(event: object) -> NoReturn:
    """AwaitRedrive in an execution without a redrive."""
    parse(AwaitRedriveRequest, event)
    raise FailedError("ContentIncomplete")


def main(concepts: int) -> None:
    """Print the cost by batch size."""
    template = read_template(REPOSITORY / "template.yaml")
    default = default_of(template, "BatchSize")
    table = Table(title=f"{concepts:,} concepts, {concepts * len(ContentType):,} items, one run")
    for heading in ("batch size", "batches", "transitions", "Step Functions", "Lambda", "S3", "together"):
        table.add_column(heading, justify="right")
    for batch_size in sorted({1, 10, default, 100}):
        cost = cost_of(concepts, batch_size)
        dollars = [*cost.dollars.values(), sum(cost.dollars.values())]
        counts = [f"{batch_size}{' *' if batch_size == default else ''}", f"{cost.batches:,}"]
        table.add_row(*counts, f"{cost.transitions:,}", *(f"${each:.4f}" for each in dollars))
    table.caption = "* the default; all staged: without generation, the database, logs and the network"
    console = Console(width=100)
    console.print(table)
    waiting = waiting_for_the_model(concepts)
    console.print(
        f"Where nothing is staged, GenerateContent waits {MODEL_SECONDS:.0f} s an item: ${waiting:.2f} more, "
        "and the model's tokens.",
        highlight=False,
        soft_wrap=True,
    )
    console.print("At rest, a month:", highlight=False)
    for what, monthly in at_rest(template).items():
        console.print(f"  {what}: ${monthly:.2f}", highlight=False, soft_wrap=True)
    console.print("Unit prices in us-east-1, without the free tier:", highlight=False)
    for price in PRICES.values():
        console.print(
            f"  ${price.dollars:.10f}".rstrip("0").rstrip(".")
            + f" per {price.unit}: {price.source}, {price.as_of}; compared with {price.compared}",
            highlight=False,
            soft_wrap=True,
        )


def waiting_for_the_model(concepts: int) -> float:
    """Dollars for GenerateContent while it waits for the model, one item after another."""
    template = read_template(REPOSITORY / "template.yaml")
    own = template["Resources"]["GenerateContentFunction"]["Properties"]
    memory: float = own.get("MemorySize", template["Globals"]["Function"]["MemorySize"]) / 1024
    return concepts * len(ContentType) * MODEL_SECONDS * memory * PRICES["gb_second"].dollars


def at_rest(template: Template) -> Mapping[str, float]:
    """Dollars a month for the resources of an idle stack, by kind."""
    resources = template["Resources"].values()
    rules = [len(each["Properties"]["Rules"]) for each in resources if each["Type"] == "AWS::WAFv2::WebACL"]
    default = template["Globals"]["Function"]["MemorySize"]
    cached = [
        resource["Properties"].get("MemorySize", default) / 1024
        for resource in resources
        if "SnapStart" in resource.get("Properties", {})
    ]
    seconds = HOURS_OF_A_MONTH * 3600
    database = read_template(REPOSITORY / "database/template.yaml")
    return {
        **_watching(template),
        f"{_own_metrics(template)} own metrics, in a month with data in each hour": _own_metrics(template)
        * PRICES["metric"].dollars,
        f"a firewall of {sum(rules)} rules, where WafRequestsPer5Minutes is set": len(rules)
        * PRICES["firewall"].dollars
        + sum(rules) * PRICES["rule"].dollars,
        f"SnapStart's cache, for each release that is kept ({len(cached)} functions)": sum(cached)
        * seconds
        * PRICES["snapshot"].dollars,
        "a database that is made, idle: two instances, proxy, secret": HOURS_OF_A_MONTH
        * (2 * LEAST_ACU * PRICES["acu_hour"].dollars + PROXY_LEAST_ACU * PRICES["proxy_hour"].dollars)
        + PRICES["secret"].dollars,
        **{f"its {what}": dollars for what, dollars in _watching(database).items()},
        f"its {_interface_endpoints()} endpoints in {ZONES} zones": HOURS_OF_A_MONTH
        * ZONES
        * _interface_endpoints()
        * PRICES["endpoint_hour"].dollars,
    }


def _watching(template: Template) -> Mapping[str, float]:
    """Dollars a month for a template's key, alarms, pages and dashboard."""
    resources = template["Resources"].values()
    kinds = Counter(resource["Type"] for resource in resources)
    metrics: int = sum(
        sum("MetricStat" in metric for metric in resource["Properties"].get("Metrics", ())) or 1
        for resource in resources
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    )
    keys, alarms = kinds["AWS::KMS::Key"], kinds["AWS::CloudWatch::Alarm"]
    pages, dashboards = kinds["AWS::CloudWatch::CompositeAlarm"], kinds["AWS::CloudWatch::Dashboard"]
    return {
        f"{keys} key, before it is first rotated, after a year": keys * PRICES["key"].dollars,
        f"{alarms} alarms on {metrics} metrics": metrics * PRICES["alarm"].dollars,
        f"{pages} page{'s' if pages > 1 else ''}": pages * PRICES["composite"].dollars,
        f"{dashboards} dashboard": dashboards * PRICES["dashboard"].dollars,
    }


def _own_metrics(template: Template) -> int:
    """The metrics that the functions write, with each combination of their dimensions."""
    (dashboard,) = (
        each for each in template["Resources"].values() if each["Type"] == "AWS::CloudWatch::Dashboard"
    )
    shown = re.findall(
        r'\["RoadmapContent", "(\w+)", "service", "[^"]+"(?:, "content_type", "(\w+)")?',
        dashboard["Properties"]["DashboardBody"]["Fn::Sub"],
    )
    without_type = 1  # ItemsMissing is also written as the sum of all types, for its alarm
    return len(set(shown)) + without_type


def _interface_endpoints() -> int:
    """The endpoints of the database's stack that are charged by the hour."""
    resources = read_template(REPOSITORY / "database/template.yaml")["Resources"].values()
    return sum(each.get("Properties", {}).get("VpcEndpointType") == "Interface" for each in resources)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
