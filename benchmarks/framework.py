"""A framework of any size, as the product writes it before anything is saved."""

from collections.abc import Sequence
from typing import Any


def framework_of(ids: Sequence[str]) -> dict[str, Any]:
    """Stages of ten modules of ten concepts, in the product's format."""
    concepts = [
        {
            "concept_id": concept_id,
            "name": f"Concept {number}",
            "description": "What the concept is about, in two sentences. They are as long as such are.",
            "estimated_hours": 0.5,
            "prerequisites": ids[number - 1 : number],
            "difficulty": "medium",
            "keywords": ["alpha", "beta", "gamma"],
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
        }
        for number, concept_id in enumerate(ids)
    ]
    modules = [
        {"name": f"Module {start // 10}", "concepts": concepts[start : start + 10]}
        for start in range(0, len(ids), 10)
    ]
    stages = [
        {"name": f"Stage {start // 10}", "modules": modules[start : start + 10]}
        for start in range(0, len(modules), 10)
    ]
    return {"title": "A roadmap", "stages": stages}
