"""The outcome of an attempt, computed from the tables."""

import pytest

from roadmap_content.content.roadmaps.framework import read_framework
from roadmap_content.contracts.items import ContentType, Failure, Stage
from roadmap_content.state.tasks.outcome import Outcome, compute_outcome
from tests.support.factories import TYPES, concept_ids, counts, framework_of

IDS = concept_ids(3)
FRAMEWORK = read_framework(framework_of(IDS))
ALL = {content_type: frozenset(IDS) for content_type in ContentType}
FAILURES = {
    item: Failure(item, Stage.SAVE, "IdTaken", "taken", transient=False) for item in FRAMEWORK.items()
}


def outcome_of(saved: dict[ContentType, frozenset[str]]) -> Outcome:
    missing = FRAMEWORK.missing(saved)
    return compute_outcome(len(IDS), missing, {item: FAILURES[item] for item in missing})


@pytest.mark.parametrize(
    ("saved", "status"),
    [
        (ALL, "completed"),
        (ALL | {ContentType.QUIZ: frozenset(IDS[:2])}, "partial_failure"),
        ({content_type: frozenset[str]() for content_type in ContentType}, "failed"),
        ({content_type: frozenset(["of no concept"]) for content_type in ContentType}, "failed"),
    ],
)
def test_the_status_follows_from_saved_and_missing_items(
    saved: dict[ContentType, frozenset[str]], status: str
) -> None:
    assert outcome_of(saved).status == status


def test_failed_concepts_counts_concepts_and_lists_items() -> None:
    saved = ALL | {
        ContentType.QUIZ: frozenset([IDS[1]]),
        ContentType.TUTORIAL: frozenset(IDS[:2]),
    }
    outcome = outcome_of(saved)
    failed = outcome.failed_concepts
    assert failed is not None
    assert failed["count"] == 2
    assert failed["concept_ids"] == [IDS[0], IDS[2]]
    assert [(item["concept_id"], item["content_type"]) for item in failed["items"]] == [
        (IDS[0], "quiz"),
        (IDS[2], "tutorial"),
        (IDS[2], "quiz"),
    ]
    assert set(failed["items"][0]) == {"concept_id", "content_type", "stage", "error_code", "reason"}
    assert outcome.error_message == f"3 of {3 * TYPES} items are missing"


def test_a_complete_outcome_has_no_failed_concepts_and_no_message() -> None:
    outcome = outcome_of(ALL)
    assert (outcome.failed_concepts, outcome.error_message) == (None, None)


def test_the_summary_adds_up_per_content_type() -> None:
    summary = outcome_of(ALL | {ContentType.QUIZ: frozenset(IDS[:1])}).execution_summary(
        4, 1.23456, dict.fromkeys(ContentType, 0) | {ContentType.QUIZ: 1}
    )
    assert summary["quiz"] == {"total": 3, "completed": 1, "failed": 2}
    assert summary["tutorial"] == {"total": 3, "completed": 3, "failed": 0}
    assert (summary["attempt"], summary["duration_seconds"]) == (4, 1.235)
    assert summary["generated"] == counts(quiz=1)
