"""The offline generator: valid for any concept, deterministic, with correct answers."""

import re
from dataclasses import fields
from string import Formatter
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.content.quiz import QuestionDraft, QuizDraft
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.resources import ResourcesDraft
from roadmap_content.content.tutorial import TutorialDraft
from roadmap_content.documents import Document, unstorable
from roadmap_content.errors import MissingSettingError
from roadmap_content.generation.generator import generator_named
from roadmap_content.generation.learner import Learner
from roadmap_content.generation.prose.chinese import CHINESE
from roadmap_content.generation.prose.english import ENGLISH
from roadmap_content.generation.prose.prose import Prose
from roadmap_content.items import ContentType
from roadmap_content.roadmaps.framework import Concept

GENERATOR = generator_named("offline")

RETRIES = Concept(
    concept_id="serverless-python:c-1-2-3",
    name="Retries",
    description="A retry repeats what may heal. It waits a little longer each time. It gives up at last.",
    difficulty="hard",
    keywords=("backoff", "jitter", "C# & F#/async"),
    prerequisites=("Errors", "Timeouts"),
    estimated_hours=1.5,
    stage="Workflows",
    module="Failure",
)

SENSORS = Concept(
    concept_id="物联网:c-1-1-1",
    name="传感器",
    description="传感器测量周围的世界。执行器改变它。",
    difficulty="easy",
    keywords=("温度", "湿度"),
    prerequisites=("电压",),
    estimated_hours=2.0,
    stage="入门",
    module="硬件",
)

# Words that options contain, so that a concept is likely to exclude many wrong options.
OPTION_WORDS = [
    word
    for prose in (ENGLISH, CHINESE)
    for asking in (prose.place, prose.keywords, prose.prerequisite)
    for word in (*asking.wrong, *(other.upper() for other in asking.wrong), asking.fallback)
]

any_text = st.text(st.characters()) | st.sampled_from(OPTION_WORDS)
"""Any text of any script, including NUL and lone surrogates."""

plain_text = st.sampled_from([*OPTION_WORDS, "alpha", "Alpha", "beta", "{gamma}", "δέλτα", "温度"])


def concepts(texts: st.SearchStrategy[str], hours: st.SearchStrategy[float]) -> st.SearchStrategy[Concept]:
    """Concepts whose every text is one of `texts`, or missing."""
    optional = st.just("") | texts
    lists = st.lists(texts, max_size=20).map(tuple)
    return st.builds(
        Concept,
        concept_id=texts,
        name=texts,
        description=optional,
        difficulty=st.sampled_from(["", "easy", "medium", "hard"]) | texts,
        keywords=lists,
        prerequisites=lists,
        estimated_hours=hours,
        stage=optional,
        module=optional,
    )


any_concept = concepts(any_text, st.floats())
plain_concept = concepts(plain_text, st.sampled_from([0.0, 0.5, 1.0, 2.75, 40.0]))


def tutorial(concept: Concept) -> TutorialDraft:
    draft = GENERATOR.generate(concept, ContentType.TUTORIAL)
    assert isinstance(draft, TutorialDraft)
    return draft


def resources(concept: Concept) -> ResourcesDraft:
    draft = GENERATOR.generate(concept, ContentType.RESOURCES)
    assert isinstance(draft, ResourcesDraft)
    return draft


def questions(concept: Concept) -> list[QuestionDraft]:
    draft = GENERATOR.generate(concept, ContentType.QUIZ)
    assert isinstance(draft, QuizDraft)
    return draft.questions


def right(question: QuestionDraft) -> list[str]:
    return [question.options[index] for index in question.correct_answer]


def wrong(question: QuestionDraft) -> list[str]:
    return [option for index, option in enumerate(question.options) if index not in question.correct_answer]


def folded(texts: tuple[str, ...] | list[str]) -> set[str]:
    return {text.casefold() for text in texts}


def prose_of(concept: Concept) -> Prose:
    texts = concept.name + concept.description + concept.module + concept.stage
    return CHINESE if re.search("[\u4e00-\u9fff]", texts) else ENGLISH


def staged(concept: Concept, content_type: ContentType) -> Document:
    """The draft as it is staged: with an id and the fields of its content type."""
    kind = CONTENT_KINDS[content_type]
    draft = GENERATOR.generate(concept, content_type).model_dump(mode="json")
    return {kind.id_field: "an-id"} | draft | kind.complete(draft, 1)


def test_an_unknown_generator_is_refused_with_the_known_names() -> None:
    with pytest.raises(MissingSettingError, match=r"GENERATOR is 'oracle', not one of: .*offline"):
        generator_named("oracle")


@given(any_concept, st.sampled_from(ContentType))
def test_any_concept_gives_valid_content(concept: Concept, content_type: ContentType) -> None:
    document = staged(concept, content_type)
    assert CONTENT_KINDS[content_type].check(document) == document
    assert unstorable(document) is None


