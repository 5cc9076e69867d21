"""`python -m local.cost [CONCEPTS]`: what AWS asks for saving so many concepts, counted and not guessed.

The batches are those that Plan makes, the transitions those of the state machine's definition, the memory
that of the template. A function's seconds are assumed, and on the safe side: `SECONDS`. Not in it, because
they depend on what else there is: the model, the database, logs and the network.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from local.builds import REPOSITORY
from local.deploy import read_template
from roadmap_content.framework import read_framework
from roadmap_content.items import ContentType
from roadmap_content.manifest import make_manifest

# us-east-1, as of 2025, in dollars.
PER_TRANSITION = 0.025 / 1_000
PER_GB_SECOND = 0.0000133334  # arm64
PER_INVOCATION = 0.20 / 1_000_000
PER_PUT = 0.005 / 1_000
PER_GET = 0.0004 / 1_000

SECONDS: Mapping[str, float] = {
    "PlanBatchesFunction": 2.0,
    "GenerateContentFunction": 2.0,  # what is staged is only looked at
    "SaveBatchFunction": 2.0,
    "FinalizeTaskFunction": 5.0,
}
"""Seconds of an invocation, cold starts included: assumed. Warm, a batch takes well under one here."""

State = Mapping[str, Any]


class Cost(NamedTuple):
    """What one run takes, and costs."""

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
    """What it takes to save all three items of so many concepts that are staged, in one run."""
    definition = json.loads((REPOSITORY / "statemachine/save_content.asl.json").read_text())
    batches = count_batches(concepts, batch_size)
    functions: dict[str, int] = {}
    transitions = _walk(definition, batches, functions)
    template = read_template(REPOSITORY / "template.yaml")
    default = template["Globals"]["Function"]["MemorySize"]
    gb_seconds = sum(
        times * SECONDS[name] * template["Resources"][name]["Properties"].get("MemorySize", default) / 1024
        for name, times in functions.items()
    )
    items = concepts * len(ContentType)
    return Cost(
        concepts=concepts,
        batches=batches,
        transitions=transitions,
        invocations=sum(functions.values()),
        gb_seconds=gb_seconds,
        puts=items + concepts + 1,  # each item staged, each tutorial's text, the manifest
        gets=2 * items + 2 * batches,  # each item looked at and read, the manifest twice a batch
    )


def count_batches(concepts: int, batch_size: int) -> int:
    """The batches that Plan makes of so many concepts, of which nothing is saved."""
    leaves = [{"concept_id": f"c-{number}", "name": "A concept"} for number in range(concepts)]
    framework = read_framework({"stages": [{"name": "S", "modules": [{"name": "M", "concepts": leaves}]}]})
    return len(make_manifest(framework, list(framework.items()), batch_size).batches)


def _walk(machine: State, iterations: int, functions: dict[str, int], times: int = 1) -> int:
    """The states that are entered where all goes well; functions are counted as they are invoked."""
    entered, name = 0, machine["StartAt"]
    while name is not None:
        state = machine["States"][name]
        entered += times
        if state["Type"] == "Map":
            entered += _walk(state["ItemProcessor"], iterations, functions, times * iterations)
        if function := state.get("Arguments", {}).get("FunctionName"):
            logical_id = function.strip("${}")
            functions[logical_id] = functions.get(logical_id, 0) + times
        # A choice's first way is the one where all went well.
        name = state["Choices"][0]["Next"] if state["Type"] == "Choice" else state.get("Next")
    return entered


def main(concepts: int) -> None:
    """Print what so many concepts cost, by batch size."""
    default = read_template(REPOSITORY / "template.yaml")["Parameters"]["BatchSize"]["Default"]
    table = Table(title=f"{concepts:,} concepts, {concepts * len(ContentType):,} items, one run")
    for heading in ("batch size", "batches", "transitions", "Step Functions", "Lambda", "S3", "together"):
        table.add_column(heading, justify="right")
    for batch_size in sorted({1, 10, default, 100}):
        cost = cost_of(concepts, batch_size)
        dollars = [*cost.dollars.values(), sum(cost.dollars.values())]
        counts = [f"{batch_size}{' *' if batch_size == default else ''}", f"{cost.batches:,}"]
        table.add_row(*counts, f"{cost.transitions:,}", *(f"${each:.4f}" for each in dollars))
    table.caption = "* the default; without the model, the database, logs and the network"
    Console(width=100).print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
