"""Each step's role allows the objects that the step really uses, by their prefixes.

The check of the template compares actions only: a role with `s3:GetObject` on another prefix would pass it,
and every batch would fail on AWS.
"""

from collections import defaultdict
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pytest

from checks.template.declared import functions_in
from roadmap_content.capabilities.erasure.sweep import remove_texts
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import StateError
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import product_text_key, staged_key, text_key
from tests.support.factories import bundle_of, concept_ids
from tests.support.machine_model import Run, State
from tests.support.memory_s3 import ObservedS3
from tests.support.pipeline import S3, SETTINGS, Pipeline
from tests.support.templates import STACK

FUNCTION_OF = {
    State.PLAN: "PlanBatchesFunction",
    State.GENERATE: "GenerateContentFunction",
    State.SAVE: "SaveBatchFunction",
    State.FINALIZE: "FinalizeTaskFunction",
}
ACTION = {
    "get_object": "s3:GetObject",
    "head_object": "s3:GetObject",
    "put_object": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "copy_object": "s3:PutObject",
    "list_objects_v2": "s3:ListBucket",
}
ALLOWED = {function.logical_id: function.statements for function in functions_in(STACK)}

Used = dict[str, set[tuple[str, str]]]


def is_allowed(logical_id: str, action: str, key: str) -> bool:
    """Whether a function's role allows an action on an object of the stack's bucket, or on the bucket."""
    arn = f"${{ContentBucket.Arn}}/{key}" if key else "${ContentBucket.Arn}"
    return any(
        fnmatchcase(arn.replace("[", ""), resource)
        for statement in ALLOWED[logical_id]
        if statement.effect == "Allow" and action in statement.actions
        for resource in statement.resources
    )


@pytest.fixture
def used(pipeline: Pipeline) -> Used:
    """The actions on objects by function, of a run in which each step does all that it can do."""
    found: Used = defaultdict(set)
    current = [""]

    def record(request: str, arguments: Mapping[str, Any]) -> None:
        if current[0]:
            found[current[0]].add((ACTION[request], arguments.get("Key", "")))
            if request == "copy_object":
                found[current[0]].add(("s3:GetObject", arguments["CopySource"]["Key"]))

    bundle = bundle_of(concept_ids(12))
    for part in ContentType:
        del bundle["content"][1][part]  # to be generated
    pipeline.load(bundle)
    ids = [entry["concept_id"] for entry in bundle["content"]]
    pipeline.stage(Item(ids[0], ContentType.QUIZ), b'{"quiz_id": "q", "questions": "none"}')  # refused
    paid = product_text_key(pipeline.roadmap_id, ids[2], 1)
    pipeline.bucket.delete(staged_key(pipeline.roadmap_id, Item(ids[2], ContentType.TUTORIAL)))
    pipeline.bucket.put(paid, b"# A text without a row")
    pipeline.services.bucket = Bucket("content", ObservedS3(S3.client, record).client)
    for attempt in (1, 2):  # the second repairs what the first refused
        run: Run = pipeline.start()
        while run.outcome is None:
            current[0] = FUNCTION_OF[run.state]
            if attempt == 1 and run.state is State.SAVE and run.batch == 0:
                run.catch(StateError(error="Lambda.Unknown", cause="its function died"))
                continue
            run.step(pipeline.services, Deadline.after(600))
    current[0] = ""
    assert pipeline.task()["status"] == "completed"
    return found


def test_each_role_allows_the_objects_that_its_step_uses(used: Used) -> None:
    denied = {
        (function, action, key)
        for function, requests in used.items()
        for action, key in requests
        if not is_allowed(function, action, key)
    }
    assert denied == set()


def test_the_run_uses_objects_of_every_kind(used: Used) -> None:
    """Otherwise the other test would prove nothing."""
    kinds = {
        function: {
            (action, "texts" if "/concepts/" in key else key.split("/")[0]) for action, key in requests
        }
        for function, requests in used.items()
    }
    assert kinds == {
        "PlanBatchesFunction": {("s3:GetObject", "staged"), ("s3:PutObject", "manifests")},
        "GenerateContentFunction": {
            ("s3:ListBucket", ""),
            ("s3:GetObject", "manifests"),
            ("s3:GetObject", "staged"),
            ("s3:PutObject", "staged"),
            ("s3:DeleteObject", "staged"),
            ("s3:PutObject", "rejected"),
            ("s3:GetObject", "texts"),
        },
        "SaveBatchFunction": {
            ("s3:GetObject", "manifests"),
            ("s3:GetObject", "staged"),
            ("s3:PutObject", "texts"),
        },
        "FinalizeTaskFunction": {("s3:GetObject", "manifests")},
    }


def test_the_role_of_the_sweep_allows_the_removal_of_texts(pipeline: Pipeline) -> None:
    text, used = text_key("r-1", "c-1", b"unnamed"), set()

    def record(request: str, arguments: Mapping[str, Any]) -> None:
        used.add((ACTION[request], "" if request == "list_objects_v2" else arguments["Key"]))

    pipeline.bucket.put(text, b"unnamed")
    pipeline.services.bucket = Bucket("content", ObservedS3(S3.client, record).client)
    pipeline.services.settings = Settings(SETTINGS | {"RETENTION_DAYS": "deleted_by_product=0"})
    remove_texts(pipeline.services, "", Deadline.after(600))
    assert ("s3:DeleteObject", text) in used
    assert {each for each in used if not is_allowed("ReconcileTaskFunction", *each)} == set()


@pytest.mark.parametrize(
    ("function", "action", "key"),
    [
        ("SaveBatchFunction", "s3:DeleteObject", "staged/items/r-1/quiz/c-1.json"),
        ("SaveBatchFunction", "s3:PutObject", "staged/items/r-1/quiz/c-1.json"),
        ("SaveBatchFunction", "s3:GetObject", "r-1/concepts/c-1/v1.md"),
        ("FinalizeTaskFunction", "s3:GetObject", "r-1/concepts/c-1/v1.md"),
        ("PlanBatchesFunction", "s3:PutObject", "r-1/concepts/c-1/v1.md"),
        ("GenerateContentFunction", "s3:PutObject", "r-1/concepts/c-1/v1.md"),
        ("GenerateContentFunction", "s3:DeleteObject", "rejected/items/r-1/quiz/c-1/1-a.json"),
    ],
)
def test_a_role_does_not_allow_what_its_step_does_not_do(function: str, action: str, key: str) -> None:
    assert not is_allowed(function, action, key)
