"""Write short drafts from a concept's own texts, without a model, so that the whole system runs offline.

Each tutorial says that it is a draft. The same concept always gives the same content. All correct answers of
a quiz are taken from the framework.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import count, islice
from typing import NamedTuple
from urllib.parse import quote

from ..content.kind import Draft
from ..content.quiz import Difficulty, QuestionDraft, QuizDraft
from ..content.resources import ResourceDraft, ResourcesDraft
from ..content.tutorial import TutorialDraft
from ..items import ContentType
from ..roadmaps.framework import Concept
from ..runtime.settings import Settings
from .allowance import Allowance
from .generator import Generator
from .learner import ANYONE, Learner

MAX_LINE = 200
"""Maximum characters of a name, keyword or prerequisite, which are used in headings and options."""

MAX_DESCRIPTION = 1000
MAX_SUMMARY = 300
MAX_QUERY = 100

MAX_HOURS = 10_000
"""Estimated hours above this are implausible and ignored."""

USUAL_MINUTES = 30
MIN_MINUTES = 10

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HEADING_MARK = re.compile(r"^\s*#+\s")


class _Texts(NamedTuple):
    """The fixed texts of a language."""

    language: str
    tutorial: str
    nothing: str
    sites: tuple[tuple[str, str], ...]
    """The title and the address of each search."""
    found: str
    place: str
    prerequisite: str
    keywords: str
    description: str
    answer: str
    wrong: tuple[str, ...]
    true_false: tuple[str, str]


_ENGLISH = _Texts(
    language="en",
    tutorial="""\
# {name}

> A draft, written without a language model, from the roadmap's outline only.

{description}

## Place

{place}

## Prerequisites

{prerequisites}

## Topics

{keywords}

## Exercise

Explain {name} in your own words, in {minutes} minutes. Then compare your text with one of the resources.
""",
    nothing="The outline has none.",
    sites=(
        ("Wikipedia: {query}", "https://en.wikipedia.org/w/index.php?search={query}"),
        ("GitHub: {query}", "https://github.com/search?type=repositories&q={query}"),
    ),
    found="A search for {name}.",
    place="Where in the roadmap is {name}?",
    prerequisite="What should you know before {name}?",
    keywords="Which keywords does the outline have for {name}?",
    description="The outline describes {name}.",
    answer="From the outline: {right}",
    wrong=("In the appendix", "In the glossary", "In the index"),
    true_false=("True", "False"),
)

_CHINESE = _Texts(
    language="zh",
    tutorial="""\
# {name}

> 草稿：由学习路线的大纲直接整理而成，没有使用语言模型。

{description}

## 位置

{place}

## 预备知识

{prerequisites}

## 主题

{keywords}

## 练习

用 {minutes} 分钟，以自己的话说明“{name}”，再与一份学习资源对照。
""",
    nothing="大纲中没有。",
    sites=(
        ("维基百科：{query}", "https://zh.wikipedia.org/w/index.php?search={query}"),
        ("GitHub：{query}", "https://github.com/search?type=repositories&q={query}"),
    ),
    found="搜索“{name}”。",
    place="“{name}”在学习路线的什么位置？",
    prerequisite="学习“{name}”之前应当先掌握什么？",
    keywords="大纲为“{name}”列出了哪些关键词？",
    description="大纲中有“{name}”的说明。",
    answer="大纲的内容：{right}",
    wrong=("在附录中", "在术语表中", "在索引中"),
    true_false=("正确", "错误"),
)


class OfflineGenerator:
    """A deterministic `Generator` without network access, clock or randomness."""

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        learner: Learner = ANYONE,
        _allowance: Allowance | None = None,
        _refused: str | None = None,
        /,
    ) -> Draft:
        """Generate an item. Accepts any concept and never fails."""
        texts = _texts_for(concept, learner)
        concept = _normalized(concept, texts)
        match content_type:
            case ContentType.TUTORIAL:
                return _tutorial(concept, texts)
            case ContentType.RESOURCES:
                return _resources(concept, texts)
            case ContentType.QUIZ:
                return _quiz(concept, texts)


def create(_settings: Settings) -> Generator:
    """Create the generator."""
    return OfflineGenerator()


def _texts_for(concept: Concept, learner: Learner) -> _Texts:
    """The requested language, or the roadmap's. English replaces every language other than Chinese."""
    if learner.language:
        return _CHINESE if learner.language.split("-")[0].casefold() == "zh" else _ENGLISH
    written = (concept.name, concept.description, concept.module, concept.stage)
    return _CHINESE if _CJK.search("".join(written)) else _ENGLISH


