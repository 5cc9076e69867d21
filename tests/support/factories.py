"""Roadmaps, tasks and content for tests: small, valid, and distinguishable."""

import uuid
from collections.abc import Sequence
from typing import Any

USER = "37107462-3e90-5814-abb7-48cfeaa6170a"


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
            "content_status": "pending",
            "tutorial_id": None,
            "content_ref": None,
            "content_version": "v1",
            "content_summary": None,
            "resources_status": "pending",
            "resources_id": None,
            "resources_count": 0,
            "quiz_status": "pending",
            "quiz_id": None,
            "quiz_questions_count": 0,
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


def tutorial(concept_id: str, *, version: int = 1, **changes: Any) -> dict[str, Any]:
    """A valid tutorial."""
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
    """A valid list of resources."""
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
    """A valid quiz."""
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
                "tutorial": tutorial(concept_id),
                "resources": resources(concept_id),
                "quiz": quiz(concept_id),
            }
            for concept_id in ids
        ],
    }
