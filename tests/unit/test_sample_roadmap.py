"""The sample roadmap is a valid bundle without content, and the offline generator can fill it."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from roadmap_content.content.bundle import read_bundle
from roadmap_content.content.product.concept_metadata import PRODUCT_TYPES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import read_framework

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


def test_every_item_is_pending_and_has_every_field(concepts: list[dict[str, Any]]) -> None:
    missing = {
        key: value for each in PRODUCT_TYPES for key, value in CONTENT_KINDS[each].project(None).items()
    }
    pending = {key: "pending" if value == "failed" else value for key, value in missing.items()}
    for concept in concepts:
        assert {key: concept[key] for key in pending} == pending
