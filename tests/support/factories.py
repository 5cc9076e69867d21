"""Roadmaps, tasks and content for tests: small, valid, and distinguishable."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from roadmap_content.content.generation.generator import GenerationRequest
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.items import ContentType

USER = "37107462-3e90-5814-abb7-48cfeaa6170a"


TYPES = len(ContentType)
"""The number of items of a concept."""

LATER_KINDS = [kind for each, kind in CONTENT_KINDS.items() if each not in PRODUCT_TYPES]
"""The content types that were added to those of the product. Each has one row per item."""

CONTENT_TABLES = tuple(kind.table for kind in CONTENT_KINDS.values())

PENDING = {
    key: "pending" if key.endswith("_status") else value
    for kind in CONTENT_KINDS.values()
    for key, value in kind.project(None).items()
}
"""The fields of a concept in a new framework."""

OURS = PENDING.keys()
"""The fields of a concept that content types project."""


def concept_ids(count: int, roadmap_id: str = "r-1") -> list[str]:
    """Concept ids in the format of the product, with colons."""
    return [f"{roadmap_id}:c-1-1-{number}" for number in range(1, count + 1)]


def framework_of(ids: Sequence[str], **extra: Any) -> dict[str, Any]:
    """A framework with two stages, unknown keys, and every concept pending."""
    concepts = [
        {
            "zebra": number,
            "concept_id": concept_id,
            "name": f"Concept {number}",
            "description": f"What concept {number} is about.",
            "estimated_hours": 0.5,
            "prerequisites": [],
            "difficulty": "medium",
            "keywords": ["alpha", "beta"],
            **PENDING,
            "aardvark": None,
        }
        for number, concept_id in enumerate(ids, start=1)
    ]
    middle = (len(concepts) + 1) // 2
    return {
        "title": "A roadmap",
        "stages": [
            {"name": f"Stage {stage}", "modules": [{"name": f"Module {stage}", "concepts": part}]}
            for stage, part in enumerate((concepts[:middle], concepts[middle:]), start=1)
        ],
        **extra,
    }


def concepts_of(framework: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        concept
        for stage in framework["stages"]
        for module in stage["modules"]
        for concept in module["concepts"]
    ]


def without_ours(framework: Mapping[str, Any]) -> str:
    """A framework as text, because the order of keys counts, without the fields in `OURS`."""
    framework = json.loads(json.dumps(framework))
    for concept in concepts_of(framework):
        for key in OURS:
            concept.pop(key, None)  # a bundle from before a type was added lacks its fields
    return json.dumps(framework)


def tutorial(concept_id: str, *, version: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "tutorial_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"tutorial {concept_id} {version}")),
        "title": f"About {concept_id}"[:500],
        "summary": "Short. 短い。" * 40,
        "content_version": version,
        "estimated_completion_time": 12,
        "markdown": f"# {concept_id}\n\nText, “quotes”, 漢字 and an emoji 🙂.\n",
        **changes,
    }


def resources(concept_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"resources {concept_id}")),
        "resources": [
            {"title": "One", "url": "https://example.org/1?q=%20", "relevance_score": 1.0, "language": "en"},
            {"title": "二", "url": "https://example.org/2", "relevance_score": 0.95, "language": "zh"},
        ],
        "search_queries_used": [f"{concept_id} tutorial"],
        **changes,
    }


def quiz(concept_id: str, **changes: Any) -> dict[str, Any]:
    questions = [
        {
            "question_id": f"q-{number}",
            "question_type": "single_choice",
            "question": f"Which one is {number}?",
            "options": ["0", "1", "2"],
            "correct_answer": [number],
            "explanation": "因为。",
            "difficulty": difficulty,
        }
        for number, difficulty in enumerate(("easy", "medium", "hard"))
    ]
    return {
        "quiz_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"quiz {concept_id}")),
        "questions": questions,
        "total_questions": len(questions),
        **changes,
    }


def counts(default: int = 0, **others: int) -> dict[str, int]:
    """A number of items per content type: the default, or that of the type."""
    return dict.fromkeys(map(str, ContentType), default) | others


def content_of(content_type: ContentType, concept_id: str) -> dict[str, Any]:
    """A valid content of any type. Types without a factory have their offline draft."""
    if content_type in FACTORIES:
        return FACTORIES[content_type](concept_id)
    draft = OfflineGenerator().generate(GenerationRequest(Concept(concept_id, "A concept"), content_type))
    kind = CONTENT_KINDS[content_type]
    row_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{content_type} {concept_id}"))
    return {kind.id_field: row_id} | draft | kind.complete(draft, 1)


FACTORIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "tutorial": tutorial,
    "resources": resources,
    "quiz": quiz,
}


def bundle_of(
    ids: Sequence[str], *, roadmap_id: str = "r-1", task_id: str = "t-1", user_id: str = USER
) -> dict[str, Any]:
    """A valid bundle with content for every concept."""
    return {
        "roadmap": {
            "roadmap_id": roadmap_id,
            "user_id": user_id,
            "title": "A roadmap",
            "total_estimated_hours": 1.5,
            "recommended_completion_weeks": 3,
            "framework_data": framework_of(ids),
        },
        "task": {"task_id": task_id, "user_id": user_id, "roadmap_id": roadmap_id},
        "content": [
            {
                "concept_id": concept_id,
                **{str(content_type): content_of(content_type, concept_id) for content_type in ContentType},
            }
            for concept_id in ids
        ],
    }
