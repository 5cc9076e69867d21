"""Generate content from a concept's own texts, without a model, so that the whole system runs offline.

The output is deterministic: the same concept always gives the same content. All statements about the subject
and all correct answers of a quiz are taken from the framework; the fixed texts only guide the learner's work.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import count, cycle, islice
from typing import Literal
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
from .prose.chinese import CHINESE
from .prose.english import ENGLISH
from .prose.prose import Prose

MAX_LINE = 200
"""Maximum characters of a name, keyword or prerequisite, which are used in headings and options."""

MAX_DESCRIPTION = 1000
MAX_SUMMARY = 300
MAX_QUERY = 100

MAX_HOURS = 10_000
"""Estimated hours above this are implausible and ignored."""

USUAL_MINUTES = 30
MIN_MINUTES = 10

MIN_SECTIONS = 3
WRONG_OPTIONS = 3
RIGHT_KEYWORDS = 3

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_HEADING_MARK = re.compile(r"^\s*#+\s")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]")


class OfflineGenerator:
    """A deterministic `Generator` without network access, clock or randomness."""

    def generate(
        self,
        concept: Concept,
        content_type: ContentType,
        learner: Learner = ANYONE,
        _allowance: Allowance | None = None,
        /,
    ) -> Draft:
        """Generate an item. Accepts any concept and never fails."""
        prose = _prose_for(concept, learner)
        concept = _normalized(concept, prose)
        match content_type:
            case ContentType.TUTORIAL:
                return _tutorial(concept, prose)
            case ContentType.RESOURCES:
                return _resources(concept, prose)
            case ContentType.QUIZ:
                return _quiz(concept, prose)


def _prose_for(concept: Concept, learner: Learner) -> Prose:
    """The requested language, or the roadmap's. English replaces every language other than Chinese."""
    if learner.language:
        return CHINESE if learner.language.split("-")[0].casefold() == "zh" else ENGLISH
    texts = (concept.name, concept.description, concept.module, concept.stage)
    return CHINESE if _CJK.search("".join(texts)) else ENGLISH


def create(_settings: Settings) -> Generator:
    """Create the generator."""
    return OfflineGenerator()


