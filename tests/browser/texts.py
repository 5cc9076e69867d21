"""The contents of the tests' tasks, and texts that must never be executed or styled."""

from typing import Any

from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.items import ContentType

HOSTILE = "<img src=x onerror=\"document.title='run'\"><style>*{display:none}</style>{{7*7}}${8*8}"
RTL = "\u202eשלום \u202dبرمجة\u202c\u2066 end"
LONG = "x" * 500

TUTORIAL = """# Attention

## What it does

A **query** is compared with every *key*; `softmax` makes weights of it. See [the paper](https://example.org/paper)
and [this](javascript:alert(1)).

1. Compare
2. Weigh
   - with a scale
3. Sum

> Nothing is learned here.

```python
weights = softmax(q @ k.T)
```

| part | size |
|---|---|
| query | 64 |

<img src=x onerror="document.title='run'"> ![A diagram](https://example.org/x.png)
"""

ARABIC_TUTORIAL = """# الانتباه

يقارن **الاستعلام** بكل مفتاح، ثم تجعل `softmax` النتيجة أوزانا.

1. المقارنة
2. الوزن
   - بمقياس

> لا يتعلم شيء هنا.
"""

OLDER_TUTORIAL = TUTORIAL.replace("makes weights of it", "turns it into weights").replace(
    "> Nothing is learned here.\n",
    "> Nothing is learned here, except the projections.\n\nA paragraph that was removed.\n",
)

QUESTIONS: list[dict[str, Any]] = [
    {
        "question_id": "q-1",
        "question_type": "single_choice",
        "question": "What is compared with the keys?",
        "options": ["The query", "The value"],
        "correct_answer": [0],
        "explanation": "Each query is compared with every key.",
        "difficulty": "easy",
    },
    {
        "question_id": "q-2",
        "question_type": "multiple_choice",
        "question": "What is learned?",
        "options": ["The projections", "The softmax", "The output"],
        "correct_answer": [0, 2],
        "explanation": "The softmax has no weights.",
        "difficulty": "hard",
    },
]
ARABIC_QUESTIONS = [
    QUESTIONS[0]
    | {
        "question": "ما الذي يقارن بالمفاتيح؟",
        "options": ["الاستعلام", "value"],
        "explanation": "كل استعلام.",
    }
]
OLDER_QUESTIONS = [QUESTIONS[0] | {"correct_answer": [1]}, QUESTIONS[1]]
REFUSED_QUESTIONS = [QUESTIONS[0], QUESTIONS[1] | {"explanation": "The \x00softmax has no weights."}]

_LINK = {"type": "article", "description": "The original paper.", "relevance_score": 1.0, "language": "en"}
LINKS = [
    {"title": "Attention is all you need", "url": "https://example.org/paper", **_LINK},
    {"title": "A link without TLS", "url": "http://example.org/", **_LINK},
]

TEXTS: dict[ContentType, dict[str, Any]] = {
    ContentType.TUTORIAL: {"markdown": TUTORIAL},
    ContentType.RESOURCES: {"resources": LINKS},
    ContentType.QUIZ: {"questions": QUESTIONS},
}


class Author(OfflineGenerator):
    """A generator that writes `TEXTS`, or raises the error that a test sets."""

    error: ContentError | None = None

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        """Generate an item."""
        if self.error is not None:
            raise self.error
        return super().generate(request, allowance) | TEXTS.get(request.content_type, {})
