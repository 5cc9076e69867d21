"""The remedy for refused content depends on its error code and fingerprint."""

import pytest

from roadmap_content.content.remedies import remedy_for
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage
from roadmap_content.contracts.states import NextAction

ITEM = Item("c", ContentType.TUTORIAL)


def refusal(attempt: int, error_code: str, content: str = "bad") -> tuple[int, Failure]:
    return attempt, Failure(ITEM, Stage.SAVE, error_code, "why", transient=False, content_fingerprint=content)


@pytest.mark.parametrize(
    ("error_code", "remedy"),
    [
        ("IdTaken", NextAction.REPLACE_ID),
        ("VersionTaken", NextAction.NEXT_VERSION),
        ("InvalidContent", NextAction.REJECT_AND_GENERATE),
        ("22001", NextAction.REJECT_AND_GENERATE),
        ("22P05", NextAction.REJECT_AND_GENERATE),
        ("23514", NextAction.REJECT_AND_GENERATE),
        ("23502", NextAction.REJECT_AND_GENERATE),
        ("54000", NextAction.REJECT_AND_GENERATE),
        ("P0001", NextAction.REJECT_AND_GENERATE),
        ("23503", NextAction.SAVE),
        ("23505", NextAction.SAVE),
        ("RoadmapNotFound", NextAction.SAVE),
    ],
)
def test_the_error_code_decides_the_remedy(error_code: str, remedy: NextAction) -> None:
    refusals = refusal(1, error_code)
    expected = (remedy, refusals if remedy is not NextAction.SAVE else None)
    assert remedy_for("bad", [refusals]) == expected


def test_an_item_without_staged_content_is_generated() -> None:
    assert remedy_for(None, []) == (NextAction.GENERATE, None)
    assert remedy_for(None, [refusal(2, "IdTaken")]) == (NextAction.GENERATE, None)
    rejected = refusal(1, "InvalidContent")
    assert remedy_for(None, [refusal(2, "IdTaken"), rejected]) == (NextAction.GENERATE, rejected)


def test_a_refusal_of_other_content_is_ignored() -> None:
    assert remedy_for("mended", [refusal(1, "InvalidContent")]) == (NextAction.SAVE, None)


@pytest.mark.parametrize(
    "later",
    [refusal(3, "InvalidContent", "another"), refusal(3, "23505")],
    ids=["of other content", "for other rows"],
)
def test_a_later_refusal_does_not_hide_an_earlier_one_of_this_content(later: tuple[int, Failure]) -> None:
    refusals = [later, refusal(2, "IdTaken")]
    assert remedy_for("bad", refusals) == (NextAction.REPLACE_ID, refusals[1])
