"""A run of the shipped state machine, simulated, with functions that plan and answer as the real ones."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, NoReturn

from local_stack.builds import REPOSITORY
from roadmap_content.content.manifest import Manifest, make_manifest
from roadmap_content.content.roadmaps.framework import read_framework
from roadmap_content.contracts.items import ContentType, count_by_type
from roadmap_content.contracts.payloads import BatchRequest, FinalizeResult, Plan, parse
from roadmap_content.platform.storage.keys import manifest_key
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest
from roadmap_content.runs.steps.finalize import FinalizeRequest
from roadmap_content.runs.steps.generate import GenerateReport
from roadmap_content.runs.steps.plan import PlanRequest, PlanResult
from roadmap_content.runs.steps.save import SaveReport
from tests.support.simulation import FailedError, Function, Run, simulate


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
    manifest, planned = _manifest(concepts, batch_size)
    plan = Plan(
        task_id=request.input.task_id,
        roadmap_id="serverless-python-9b2c8d4e",
        attempt=1,
        claimed_at=datetime.now(UTC),
        manifest=manifest_key(request.input.task_id, 1, request.execution.arn, manifest.body),
        planned=planned,
    )
    return PlanResult(plan=plan, batches=manifest.batches).model_dump(mode="json")


@cache
def _manifest(concepts: int, batch_size: int) -> tuple[Manifest, dict[ContentType, int]]:
    leaves = [{"concept_id": f"c-{number}", "name": "A concept"} for number in range(concepts)]
    framework = read_framework({"stages": [{"name": "S", "modules": [{"name": "M", "concepts": leaves}]}]})
    missing = list(framework.items())
    return make_manifest(framework, missing, set(missing), batch_size), count_by_type(missing)


def _generate(event: object) -> dict[str, Any]:
    """The response of Generate if everything is staged."""
    batch = parse(BatchRequest, event).batch
    report = GenerateReport(
        number=batch.number,
        planned=batch.total,
        staged=batch.total,
        generated=0,
        failed=0,
    )
    return report.model_dump(mode="json")


def _save(event: object) -> dict[str, Any]:
    """The response of Save if every item is saved."""
    batch = parse(BatchRequest, event).batch
    return SaveReport(batch=batch, saved=batch.total, failed=0).model_dump(mode="json")


def _finalize(event: object) -> dict[str, Any]:
    """The response of Finalize, computed here from the reports of the run."""
    request = parse(FinalizeRequest, event)
    missing = dict.fromkeys(ContentType, 0)
    for lost in request.lost:
        for content_type, number in lost.batch.items.items():
            missing[content_type] += number
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
