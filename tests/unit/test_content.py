"""The contracts of staged content: faults are reported with their path, and valid content is unchanged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.content.kind import ContentKind
from roadmap_content.content.quiz import KIND as QUIZ
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.resources import KIND as RESOURCES
from roadmap_content.content.tutorial import KIND as TUTORIAL
from roadmap_content.contracts.documents import MAX_DEPTH, unstorable
from roadmap_content.contracts.errors import InvalidContentError
from roadmap_content.contracts.items import ContentType
from tests.support.factories import content_of, quiz

VALID: dict[ContentType, dict[str, Any]] = {each: content_of(each, "c") for each in ContentType}


@pytest.mark.parametrize("kind", CONTENT_KINDS.values(), ids=list(CONTENT_KINDS))
def test_valid_content_is_returned_unchanged(kind: ContentKind) -> None:
    content = VALID[kind.content_type] | {"a key of tomorrow": [1.50, {"z": None, "a": "漢"}]}
    assert json.dumps(kind.parse(json.dumps(content).encode())) == json.dumps(content)


@pytest.mark.parametrize(
    ("kind", "changes", "fault"),
    [
        (TUTORIAL, {"tutorial_id": "x" * 65}, "tutorial_id: String should have at most 64 characters"),
        (TUTORIAL, {"tutorial_id": ""}, "tutorial_id: String should have at least 1 character"),
        (TUTORIAL, {"title": "x" * 501}, "title: String should have at most 500 characters"),
        (TUTORIAL, {"content_version": "1"}, "content_version: Input should be a valid integer"),
        (TUTORIAL, {"markdown": "a\x00"}, "markdown holds a NUL character at character 1"),
        (TUTORIAL, {"summary": "\ud800"}, "summary holds a lone surrogate at character 0"),
        (TUTORIAL, {"extra": {"deep": ["\x00"]}}, "extra.deep[0] holds a NUL character at character 0"),
        (TUTORIAL, {"ex\x00tra": 1}, "a key of value holds a NUL character at character 2"),
        (RESOURCES, {"search_queries_used": [1]}, "search_queries_used[0]: Input should be a valid string"),
        (QUIZ, {"total_questions": 2}, "value: total_questions is 2, questions are 3"),
        (
            QUIZ,
            {
                "questions": [
                    {"question": "?", "options": ["a"], "correct_answer": [1], "difficulty": "easy"}
                ],
                "total_questions": 1,
            },
            "questions[0]: correct_answer 1 is not an index of the 1 options",
        ),
    ],
)
def test_the_first_fault_is_named_with_its_path(
    kind: ContentKind, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(InvalidContentError) as caught:
        kind.parse(json.dumps(VALID[kind.content_type] | changes).encode())
    assert str(caught.value).startswith(fault)


REFUSED: dict[ContentType, dict[tuple[str | int, ...], list[object]]] = {
    ContentType.TUTORIAL: {
        ("tutorial_id",): [None, 7],
        ("title",): ["", ["text"]],
        ("summary",): [None, 7],
        ("content_version",): [0, 2**31, 1.5, True, 10**400, float("nan"), None],
        ("estimated_completion_time",): [-1, 2**31, float("inf"), "1", None],
        ("markdown",): [None, True],
    },
    ContentType.RESOURCES: {
        ("id",): ["", "x" * 65],
        ("resources", 0, "title"): ["", None],
        ("resources", 1, "url"): ["https://example.org/a b", "javascript:x", None],
        ("search_queries_used",): [None, "text", ["\udfff"]],
    },
    ContentType.QUIZ: {
        ("quiz_id",): ["", "x" * 65],
        ("questions",): [None, {"0": "text"}, [None]],
        ("questions", 0, "question"): ["", None],
        ("questions", 1, "options"): [[], None],
        ("questions", 1, "correct_answer"): [[], [3], [-1], None],
        ("questions", 2, "difficulty"): ["impossible", None],
        ("total_questions",): [-1, True, None],
    },
}
"""Values that no column takes or no page can show, by their place."""


@pytest.mark.parametrize("content_type", REFUSED)
def test_no_unusable_value_is_accepted(content_type: ContentType) -> None:
    kind = CONTENT_KINDS[content_type]
    for (*path, last), values in REFUSED[content_type].items():
        for value in values:
            content = json.loads(json.dumps(VALID[content_type]))
            place = content
            for step in path:
                place = place[step]
            place[last] = value
            with pytest.raises(InvalidContentError):
                kind.parse(json.dumps(content).encode())
            del place[last]
            with pytest.raises(InvalidContentError):
                kind.parse(json.dumps(content).encode())


@given(st.sampled_from(ContentType), st.binary())
def test_an_arbitrary_body_is_either_valid_or_refused(content_type: ContentType, body: bytes) -> None:
    with pytest.raises(InvalidContentError):
        CONTENT_KINDS[content_type].parse(body)


@pytest.mark.parametrize("levels", [MAX_DEPTH + 1, 990, 5_000, 100_000])
def test_nesting_that_exhausts_the_stack_is_refused_with_its_fault(levels: int) -> None:
    nested: list[Any] = []
    for _ in range(levels - 1):
        nested = [nested]
    assert unstorable(nested) == f"{'[0]' * 33}[ is nested deeper than 100 levels"


def test_nesting_below_the_limit_is_kept() -> None:
    body = (
        json.dumps(quiz("c") | {"note": 1})
        .encode()
        .replace(b'"note": 1', b'"note": ' + b"[" * 99 + b"]" * 99)
    )
    assert "note" in QUIZ.parse(body)