@given(any_concept, st.sampled_from(ContentType))
def test_the_same_concept_gives_the_same_content(concept: Concept, content_type: ContentType) -> None:
    again = generator_named("offline").generate(Concept(**concept._asdict()), content_type)
    assert GENERATOR.generate(concept, content_type) == again


def test_the_positions_of_answers_are_the_same_in_every_process() -> None:
    assert [question.correct_answer for question in questions(RETRIES)] == [[0], [0], [2, 4, 5], [0], [1]]


@given(any_concept | plain_concept)
def test_a_quiz_has_five_questions_of_all_types_and_difficulties_without_duplicate_options(
    concept: Concept,
) -> None:
    quiz = questions(concept)
    assert [question.question_id for question in quiz] == ["q-1", "q-2", "q-3", "q-4", "q-5"]
    assert {question.question_type for question in quiz} == {"single_choice", "multiple_choice", "true_false"}
    assert {question.difficulty for question in quiz} == {"easy", "medium", "hard"}
    for question in quiz:
        assert len(folded(question.options)) == len(question.options)
        assert all(option.strip() for option in question.options)
        assert wrong(question)
        assert question.question_type == "multiple_choice" or len(right(question)) == 1


@given(plain_concept)
def test_the_answer_about_the_place_is_correct(concept: Concept) -> None:
    place = " › ".join(dict.fromkeys(name for name in (concept.stage, concept.module) if name))
    question = questions(concept)[0]
    assert right(question) == [place or prose_of(concept).place.fallback]
    assert place.casefold() not in folded(wrong(question))


@given(plain_concept)
def test_the_answer_about_the_description_is_correct(concept: Concept) -> None:
    prose, question = prose_of(concept), questions(concept)[1]
    claims_none = question.question == prose.lacks_description.format(name=concept.name)
    true, false = prose.truth
    assert right(question) == [true if claims_none == (not concept.description) else false]


@given(plain_concept)
def test_the_answer_about_the_keywords_is_correct(concept: Concept) -> None:
    question = questions(concept)[2]
    if concept.keywords:
        assert set(right(question)) <= set(concept.keywords)
    else:
        assert right(question) == [prose_of(concept).keywords.fallback]
    assert not folded(wrong(question)) & folded(concept.keywords)


@given(plain_concept)
def test_the_answer_about_the_prerequisite_is_correct(concept: Concept) -> None:
    question = questions(concept)[3]
    if concept.prerequisites:
        assert set(right(question)) <= set(concept.prerequisites)
    else:
        assert right(question) == [prose_of(concept).prerequisite.fallback]
    assert not folded(wrong(question)) & folded(concept.prerequisites)


@given(plain_concept)
def test_the_answer_about_difficulty_and_hours_is_correct(concept: Concept) -> None:
    prose, question = prose_of(concept), questions(concept)[4]
    label = prose.levels[concept.difficulty][0] if concept.difficulty in prose.levels else concept.difficulty
    hours = prose.time.format(hours=concept.estimated_hours) if concept.estimated_hours else prose.untimed
    assert right(question) == [prose.level_and_time.format(level=label or prose.unrated[0], time=hours)]


def test_numbered_wrong_options_are_added_if_a_concept_excludes_all() -> None:
    question = questions(RETRIES._replace(keywords=tuple(ENGLISH.keywords.wrong)))[2]
    assert set(right(question)) <= set(ENGLISH.keywords.wrong)
    assert folded(wrong(question)) == {f"{option} (2)" for option in ENGLISH.keywords.wrong[:3]}


def test_duplicate_keywords_are_used_once() -> None:
    concept = RETRIES._replace(keywords=("Backoff", " backoff\n", "", "jitter"))
    assert set(right(questions(concept)[2])) == {"Backoff", "jitter"}


def test_the_wrong_options_for_the_effort_are_plausible() -> None:
    assert set(questions(RETRIES)[4].options) == {"hard, 1.5 h", "hard, 3 h", "easy, 1.5 h", "medium, 3 h"}


def test_the_position_of_the_correct_option_varies_between_concepts() -> None:
    concepts = [RETRIES._replace(concept_id=f"c-{number}") for number in range(40)]
    for number, options in ((0, 4), (1, 2), (3, 4), (4, 4)):
        positions = {questions(concept)[number].correct_answer[0] for concept in concepts}
        assert positions == set(range(options))


def test_a_tutorial_uses_the_texts_of_the_concept() -> None:
    draft = tutorial(RETRIES)
    assert draft.title == "Retries"
    assert draft.summary == "A retry repeats what may heal. It waits a little longer each time."
    assert draft.estimated_completion_time == 90
    assert "90 minutes: 30 for reading and notes, 45 for the exercise, and 15 for" in draft.markdown
    assert draft.markdown.startswith("# Retries\n")
    assert f"> {RETRIES.description}\n" in draft.markdown
    assert all(f"### {keyword}: " in draft.markdown for keyword in RETRIES.keywords)
    assert all(f"- {prerequisite}\n" in draft.markdown for prerequisite in RETRIES.prerequisites)
    assert "Workflows › Failure" in draft.markdown
    assert "without a language model" in draft.markdown


