"""The remedy for refused content depends on its error code and fingerprint."""

import pytest

from roadmap_content.content.remedies import Remedy, remedy_for
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage

ITEM = Item("c", ContentType.TUTORIAL)


def refusal(attempt: int, error_code: str, content: str = "bad") -> tuple[int, Failure]:
    return attempt, Failure(ITEM, Stage.SAVE, error_code, "why", transient=False, content_fingerprint=content)


@pytest.mark.parametrize(
    ("error_code", "remedy"),
    [
        ("IdTaken", Remedy.NEW_ID),
        ("VersionTaken", Remedy.NEXT_VERSION),
        ("InvalidContent", Remedy.REJECT),
        ("22001", Remedy.REJECT),
        ("22P05", Remedy.REJECT),
        ("23514", Remedy.REJECT),
        ("23502", Remedy.REJECT),
        ("54000", Remedy.REJECT),
        ("P0001", Remedy.REJECT),
        ("23503", Remedy.KEEP),
        ("23505", Remedy.KEEP),
        ("RoadmapNotFound", Remedy.KEEP),
    ],
)
def test_the_error_code_decides_the_remedy(error_code: str, remedy: Remedy) -> None:
    refusals = refusal(1, error_code)
    expected = (remedy, refusals if remedy is not Remedy.KEEP else None)
    assert remedy_for("bad", [refusals]) == expected


def test_an_item_without_staged_content_is_generated() -> None:
    assert remedy_for(None, [refusal(1, "InvalidContent")]) == (Remedy.GENERATE, None)


def test_a_refusal_of_other_content_is_ignored() -> None:
    assert remedy_for("mended", [refusal(1, "InvalidContent")]) == (Remedy.KEEP, None)


@pytest.mark.parametrize(
    "later",
    [refusal(3, "InvalidContent", "another"), refusal(3, "23505")],
    ids=["of other content", "for other rows"],
)
def test_a_later_refusal_does_not_hide_an_earlier_one_of_this_content(later: tuple[int, Failure]) -> None:
    refusals = [later, refusal(2, "IdTaken")]
    assert remedy_for("bad", refusals) == (Remedy.NEW_ID, refusals[1])
