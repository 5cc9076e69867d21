"""What was refused for what it is does not come back; what was refused for its surroundings stays."""

import pytest

from roadmap_content.items import ContentType, Failure, Item, Stage
from roadmap_content.remedies import Remedy, remedy_for
from roadmap_content.staging import StagedFor

ITEM = Item("c", ContentType.TUTORIAL)


def refusal(attempt: int, error_code: str) -> tuple[int, Failure]:
    return attempt, Failure(ITEM, Stage.SAVE, error_code, "why", transient=False)


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
    assert remedy_for(StagedFor("t", 1), [seen], "t") == expected


def test_nothing_staged_is_generated() -> None:
    assert remedy_for(None, [refusal(1, "InvalidContent")], "t") == (Remedy.GENERATE, None)


def test_what_was_staged_after_the_refusal_was_not_refused() -> None:
    assert remedy_for(StagedFor("t", 2), [refusal(1, "InvalidContent")], "t") == (Remedy.KEEP, None)


def test_another_tasks_count_of_attempts_says_nothing() -> None:
    assert remedy_for(StagedFor("other", 9), [refusal(1, "IdTaken")], "t")[0] is Remedy.NEW_ID


def test_content_that_the_product_staged_is_older_than_any_refusal() -> None:
    assert remedy_for(StagedFor("", 0), [refusal(1, "IdTaken")], "t")[0] is Remedy.NEW_ID


def test_a_later_word_about_the_surroundings_hides_nothing() -> None:
    seen = [refusal(3, "RoadmapNotFound"), refusal(2, "IdTaken")]
    assert remedy_for(StagedFor("t", 1), seen, "t") == (Remedy.NEW_ID, seen[1])
