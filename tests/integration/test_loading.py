"""Loading a bundle is atomic, and loading it again changes no existing row."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roadmap_command.load import load_bundle
from roadmap_content.content.bundle import parse_bundle, read_bundle
from roadmap_content.contracts.errors import InvalidBundleError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from tests.support.factories import TYPES, bundle_of, counts
from tests.support.pipeline import S3, Pipeline

IDS = ["a", "b"]
Damage = Callable[[dict[str, Any]], object]

SCALARS = st.none() | st.booleans() | st.floats() | st.text()
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def tutorial_of(bundle: dict[str, Any]) -> dict[str, Any]:
    tutorial: dict[str, Any] = bundle["content"][0]["tutorial"]
    return tutorial


def question_of(bundle: dict[str, Any]) -> dict[str, Any]:
    question: dict[str, Any] = bundle["content"][0]["quiz"]["questions"][2]
    return question


DAMAGES: tuple[tuple[Damage, str], ...] = (
    (lambda b: b.pop("task"), "task: Field required"),
    (lambda b: b["roadmap"].pop("title"), "roadmap.title: Field required"),
    (lambda b: b["roadmap"].update(framework_data=[]), "roadmap.framework_data: Input should be"),
    (lambda b: b["roadmap"].update(framework_data={}), "roadmap.framework_data.stages is not a list"),
    (lambda b: b["task"].update(roadmap_id="r-2"), "task.roadmap_id is not roadmap.roadmap_id"),
    (lambda b: b["task"].update(user_id="u-2"), "task.user_id is not roadmap.user_id"),
    (lambda b: b["content"][1].update(concept_id="c"), "content[1].concept_id is not a concept"),
    (lambda b: b["content"].append(b["content"][0]), "content[2].tutorial is given twice for 'a'"),
    (lambda b: b["content"][1].update(podcast={}), "content[1].podcast is not a content type"),
    (lambda b: b["content"][1].update(quizz={}), "content[1].quizz is not a content type"),
    (lambda b: question_of(b).update(explanation="x" * 600_000), "content[0].quiz has "),
    (lambda b: b["task"].update(task_id="t 1"), "task.task_id: String should match pattern"),
    (lambda b: tutorial_of(b).update(content_version="1"), "content[0].tutorial.content_version: Input"),
    (lambda b: question_of(b).update(options=[]), "content[0].quiz.questions[2].options:"),
    (lambda b: tutorial_of(b).update(note="\x00"), "content[0].tutorial.note holds a NUL"),
    (lambda b: b["content"][0].update(quiz=None), "content[0].quiz."),
)


def test_an_invalid_bundle_is_refused_with_the_path_of_its_fault_and_nothing_is_written(
    pipeline: Pipeline,
) -> None:
    for damage, fault in DAMAGES:
        bundle = bundle_of(IDS)
        damage(bundle)
        with pytest.raises(InvalidBundleError) as caught:
            pipeline.load(bundle)
        assert str(caught.value).startswith(fault)
    for table in ("roadmap_metadata", "roadmap_tasks", "tutorial_metadata"):
        assert pipeline.rows(f"SELECT * FROM {table}") == []
    assert S3.client.list_objects_v2(Bucket="content")["KeyCount"] == 0


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_an_arbitrary_document_is_either_loaded_or_refused(document: object) -> None:
    with pytest.raises(InvalidBundleError):
        parse_bundle(json.dumps(document).encode())


def test_loading_again_only_stages_the_content_of_unsaved_items_again(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    lost, saved = Item("a", ContentType.QUIZ), Item("a", ContentType.RESOURCES)
    staged = pipeline.staging().read(lost)
    pipeline.stage(lost, b"something else")
    assert not pipeline.run().complete
    before = pipeline.task(), pipeline.framework()
    edited = bundle_of(IDS)
    edited["content"][0]["resources"]["resources"][0]["title"] = "Edited"
    saved_from = pipeline.staging().read(saved)
    pipeline.load(edited)
    assert (pipeline.task(), pipeline.framework()) == before
    assert pipeline.staging().read(lost) == staged
    assert pipeline.staging().read(saved) == saved_from, "the content that the row was saved from"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            "UPDATE roadmap_metadata SET user_id = 'somebody'",
            "roadmap 'r-1' exists and belongs to another user",
        ),
        (
            "UPDATE roadmap_tasks SET user_id = 'somebody'",
            "task 't-1' exists and belongs to another",
        ),
    ],
)
def test_rows_of_another_user_are_not_overwritten(pipeline: Pipeline, change: str, fault: str) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.execute(change)
    with pytest.raises(InvalidBundleError, match=fault):
        pipeline.load(bundle_of(IDS))


def test_a_bundle_with_invalid_items_is_loaded_and_the_run_records_them(pipeline: Pipeline) -> None:
    bundle = bundle_of(IDS)
    question_of(bundle).update(options=[])
    tutorial_of(bundle).update(note="\x00")
    bundle["content"].append({"concept_id": "c", "quiz": {}})
    read = read_bundle(bundle, strict=False)
    assert [(each.concept_id, each.content_type) for each in read.invalid] == [
        ("a", ContentType.TUTORIAL),
        ("a", ContentType.QUIZ),
        ("c", None),
    ]
    assert "questions[2].options" in read.invalid[1].fault

    loaded = load_bundle(read, pipeline.engine, pipeline.bucket, Deadline.after(600))
    assert (loaded.staged, loaded.saved_already) == (2 * TYPES - 2, 0)
    pipeline.roadmap_id = read.roadmap.roadmap_id
    assert pipeline.run().missing == counts(tutorial=1, quiz=1)
    failed = pipeline.task()["failed_concepts"]["items"]
    assert {item["error_code"] for item in failed} == {"InvalidContent"}
    again = load_bundle(read, pipeline.engine, pipeline.bucket, Deadline.after(600))
    assert (again.staged, again.saved_already) == (0, 2 * TYPES - 2)


def test_an_item_that_is_too_large_stops_no_other_and_the_run_records_it(pipeline: Pipeline) -> None:
    bundle = bundle_of(IDS)
    question_of(bundle).update(explanation="x" * 600_000)
    bundle["content"][1] |= {"podcast": {}, "quizz": {}}
    bundle["content"].append(bundle["content"][1] | {"tutorial": None})
    read = read_bundle(bundle, strict=False)
    names = [each.fault.partition(" ")[0] for each in read.invalid]
    assert names[:3] == ["content[0].quiz", "content[1].podcast", "content[1].quizz"]
    assert [each.item is not None for each in read.invalid[:3]] == [True, False, False]

    loaded = load_bundle(read, pipeline.engine, pipeline.bucket, Deadline.after(600))

    assert loaded.staged == 2 * TYPES - 1
    pipeline.roadmap_id = read.roadmap.roadmap_id
    assert pipeline.run().missing == counts(quiz=1)
    (failed,) = pipeline.task()["failed_concepts"]["items"]
    assert (failed["concept_id"], failed["content_type"]) == ("a", "quiz")


def test_invalid_content_never_replaces_a_saved_item(pipeline: Pipeline) -> None:
    """Otherwise a later regeneration of the concept would use it, although nobody asked for it."""
    pipeline.load(bundle_of(IDS))
    pipeline.run()
    before = pipeline.bucket.keys("staged/", after="")
    bundle = bundle_of(IDS)
    for content in (None, [1], {}, {"questions": "none"}):
        bundle["content"][0]["quiz"] = content
        read = read_bundle(bundle, strict=False)
        loaded = load_bundle(read, pipeline.engine, pipeline.bucket, Deadline.after(600))
        assert loaded.staged == 0
        assert pipeline.bucket.keys("staged/", after="") == before
