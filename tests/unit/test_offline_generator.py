"""The offline generator: valid for any concept, deterministic, with correct answers."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_stack.errors import RefusedError
from local_stack.failing_model import fail_sometimes
from local_stack.stack import LocalStack
from roadmap_content.content.generation.generator import GenerationRequest, Learner, generator_named
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.quiz import QuestionDraft, QuizDraft
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.content.tutorial import TutorialDraft
from roadmap_content.contracts.documents import Document, unstorable
from roadmap_content.contracts.errors import ContentError, MissingSettingError
from roadmap_content.contracts.items import ContentType

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
    description="传感器测量周围的世界，执行器改变它。",
    difficulty="easy",
    keywords=("温度", "湿度"),
    prerequisites=("电压",),
    estimated_hours=1.5,
    stage="入门",
    module="硬件",
)

# Words that options contain, so that a concept is likely to exclude many wrong options.
OPTION_WORDS = (
    "In the appendix",
    "IN THE GLOSSARY",
    "In the index",
    "True",
    "在附录中",
    "在术语表中",
    "正确",
)

any_text = st.text(st.characters()) | st.sampled_from(OPTION_WORDS)
"""Any text of any script, including NUL and lone surrogates."""

plain_text = st.sampled_from([*OPTION_WORDS, "alpha", "Alpha", "beta", "{gamma}", "δέλτα", "温度"])


def concepts(texts: st.SearchStrategy[str], hours: st.SearchStrategy[float]) -> st.SearchStrategy[Concept]:
    """Concepts in which every text is one of `texts`, or missing."""
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


QUIZ = GenerationRequest(RETRIES, ContentType.QUIZ)


def tutorial(concept: Concept) -> TutorialDraft:
    return TutorialDraft.model_validate(GENERATOR.generate(GenerationRequest(concept, ContentType.TUTORIAL)))


def questions(concept: Concept) -> list[QuestionDraft]:
    return QuizDraft.model_validate(
        GENERATOR.generate(GenerationRequest(concept, ContentType.QUIZ))
    ).questions


def right(question: QuestionDraft) -> list[str]:
    return [question.options[index] for index in question.correct_answer]


def wrong(question: QuestionDraft) -> list[str]:
    return [option for index, option in enumerate(question.options) if index not in question.correct_answer]


def folded(texts: tuple[str, ...] | list[str]) -> set[str]:
    return {text.casefold() for text in texts}


def staged(concept: Concept, content_type: ContentType) -> Document:
    """The draft as it is staged: with an id and the fields of its content type."""
    kind = CONTENT_KINDS[content_type]
    draft = GENERATOR.generate(GenerationRequest(concept, content_type))
    return {kind.id_field: "an-id"} | draft | kind.complete(draft, 1)


def test_an_unknown_generator_is_refused_with_the_known_names() -> None:
    with pytest.raises(MissingSettingError, match=r"GENERATOR is 'oracle', not one of: .*offline"):
        generator_named("oracle")


@given(any_concept, st.sampled_from(ContentType))
def test_any_concept_gives_valid_content(concept: Concept, content_type: ContentType) -> None:
    document = staged(concept, content_type)
    assert CONTENT_KINDS[content_type].check(document) == document
    assert unstorable(document) is None


def test_the_same_content_is_written_in_every_process() -> None:
    assert [question.correct_answer for question in questions(RETRIES)] == [[1], [1], [0, 2, 4], [0]]


@given(any_concept | plain_concept)
def test_a_quiz_has_all_types_and_difficulties_without_duplicate_options(concept: Concept) -> None:
    quiz = questions(concept)
    assert {question.question_type for question in quiz} == {"single_choice", "multiple_choice", "true_false"}
    assert {question.difficulty for question in quiz} == {"easy", "medium", "hard"}
    for question in quiz:
        assert len(folded(question.options)) == len(question.options)
        assert all(option.strip() for option in question.options)
        assert wrong(question)
        assert question.question_type == "multiple_choice" or len(right(question)) == 1


@given(plain_concept)
def test_the_answers_are_those_of_the_outline(concept: Concept) -> None:
    place, prerequisite, keywords, description = questions(concept)
    where = " › ".join(dict.fromkeys(name for name in (concept.stage, concept.module) if name))
    if where:
        assert right(place) == [where]
    assert description.correct_answer == [0 if concept.description else 1]
    for question, known in ((keywords, concept.keywords), (prerequisite, concept.prerequisites)):
        assert not known or set(right(question)) <= set(known)
        assert not folded(wrong(question)) & folded(known)


def test_a_tutorial_is_a_marked_draft_with_the_texts_of_the_concept() -> None:
    draft = tutorial(RETRIES)
    assert (draft.title, draft.summary) == ("Retries", RETRIES.description)
    assert draft.markdown.startswith("# Retries\n\n> A draft, ")
    texts = (RETRIES.description, *RETRIES.keywords, *RETRIES.prerequisites, "Workflows › Failure")
    assert all(text in draft.markdown for text in texts)


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [(0.75, 45), (0.01, 10), (0.0, 30), (-1.0, 30), (float("nan"), 30), (float("inf"), 30), (1e300, 30)],
)
def test_minutes_follow_from_plausible_hours(hours: float, minutes: int) -> None:
    assert tutorial(RETRIES._replace(estimated_hours=hours)).estimated_completion_time == minutes


def test_a_chinese_concept_gets_chinese_content() -> None:
    asked_for = GENERATOR.generate(GenerationRequest(RETRIES, ContentType.RESOURCES, Learner("zh-CN")))
    assert {resource["language"] for resource in asked_for["resources"]} == {"zh"}
    draft = tutorial(SENSORS)
    assert not re.search("[A-Za-z]", draft.markdown + draft.summary)
    for question in questions(SENSORS):
        assert not re.search("[A-Za-z]", question.question + question.explanation + "".join(question.options))


def test_characters_that_cannot_be_stored_are_replaced_and_surrogate_pairs_joined() -> None:
    assert tutorial(RETRIES._replace(name="a\x00b\ud800c\udc00")).title == "a\ufffdb\ufffdc\ufffd"
    assert tutorial(RETRIES._replace(name="\ud83d\ude00 smile")).title == "😀 smile"


@pytest.mark.parametrize(
    ("failures", "error"),
    [
        ("refuse 10 %", "ModelRefusedRequest"),
        ("throttle", "ModelThrottled"),
        ("slow 0 %, down 50", "ModelBusy"),
    ],
)
def test_the_model_of_a_local_stack_fails_as_its_file_says(
    failures: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OfflineGenerator, "generate", OfflineGenerator.generate)  # is restored
    file, drawn = tmp_path / "failures", 0.0
    fail_sometimes(file, lambda: drawn)
    GENERATOR.generate(QUIZ)  # without a file, it does not fail
    file.write_text(failures)
    with pytest.raises(ContentError) as failed:
        GENERATOR.generate(QUIZ)
    assert failed.value.code == error
    drawn = 0.999
    if failures != "throttle":
        GENERATOR.generate(QUIZ)
    drawn = 0.0
    file.write_text("")
    GENERATOR.generate(QUIZ)


@pytest.mark.parametrize("wrong", ["explode", "refuse 1000 %", "refuse often"])
def test_an_unknown_failure_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="none of refuse, throttle"):
        LocalStack.fail(wrong, tmp_path)


def test_failures_that_end_are_known(tmp_path: Path) -> None:
    assert LocalStack.fail("refuse 10 %", tmp_path) == ""
    assert LocalStack.fail("", tmp_path) == "refuse 10 %"


@pytest.mark.parametrize("name", ["Retries", "Retries " * 100])
def test_a_draft_that_replaces_a_saved_item_differs(name: str) -> None:
    for content_type in ContentType:
        first, again, third = (
            GENERATOR.generate(
                GenerationRequest(RETRIES._replace(name=name), content_type, draft_number=number)
            )
            for number in (1, 1, 3)
        )
        assert first == again != third
