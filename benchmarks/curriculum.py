"""Generate roadmaps and content of any size with the proportions of real curricula.

Sizes follow two curricula of 24 concepts, one in English and one in Chinese: a quiz of 6 questions has about
1.9 kB of JSON (2.7 kB escaped, in Chinese), 3 to 12 resources have 0.7 to 3.4 kB, a summary has 90 to 280
characters. The vocabulary is large enough that PostgreSQL compresses the texts about as well as real ones.
"""

import random
import uuid
from collections.abc import Callable
from typing import Any

from roadmap_content.contracts.documents import Document

_SYLLABLES = "ba co de fi gu ha jo ke li mu na po qua re si tu va we xi yo zen ther ing ment able con pro str"
_CHARACTERS = "学习路线图的每个概念都有教程资源和测验我们用函数把内容写进数据库再由状态机检查结果传感器"

TUTORIAL_CHARACTERS = 14_000


class Author:
    """Writes content, deterministic for a seed. Every fifth concept is in Chinese."""

    def __init__(self, seed: int = 6) -> None:
        self._random = random.Random(seed)  # noqa: S311 - texts, not secrets
        syllables = _SYLLABLES.split()
        self._words = [
            "".join(self._random.choices(syllables, k=self._random.randint(1, 4))) for _ in range(450)
        ]
        # As in every language, most words of a text come from a small set.
        self._weights = [rank**-1.1 for rank in range(1, len(self._words) + 1)]

    def entry(self, concept_id: str, number: int, markdown: int = TUTORIAL_CHARACTERS) -> Document:
        """All three artefacts of a concept, as in a bundle, with new ids each time."""
        write = self._chinese if number % 5 == 4 else self._english
        draw = self._random
        return {
            "concept_id": concept_id,
            "tutorial": {
                "tutorial_id": self._id(),
                "title": write(draw.randint(16, 50)),
                "summary": write(draw.randint(90, 280)),
                "content_version": 1,
                "estimated_completion_time": draw.randint(10, 60),
                "markdown": write(markdown),
            },
            "resources": {
                "id": self._id(),
                "resources": [self._resource(write) for _ in range(draw.randint(5, 12))],
                "search_queries_used": [write(draw.randint(13, 60))],
            },
            "quiz": {
                "quiz_id": self._id(),
                "questions": [self._question(write, place) for place in range(6)],
                "total_questions": 6,
            },
        }

    def _resource(self, write: Callable[[int], str]) -> dict[str, Any]:
        return {
            "title": write(self._random.randint(15, 60)),
            "url": f"https://example.org/{self._english(28).replace(' ', '/')}",
            "type": self._random.choice(["article", "video", "documentation", "course"]),
            "description": write(self._random.randint(50, 140)),
            "relevance_score": round(self._random.uniform(0.5, 1), 2),
            "language": "zh" if write == self._chinese else "en",
        }

    def _question(self, write: Callable[[int], str], place: int) -> dict[str, Any]:
        return {
            "question_id": f"q-{place + 1}",
            "question_type": "single_choice",
            "question": write(self._random.randint(50, 90)),
            "options": [write(self._random.randint(5, 20)) for _ in range(4)],
            "correct_answer": [self._random.randrange(4)],
            "explanation": write(self._random.randint(40, 90)),
            "difficulty": ("easy", "medium", "hard")[place // 2],
        }

    def _english(self, length: int) -> str:
        words = self._random.choices(self._words, self._weights, k=length // 3 + 1)
        return " ".join(words)[:length].strip().capitalize()

    def _chinese(self, length: int) -> str:
        return "".join(self._random.choices(_CHARACTERS, k=max(5, length * 3 // 10)))

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def concept_ids(roadmap_id: str, count: int) -> list[str]:
    """Ids in the format of the product."""
    return [
        f"{roadmap_id}:c-{number // 100 + 1}-{number // 10 % 10 + 1}-{number % 10 + 1}"
        for number in range(count)
    ]
