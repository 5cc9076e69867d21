"""Frameworks are read strictly where a mistake would lose an item, and written only where a field is ours."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.errors import InvalidFrameworkError
from roadmap_content.items import ContentType, Item
from roadmap_content.roadmaps.framework import concept_from, read_framework
from tests.factories import concept_ids, framework_of

NOTHING: dict[ContentType, frozenset[str]] = {content_type: frozenset() for content_type in ContentType}
OURS = {key for kind in CONTENT_KINDS.values() for key in kind.project(None)}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, "framework_data is not an object: None"),
        ([], "framework_data is not an object: []"),
        ({}, "framework_data.stages is not a list: None"),
        ({"stages": None}, "framework_data.stages is not a list: None"),
        ({"stages": "x"}, "framework_data.stages is not a list: 'x'"),
        ({"stages": []}, "framework_data holds no concept"),
        ({"stages": [{"modules": []}]}, "framework_data holds no concept"),
        ({"stages": [3]}, "framework_data.stages[0] is not an object: 3"),
        ({"stages": [{"modules": [{}]}]}, "framework_data.stages[0].modules[0].concepts is not a list: None"),
        (
            {"stages": [{"modules": [{"concepts": [{}]}]}]},
            "framework_data.stages[0].modules[0].concepts[0].concept_id is not a text: None",
        ),
        (
            {"stages": [{"modules": [{"concepts": [{"concept_id": ""}]}]}]},
            "framework_data.stages[0].modules[0].concepts[0].concept_id is not a text: ''",
        ),
        (
            {"stages": [{"modules": [{"concepts": [{"concept_id": "a\x00"}]}]}]},
            "framework_data.stages[0].modules[0].concepts[0].concept_id holds a NUL character at character 1",
        ),
        (
            framework_of(["a", "b", "a"]),
            (
                "concept_id 'a' stands twice: at framework_data.stages[0].modules[0].concepts[0] "
                "and at framework_data.stages[1].modules[0].concepts[0]"
            ),
        ),
    ],
)
def test_a_fault_is_named_with_its_place(document: object, place: str) -> None:
    with pytest.raises(InvalidFrameworkError) as caught:
        read_framework(document)
    assert str(caught.value) == place


@given(
    st.sets(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1), min_size=1
    )
)
def test_any_text_is_an_id(ids: set[str]) -> None:
    framework = read_framework(framework_of(sorted(ids)))
    assert list(framework.nodes) == sorted(ids)


def test_missing_is_what_no_row_is_for_in_framework_order() -> None:
    first, second = concept_ids(2)
    framework = read_framework(framework_of([first, second]))
    saved = NOTHING | {ContentType.QUIZ: frozenset([first, "elsewhere"])}
    assert framework.missing(saved) == [
        Item(first, ContentType.TUTORIAL),
        Item(first, ContentType.RESOURCES),
        Item(second, ContentType.TUTORIAL),
        Item(second, ContentType.RESOURCES),
        Item(second, ContentType.QUIZ),
    ]


def test_projection_writes_the_mapped_fields_and_nothing_else() -> None:
    first, second = concept_ids(2)
    before = framework_of([first, second])
    framework = read_framework(copy.deepcopy(before))
    row = {"tutorial_id": "t", "content_url": "u", "content_version": 3, "summary": "s"}
    current: dict[ContentType, dict[str, Any]] = {content_type: {} for content_type in ContentType}
    current[ContentType.TUTORIAL] = {first: row, "not in the framework": row}

    assert framework.project(current) is True
    assert framework.project(current) is False

    node = framework.nodes[first]
    assert {key: node[key] for key in OURS} == {
        "content_status": "completed",
        "tutorial_id": "t",
        "content_ref": "u",
        "content_version": "v3",
        "content_summary": "s",
        "resources_status": "failed",
        "resources_id": None,
        "resources_count": 0,
        "quiz_status": "failed",
        "quiz_id": None,
        "quiz_questions_count": 0,
    }
    for concept in framework.nodes.values():
        for key in OURS:
            del concept[key]
    for stage in before["stages"]:
        for module in stage["modules"]:
            for concept in module["concepts"]:
                for key in OURS:
                    del concept[key]
    assert json.dumps(framework.document) == json.dumps(before)  # texts, so that order counts


def test_a_status_of_another_type_is_written_although_it_is_equal() -> None:
    document = framework_of(["a"])
    document["stages"][0]["modules"][0]["concepts"][0]["resources_count"] = False
    framework = read_framework(document)
    framework.project({content_type: {} for content_type in ContentType})
    assert framework.nodes["a"]["resources_count"] is not False


def test_whatever_else_the_product_wrote_a_concept_can_be_described() -> None:
    odd = {
        "concept_id": "a",
        "name": None,
        "keywords": [1, "k"],
        "prerequisites": "p",
        "estimated_hours": True,
    }
    concept = concept_from(odd)
    assert (concept.name, concept.keywords, concept.prerequisites, concept.estimated_hours) == (
        "a",
        ("k",),
        (),
        0.0,
    )