def _normalized(concept: Concept, texts: _Texts) -> Concept:
    """The concept with storable single-line texts, lists without duplicates, and plausible hours."""
    concept_id = _line(concept.concept_id)
    hours = concept.estimated_hours
    return Concept(
        concept_id=concept_id,
        name=_line(_HEADING_MARK.sub("", concept.name)) or concept_id or texts.nothing,
        description=_line(concept.description, MAX_DESCRIPTION),
        keywords=_lines(concept.keywords),
        prerequisites=_lines(concept.prerequisites),
        estimated_hours=hours if 0 < hours <= MAX_HOURS else 0.0,
        stage=_line(concept.stage),
        module=_line(concept.module),
    )


def _lines(texts: Sequence[str]) -> tuple[str, ...]:
    distinct: dict[str, str] = {}
    for line in map(_line, texts):
        if line:
            distinct.setdefault(line.casefold(), line)
    return tuple(distinct.values())


def _line(text: str, limit: int = MAX_LINE) -> str:
    # JSON may leave a surrogate pair: encoding as UTF-16 joins it. A lone surrogate is replaced.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    line = " ".join(whole.replace("\x00", "\ufffd").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _place(concept: Concept) -> str:
    return " › ".join(dict.fromkeys(filter(None, (concept.stage, concept.module))))


def _tutorial(concept: Concept, texts: _Texts) -> TutorialDraft:
    hours = concept.estimated_hours
    minutes = max(MIN_MINUTES, round(hours * 60)) if hours else USUAL_MINUTES
    markdown = texts.tutorial.format(
        name=concept.name,
        description=concept.description or texts.nothing,
        place=_place(concept) or texts.nothing,
        prerequisites="\n".join(f"- {each}" for each in concept.prerequisites) or texts.nothing,
        keywords="\n".join(f"- {each}" for each in concept.keywords) or texts.nothing,
        minutes=minutes,
    )
    summary = _line(concept.description or concept.name, MAX_SUMMARY)
    return TutorialDraft(
        title=concept.name, summary=summary, estimated_completion_time=minutes, markdown=markdown
    )


def _resources(concept: Concept, texts: _Texts) -> ResourcesDraft:
    query = concept.name[:MAX_QUERY].strip()
    resources = [
        ResourceDraft(
            title=title.format(query=query),
            url=address.format(query=quote(query, safe="")),
            type="article",
            description=texts.found.format(name=concept.name),
            relevance_score=round(0.9 - rank / 10, 2),
            language=texts.language,
        )
        for rank, (title, address) in enumerate(texts.sites)
    ]
    return ResourcesDraft(resources=resources, search_queries_used=[query])


def _quiz(concept: Concept, texts: _Texts) -> QuizDraft:
    described = QuestionDraft(
        question_id="q-4",
        question_type="true_false",
        question=texts.description.format(name=concept.name),
        options=list(texts.true_false),
        correct_answer=[0 if concept.description else 1],
        explanation=texts.answer.format(right=concept.description or texts.nothing),
        difficulty="easy",
    )
    return QuizDraft(
        questions=[
            _choice(concept, texts, "q-1", texts.place, (_place(concept),), "easy"),
            _choice(concept, texts, "q-2", texts.prerequisite, concept.prerequisites, "medium"),
            _choice(concept, texts, "q-3", texts.keywords, concept.keywords, "hard"),
            described,
        ]
    )


def _choice(
    concept: Concept, texts: _Texts, number: str, question: str, known: Sequence[str], difficulty: Difficulty
) -> QuestionDraft:
    """A question whose right options are the first texts of the outline, and two wrong ones.

    The order of the options varies between concepts.
    """
    several = question is texts.keywords
    right = [text for text in known if text][: 3 if several else 1] or [texts.nothing]
    options = sorted(
        [*right, *islice(_wrong(texts.wrong, {*right, *known}), 2)],
        key=lambda option: hashlib.sha256(f"{concept.concept_id}\n{number}\n{option}".encode()).digest(),
    )
    return QuestionDraft(
        question_id=number,
        question_type="multiple_choice" if several else "single_choice",
        question=question.format(name=concept.name),
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