@given(any_concept)
def test_a_tutorial_has_the_same_headings_for_any_concept(concept: Concept) -> None:
    draft = tutorial(concept)
    title, *headings = (line for line in draft.markdown.split("\n") if re.match("##? ", line))
    assert title == f"# {draft.title}"
    assert headings in [re.findall("^## .*", prose.tutorial, re.MULTILINE) for prose in (ENGLISH, CHINESE)]


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [(0.75, 45), (0.01, 10), (0.0, 30), (-1.0, 30), (float("nan"), 30), (float("inf"), 30), (1e300, 30)],
)
def test_minutes_follow_from_plausible_hours(hours: float, minutes: int) -> None:
    assert tutorial(RETRIES._replace(estimated_hours=hours)).estimated_completion_time == minutes


def test_a_concept_with_only_a_name_gets_a_complete_tutorial() -> None:
    draft = tutorial(Concept(concept_id="c", name="Retries"))
    assert 600 <= len(draft.markdown.split()) <= 1200
    assert draft.summary.startswith("A guided way through Retries")
    assert tutorial(Concept(concept_id="the-id", name=" \n")).title == "the-id"
    assert tutorial(Concept(concept_id=" ", name="")).title == ENGLISH.untitled


def test_resources_are_search_links_ordered_by_relevance() -> None:
    draft = resources(RETRIES)
    assert 4 <= len(draft.resources) <= 6
    assert draft.search_queries_used == ["Retries", "Retries backoff jitter"]
    scores = [resource.relevance_score for resource in draft.resources]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert {resource.language for resource in draft.resources} == {"en"}


@given(any_concept)
def test_links_contain_any_query_encoded(concept: Concept) -> None:
    draft = resources(concept)
    used = set()
    for resource in draft.resources:
        link = urlsplit(resource.url)
        assert resource.url.isascii()
        assert link.scheme == "https"
        assert not link.fragment
        values = [value for _, value in parse_qsl(link.query, strict_parsing=True)]
        used.add(next(query for query in draft.search_queries_used if query in values))
    assert used == set(draft.search_queries_used)


def test_a_chinese_concept_gets_chinese_content() -> None:
    draft = tutorial(SENSORS)
    assert not re.search("[A-Za-z]", draft.markdown + draft.summary)
    assert draft.summary == SENSORS.description
    assert "### 温度：" in draft.markdown
    for question in questions(SENSORS):
        assert not re.search("[A-Za-z]", question.question + question.explanation + "".join(question.options))
    recommended = resources(SENSORS).resources
    assert {resource.language for resource in recommended} == {"zh"}
    assert all("传感器" in resource.title and "传感器" in resource.description for resource in recommended)
    assert recommended[0].url == ("https://zh.wikipedia.org/w/index.php?search=%E4%BC%A0%E6%84%9F%E5%99%A8")


def test_a_chinese_description_alone_selects_chinese() -> None:
    assert "## 导言" in tutorial(RETRIES._replace(description="重试会重复可能恢复的操作。")).markdown


@pytest.mark.parametrize(
    ("concept", "requested", "language"),
    [
        (Concept("c-1", "Docker", stage="入门"), "", "zh"),
        (Concept("c-1", "Docker", module="Containers"), "", "en"),
        (RETRIES, "zh-CN", "zh"),
        (SENSORS, "en", "en"),
        (SENSORS, "ar", "en"),
    ],
)
def test_the_language_is_the_requested_one_or_the_roadmaps(
    concept: Concept, requested: str, language: str
) -> None:
    draft = GENERATOR.generate(concept, ContentType.RESOURCES, Learner(requested))
    assert isinstance(draft, ResourcesDraft)
    assert {resource.language for resource in draft.resources} == {language}


def test_characters_that_cannot_be_stored_are_replaced_and_surrogate_pairs_joined() -> None:
    assert tutorial(RETRIES._replace(name="a\x00b\ud800c\udc00")).title == "a\ufffdb\ufffdc\ufffd"
    assert tutorial(RETRIES._replace(name="\ud83d\ude00 smile")).title == "😀 smile"


def test_heading_marks_are_removed_from_names_and_braces_are_kept() -> None:
    assert tutorial(RETRIES._replace(name="# {name} {0}")).title == "{name} {0}"
    assert tutorial(RETRIES._replace(name="C#")).title == "C#"


def test_all_languages_use_the_same_template_fields() -> None:
    for field in fields(Prose):
        english, chinese = (slots(getattr(prose, field.name)) for prose in (ENGLISH, CHINESE))
        assert english == chinese, field.name


def slots(prose: object) -> object:
    """The template fields of all texts inside; texts without template fields leave only their position."""
    match prose:
        case str():
            return {name for _, name, _, _ in Formatter().parse(prose) if name}
        case dict():
            return {key: slots(value) for key, value in prose.items()}
        case tuple():
            return [slots(value) for value in prose]
    return prose