def _normalized(concept: Concept, prose: Prose) -> Concept:
    """The concept with storable single-line texts, lists without duplicates, and plausible hours."""
    concept_id = _line(concept.concept_id)
    hours = concept.estimated_hours
    return Concept(
        concept_id=concept_id,
        name=_line(_HEADING_MARK.sub("", concept.name)) or concept_id or prose.untitled,
        description=_line(concept.description, MAX_DESCRIPTION),
        difficulty=_line(concept.difficulty),
        keywords=_lines(concept.keywords),
        prerequisites=_lines(concept.prerequisites),
        estimated_hours=round(hours, 2) if 0 < hours <= MAX_HOURS else 0.0,
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
    return _cut(" ".join(whole.replace("\x00", "\ufffd").split()), limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _opening(text: str, limit: int) -> str:
    """The first two sentences of a text."""
    second_end = next(islice(_SENTENCE_END.finditer(text), 1, None), None)
    return _cut(text[: second_end.end()] if second_end else text, limit)


def _place(concept: Concept) -> str:
    return " › ".join(dict.fromkeys(filter(None, (concept.stage, concept.module))))


def _level(concept: Concept, prose: Prose) -> tuple[str, str]:
    label, advice = prose.unrated
    return prose.levels.get(concept.difficulty.casefold(), (concept.difficulty or label, advice))


def _tutorial(concept: Concept, prose: Prose) -> TutorialDraft:
    name, description, place = concept.name, concept.description, _place(concept)
    topics = concept.keywords[: len(prose.sections)] or (name,)
    minutes = (
        max(MIN_MINUTES, round(concept.estimated_hours * 60)) if concept.estimated_hours else USUAL_MINUTES
    )
    reading, checking = minutes // 3, minutes // 6
    label, advice = _level(concept, prose)
    sections = zip(prose.sections[: max(MIN_SECTIONS, len(topics))], cycle(topics), strict=False)
    markdown = prose.tutorial.format(
        name=name,
        introduction=(prose.described if description else prose.undescribed).format(
            name=name, description=description
        ),
        place=(prose.placed if place else prose.unplaced).format(place=place),
        level=advice.format(level=label),
        goals="".join(prose.goal.format(topic=topic) for topic in concept.keywords[: len(topics)]),
        prerequisites=(prose.prepared if concept.prerequisites else prose.unprepared).format(
            prerequisites="\n".join(f"- {prerequisite}" for prerequisite in concept.prerequisites)
        ),
        minutes=minutes,
        reading=reading,
        working=minutes - reading - checking,
        checking=checking,
        sections="\n\n".join(section.format(topic=topic) for section, topic in sections),
        first=topics[0],
        last=topics[-1],
        topics=prose.separator.join(topics),
    )
    summary = _opening(description, MAX_SUMMARY) or _cut(prose.summary.format(name=name), MAX_SUMMARY)
    return TutorialDraft(title=name, summary=summary, estimated_completion_time=minutes, markdown=markdown)


def _resources(concept: Concept, prose: Prose) -> ResourcesDraft:
    broad = concept.name[:MAX_QUERY].strip()
    further = [word for word in concept.keywords if word.casefold() not in concept.name.casefold()]
    focused = " ".join((concept.name, *further[:2]))[:MAX_QUERY].strip()
    resources = [
        ResourceDraft(
            title=site.title.format(query=query),
            url=site.url.format(query=quote(query, safe="")),
            type=site.kind,
            description=site.about.format(name=concept.name),
            relevance_score=round(0.95 - rank / 10, 2),
            language=prose.language,
        )
        for rank, site in enumerate(prose.sites)
        for query in [focused if site.focused else broad]
    ]
    return ResourcesDraft(resources=resources, search_queries_used=list(dict.fromkeys((broad, focused))))


def _quiz(concept: Concept, prose: Prose) -> QuizDraft:
    stage, place = concept.stage, _place(concept)
    label, _ = _level(concept, prose)
    hours = concept.estimated_hours
    other_hours = 2 * hours or 2.0
    other_labels = [other for other, _ in prose.levels.values() if other.casefold() != label.casefold()]

    def effort(label: str, hours: float) -> str:
        time = prose.time.format(hours=hours) if hours else prose.untimed
        return prose.level_and_time.format(level=label, time=time)

    questions = _Questions(concept, prose)
    return QuizDraft(
        questions=[
            questions.choice(
                number=1,
                difficulty="easy",
                question=prose.place.question,
                right=[place or prose.place.fallback],
                candidates=[
                    *(f"{stage} › {wrong}" if stage else wrong for wrong in prose.place.wrong),
                    prose.place.fallback,
                ],
            ),
            questions.description(number=2, difficulty="easy"),
            questions.choice(
                number=3,
                difficulty="medium",
                question=prose.keywords.question,
                right=concept.keywords[:RIGHT_KEYWORDS] or [prose.keywords.fallback],
                candidates=prose.keywords.wrong,
                also_right=concept.keywords,
                question_type="multiple_choice",
            ),
            questions.choice(
                number=4,
                difficulty="medium",
                question=prose.prerequisite.question,
                right=concept.prerequisites[:1] or [prose.prerequisite.fallback],
                candidates=[prose.prerequisite.fallback, concept.name, *prose.prerequisite.wrong],
                also_right=concept.prerequisites,
            ),
            questions.choice(
                number=5,
                difficulty="hard",
                question=prose.effort,
                right=[effort(label, hours)],
                candidates=[
                    effort(label, other_hours),
                    effort(other_labels[0], hours),
                    effort(other_labels[1], other_hours),
                ],
            ),
        ]
    )


class _Questions:
    """Builds the questions about one concept."""

    def __init__(self, concept: Concept, prose: Prose) -> None:
        self._concept = concept
        self._prose = prose

    def choice(
        self,
        *,
        number: int,
        difficulty: Difficulty,
        question: str,
        right: Sequence[str],
        candidates: Sequence[str],
        also_right: Sequence[str] = (),
        question_type: Literal["single_choice", "multiple_choice"] = "single_choice",
    ) -> QuestionDraft:
        """A question with the options `right` and the first wrong `candidates`, without `also_right`."""
        wrong = islice(_distractors(candidates, {*right, *also_right}), WRONG_OPTIONS)
        options = sorted([*right, *wrong], key=lambda option: self._rank(number, option))
        return QuestionDraft(
            question_id=f"q-{number}",
            question_type=question_type,
            question=question.format(name=self._concept.name),
            options=options,
            correct_answer=[index for index, option in enumerate(options) if option in right],
            explanation=self._explanation(self._prose.separator.join(right)),
            difficulty=difficulty,
        )

    def description(self, *, number: int, difficulty: Difficulty) -> QuestionDraft:
        """A true-or-false question about the concept's description in the framework."""
        prose, description = self._prose, self._concept.description
        excerpt = _opening(description, MAX_LINE)
        claims_description = self._rank(number, "claim")[0] % 2 == 0
        if not claims_description:
            statement = prose.lacks_description
        else:
            statement = prose.quotes_description if description else prose.has_description
        return QuestionDraft(
            question_id=f"q-{number}",
            question_type="true_false",
            question=statement.format(name=self._concept.name, excerpt=excerpt),
            options=list(prose.truth),
            correct_answer=[0 if claims_description == bool(description) else 1],
            explanation=self._explanation(excerpt or prose.nothing),
            difficulty=difficulty,
        )

    def _explanation(self, right: str) -> str:
        return self._prose.explanation.format(name=self._concept.name, right=right)

    def _rank(self, number: int, text: str) -> bytes:
        """A sort key that shuffles texts deterministically per concept."""
        return hashlib.sha256(f"{self._concept.concept_id}\n{number}\n{text}".encode()).digest()


def _distractors(candidates: Sequence[str], right: Collection[str]) -> Iterator[str]:
    """The wrong candidates, each once; then repeated without end, with a number added."""
    taken = {text.casefold() for text in right}
    for lap in count(1):
        for candidate in candidates:
            option = candidate if lap == 1 else f"{candidate} ({lap})"
            if option.casefold() not in taken:
                taken.add(option.casefold())
                yield option
