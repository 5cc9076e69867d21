"""Draft a quiz without a model. All correct answers are taken from the outline."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple

from ..generation.offline import Outline
from . import Difficulty, QuestionDraft, QuizDraft


class _Texts(NamedTuple):
    place: str
    prerequisite: str
    keywords: str
    description: str
    answer: str
    wrong: tuple[str, ...]
    true_false: tuple[str, str]


_ENGLISH = _Texts(
    place="Where in the roadmap is {name}?",
    prerequisite="What should you know before {name}?",
    keywords="Which keywords does the outline have for {name}?",
    description="The outline describes {name}.",
    answer="From the outline: {right}",
    wrong=("In the appendix", "In the glossary", "In the index"),
    true_false=("True", "False"),
)

_CHINESE = _Texts(
    place="“{name}”在学习路线的什么位置？",
    prerequisite="学习“{name}”之前应当先掌握什么？",
    keywords="大纲为“{name}”列出了哪些关键词？",
    description="大纲中有“{name}”的说明。",
    answer="大纲的内容：{right}",
    wrong=("在附录中", "在术语表中", "在索引中"),
    true_false=("正确", "错误"),
)


def draft(outline: Outline) -> QuizDraft:
    texts = _CHINESE if outline.language == "zh" else _ENGLISH
    described = QuestionDraft(
        question_id="q-4",
        question_type="true_false",
        question=texts.description.format(name=outline.name),
        options=list(texts.true_false),
        correct_answer=[0 if outline.description else 1],
        explanation=texts.answer.format(right=outline.description or outline.nothing),
        difficulty="easy",
    )
    return QuizDraft(
        questions=[
            _choice(outline, texts, "q-1", texts.place, (outline.place,), "easy", most_right=1),
            _choice(outline, texts, "q-2", texts.prerequisite, outline.prerequisites, "medium", most_right=1),
            _choice(outline, texts, "q-3", texts.keywords, outline.keywords, "hard", most_right=3),
            described,
        ]
    )


def _choice(
    outline: Outline,
    texts: _Texts,
    question_id: str,
    question: str,
    known: Sequence[str],
    difficulty: Difficulty,
    *,
    most_right: int,
) -> QuestionDraft:
    """A question with at most `most_right` right options, the first of the `known` texts of the outline, and
    two wrong ones. The order of the options varies between concepts.
    """
    right = [text for text in known if text][:most_right] or [outline.nothing]
    options = sorted(
        [*right, *islice(_wrong(texts.wrong, {*right, *known}), 2)],
        key=lambda option: hashlib.sha256(f"{outline.concept_id}\n{question_id}\n{option}".encode()).digest(),
    )
    return QuestionDraft(
        question_id=question_id,
        question_type="single_choice" if most_right == 1 else "multiple_choice",
        question=question.format(name=outline.name),
        options=options,
        correct_answer=[index for index, option in enumerate(options) if option in right],
        explanation=texts.answer.format(right=", ".join(right)),
        difficulty=difficulty,
    )


def _wrong(candidates: Sequence[str], right: Collection[str]) -> Iterator[str]:
    """The wrong candidates; then repeated without end, with a number added."""
    taken = {text.casefold() for text in right}
    for lap in count(1):
        for candidate in candidates:
            option = candidate if lap == 1 else f"{candidate} ({lap})"
            if option.casefold() not in taken:
                yield option
