"""The sample roadmap is a valid bundle without content, and the offline generator can fill it."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from roadmap_content.bundle import read_bundle
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.generation.generator import generator_named
from roadmap_content.items import ContentType, Item
from roadmap_content.roadmaps.framework import read_framework

SAMPLE = Path(__file__).parents[2] / "tools" / "roadmap_command" / "sample" / "roadmap.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def concepts(document: dict[str, Any]) -> list[dict[str, Any]]:
    return list(read_framework(document["roadmap"]["framework_data"]).nodes.values())


def test_the_sample_is_a_bundle_without_content(document: dict[str, Any]) -> None:
    bundle = read_bundle(document)
    assert bundle.content == {}
    assert str(uuid.UUID(bundle.task.task_id)) == bundle.task.task_id
    assert str(uuid.UUID(bundle.task.user_id)) == bundle.task.user_id


def test_the_framework_matches_the_row_of_the_roadmap(document: dict[str, Any]) -> None:
    roadmap = document["roadmap"]
    head = ("roadmap_id", "title", "total_estimated_hours", "recommended_completion_weeks")
    assert {key: roadmap["framework_data"][key] for key in head} == {key: roadmap[key] for key in head}


def test_ids_are_unique_and_contain_their_position(
    document: dict[str, Any], concepts: list[dict[str, Any]]
) -> None:
    roadmap_id, stages = document["roadmap"]["roadmap_id"], document["roadmap"]["framework_data"]["stages"]
    places = [
        (stage_number, module_number, number)
        for stage_number, stage in enumerate(stages, start=1)
        for module_number, module in enumerate(stage["modules"], start=1)
        for number, _ in enumerate(module["concepts"], start=1)
    ]
    assert [concept["concept_id"] for concept in concepts] == [
        f"{roadmap_id}:c-{stage}-{module}-{number}" for stage, module, number in places
    ]
    assert len({concept["concept_id"] for concept in concepts}) == len(concepts) >= 24
    assert [(stage["stage_id"], stage["order"]) for stage in stages] == [
        (f"s-{number}", number) for number in range(1, len(stages) + 1)
    ]


def test_every_item_is_pending_and_has_every_field(concepts: list[dict[str, Any]]) -> None:
    missing = {key: value for kind in CONTENT_KINDS.values() for key, value in kind.project(None).items()}
    pending = {key: "pending" if value == "failed" else value for key, value in missing.items()}
    for concept in concepts:
        assert {key: concept[key] for key in pending} == pending


def test_concepts_have_descriptions_and_earlier_prerequisites(concepts: list[dict[str, Any]]) -> None:
    earlier: set[str] = set()
    for concept in concepts:
        assert 2 <= len(re.findall(r"[.](?=\s|$)", concept["description"])) <= 3, concept["name"]
        assert concept["difficulty"] in ("easy", "medium", "hard")
        assert 3 <= len(set(concept["keywords"])) == len(concept["keywords"])
        assert set(concept["prerequisites"]) <= earlier, concept["name"]
        earlier.add(concept["name"])
    assert len(earlier) == len(concepts)


def test_the_hours_of_the_concepts_sum_up_to_the_total(
    document: dict[str, Any], concepts: list[dict[str, Any]]
) -> None:
    hours = sum(concept["estimated_hours"] for concept in concepts)
    assert document["roadmap"]["total_estimated_hours"] == pytest.approx(hours)


def test_the_offline_generator_fills_the_sample(document: dict[str, Any]) -> None:
    generator = generator_named("offline")
    framework = read_framework(document["roadmap"]["framework_data"])
    made: set[Item] = set()
    for item in framework.items():
        draft = generator.generate(framework.concept(item.concept_id), item.content_type)
        assert isinstance(draft, CONTENT_KINDS[item.content_type].draft)
        made.add(item)
    assert len(made) == len(framework.nodes) * len(ContentType)
