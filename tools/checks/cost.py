"""`python -m checks.cost [CONCEPTS]`: the AWS cost of saving a roadmap, computed from counts.

The batches are those of Plan, the transitions those of the simulated state machine, the memory sizes those of
the template. The duration of an invocation is a conservative assumption: `SECONDS`. Not included, because
they depend on the deployment: the model, the database, logs and the network.
"""

import json
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
from local_stack.template_file import default_of, read_template
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

# us-east-1, as of 2025, in dollars.
PER_TRANSITION = 0.025 / 1_000
PER_GB_SECOND = 0.0000133334  # arm64
PER_INVOCATION = 0.20 / 1_000_000
PER_PUT = 0.005 / 1_000
PER_GET = 0.0004 / 1_000
PER_KEY_MONTH = 1.00
PER_ALARM_MONTH = 0.10

SECONDS: Mapping[str, float] = {
    "PlanBatchesFunction": 2.0,
    "GenerateContentFunction": 2.0,  # nothing is to be generated
    "SaveBatchFunction": 4.0,
    "FinalizeTaskFunction": 5.0,
}
"""Seconds of an invocation, cold starts included: assumed. Warm, they take well under one here."""


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
        """By service."""
        return {
            "Step Functions": self.transitions * PER_TRANSITION,
            "Lambda": self.invocations * PER_INVOCATION + self.gb_seconds * PER_GB_SECOND,
            "S3": self.puts * PER_PUT + self.gets * PER_GET,
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
        # Each item staged, each tutorial's text, the manifest; a request that lists costs as much as those.
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
    """The response of Finalize, which trusts the reports of the run here."""
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
    table.caption = "* the default; without the model, the database, logs and the network"
    console = Console(width=100)
    console.print(table)
    resources = Counter(resource["Type"] for resource in template["Resources"].values())
    keys, alarms = resources["AWS::KMS::Key"], resources["AWS::CloudWatch::Alarm"]
    a_month = keys * PER_KEY_MONTH + alarms * PER_ALARM_MONTH
    console.print(f"At rest, a month: {keys} key and {alarms} alarms: ${a_month:.2f}.", highlight=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
