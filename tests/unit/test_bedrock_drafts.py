"""Validation of a model's output, and the messages about its faults."""

from typing import Any

import pytest

from roadmap_content.content.generation.generator import GenerationRequest, generator_named
from roadmap_content.content.generation.prompting import read_draft
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.errors import InvalidContentError
from roadmap_content.contracts.items import ContentType

CONCEPT = Concept("c", "Retries", keywords=("backoff", "jitter"))


def output(content_type: ContentType) -> dict[str, Any]:
    return generator_named("offline").generate(GenerationRequest(CONCEPT, content_type))


def refusal(content_type: ContentType, filled_in: object) -> str:
    with pytest.raises(InvalidContentError) as refused:
        read_draft(content_type, filled_in)
    return str(refused.value)


@pytest.mark.parametrize("content_type", ContentType)
def test_a_valid_draft_is_accepted_unchanged(content_type: ContentType) -> None:
    assert read_draft(content_type, output(content_type)).model_dump(mode="json") == output(content_type)


@pytest.mark.parametrize("content_type", ContentType)
@pytest.mark.parametrize("filled_in", [None, "text", [], {}, {"unknown": 1}])
def test_output_of_another_shape_is_refused(content_type: ContentType, filled_in: object) -> None:
    assert refusal(content_type, filled_in)


@pytest.mark.parametrize("content_type", ContentType)
def test_output_that_cannot_be_stored_is_refused(content_type: ContentType) -> None:
    first = next(iter(CONTENT_KINDS[content_type].draft.model_fields))
    assert "NUL" in refusal(content_type, output(content_type) | {first: "a\x00b"})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"markdown": " \n"}, "markdown is blank"),
        ({"summary": ""}, "summary is blank"),
        ({"title": ""}, "title: String should have at least 1 character"),
        ({"estimated_completion_time": "12"}, "estimated_completion_time: Input should be a valid integer"),
        ({"estimated_completion_time": -1}, "estimated_completion_time: Input should be greater than"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
    ],
)
def test_unusable_tutorials_are_refused(change: dict[str, Any], fault: str) -> None:
    assert fault in refusal(ContentType.TUTORIAL, output(ContentType.TUTORIAL) | change)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            {"correct_answer": [7]},
            "questions[0]: correct_answer 7 is not an index of",
        ),
        ({"correct_answer": [-1]}, "correct_answer -1 is not an index"),
        ({"correct_answer": []}, "questions[0].correct_answer: List should have at least 1 item"),
        ({"correct_answer": ["0"]}, "questions[0].correct_answer[0]: Input should be a valid integer"),
        ({"correct_answer": [0, 1]}, "questions[0].correct_answer of a single_choice question must hold one"),
        (
            {"correct_answer": [1, 1], "question_type": "multiple_choice"},
            "questions[0].correct_answer holds 1 more than once",
        ),
        ({"question_type": "true_false"}, "questions[0].options of a true_false question must be two"),
        ({"options": ["a", "b", "a", "c"]}, "questions[0].options holds 'a' more than once"),
        ({"options": ["a", "b", " ", "c"]}, "questions[0].options holds a blank one"),
        ({"question_id": "q-2"}, "questions[].question_id holds 'q-2' more than once"),
        ({"difficulty": "insane"}, "questions[0].difficulty: Input should be 'easy', 'medium' or 'hard'"),
    ],
)
def test_unusable_questions_are_refused(change: dict[str, Any], fault: str) -> None:
    quiz = output(ContentType.QUIZ)
    quiz["questions"][0] |= {"question_type": "single_choice", "correct_answer": [0]} | change
    assert fault in refusal(ContentType.QUIZ, quiz)


@pytest.mark.parametrize(
    "url",
    [
        "https://docs.python.org/3/library/asyncio.html#x?y=1",
        "http://example.org",
        "https://例子.测试/路径",
        "https://xn--fsqu00a.xn--0zwm56d/",
        "https://example.co.uk:8443/a_(b)",
    ],
)
def test_well_formed_urls_are_accepted(url: str) -> None:
    resources = output(ContentType.RESOURCES)
    resources["resources"][0]["url"] = url
    assert read_draft(ContentType.RESOURCES, resources)


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("javascript:alert(1)", "String should match pattern"),
        ("ftp://example.org/", "String should match pattern"),
        ("https://exa mple.org/", "String should match pattern"),
        ("https://", "String should match pattern"),
        ("https:///path", "resources[0].url does not name a public host"),
        ("https://localhost/", "does not name a public host"),
        ("http://127.0.0.1/", "does not name a public host"),
        ("http://[::1]/", "does not name a public host"),
        ("http://2130706433/", "does not name a public host"),
        ("https://example..org/", "does not name a public host"),
        ("https://-example.org/", "does not name a public host"),
        ("https://user:secret@example.org/", "holds a user name or a password"),
        ("https://example.org:port/", "is not a URL"),
        ("https://example.org:99999/", "is not a URL"),
        ("https://[example.org/", "is not a URL"),
    ],
)
def test_malformed_urls_are_refused(url: str, fault: str) -> None:
    resources = output(ContentType.RESOURCES)
    resources["resources"][0]["url"] = url
    assert fault in refusal(ContentType.RESOURCES, resources)


def test_unusable_resources_are_refused() -> None:
    resources = output(ContentType.RESOURCES)
    assert refusal(ContentType.RESOURCES, resources | {"resources": []}) == "resources is empty"
    twice = resources["resources"][:1] * 2
    assert "more than once" in refusal(ContentType.RESOURCES, resources | {"resources": twice})
    for score in (1.5, -0.1, float("nan")):
        unscored = [resources["resources"][0] | {"relevance_score": score}]
        assert "relevance_score" in refusal(ContentType.RESOURCES, resources | {"resources": unscored})
