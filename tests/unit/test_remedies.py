"""What was refused for what it is does not come back; what was refused for its surroundings stays."""

import pytest

from roadmap_content.items import ContentType, Failure, Item, Stage
from roadmap_content.remedies import Remedy, remedy_for

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
def test_the_reason_decides(error_code: str, remedy: Remedy) -> None:
    seen = refusal(1, error_code)
    expected = (remedy, seen if remedy is not Remedy.KEEP else None)
    assert remedy_for("bad", [seen]) == expected


def test_nothing_staged_is_generated() -> None:
    assert remedy_for(None, [refusal(1, "InvalidContent")]) == (Remedy.GENERATE, None)


def test_a_refusal_says_nothing_about_other_content() -> None:
    assert remedy_for("mended", [refusal(1, "InvalidContent")]) == (Remedy.KEEP, None)


def test_what_was_refused_before_and_is_staged_once_more_is_as_bad_as_it_was() -> None:
    seen = [refusal(2, "InvalidContent", "another"), refusal(1, "IdTaken")]
    assert remedy_for("bad", seen) == (Remedy.NEW_ID, seen[1])


def test_a_later_word_about_the_surroundings_hides_nothing() -> None:
    seen = [refusal(3, "23505"), refusal(2, "IdTaken")]
    assert remedy_for("bad", seen) == (Remedy.NEW_ID, seen[1])
