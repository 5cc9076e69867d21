"""The events of a saved batch: as large as EventBridge allows, and unfolded in one place."""

import json
from datetime import UTC, datetime

import pytest

from roadmap_content.content.kind import MAX_KEY_BYTES
from roadmap_content.contracts.events import (
    MAX_BATCH_BYTES,
    MAX_NAME,
    AttemptEvents,
    Part,
    PartType,
    changes_of,
    detail_of,
    number_of_changes,
)
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage
from roadmap_content.platform.aws.event_bus import Entry

SUBJECT = AttemptEvents("t-1", "r-1", 2, "arn:1")

LONGEST = "\x01" * MAX_KEY_BYTES
"""Six bytes of JSON for each byte."""


def parts_of(concepts: list[str], name: str) -> list[Part]:
    failures = [
        Failure(Item(each, ContentType.QUIZ), Stage.SAVE, "IdTaken", "r" * 500, False) for each in concepts
    ]
    return [
        *(Part.saved(Item(each, ContentType.QUIZ)) for each in concepts),
        *(Part.failed(failure) for failure in failures),
        *(Part.completed(each, name) for each in concepts),
    ]


@pytest.mark.parametrize(
    "parts",
    [
        parts_of(["c-1"], "a name"),
        parts_of([LONGEST], "\N{PARTY POPPER}" * (MAX_NAME + 1)),
        parts_of([f"c-{number}" for number in range(300)], "\N{PARTY POPPER}" * MAX_NAME),
        parts_of([f"{number}{LONGEST}"[:MAX_KEY_BYTES] for number in range(100)], "a name"),
    ],
    ids=["small", "longest texts", "many names", "many ids"],
)
def test_a_batch_is_reported_completely_by_events_of_a_limited_size(parts: list[Part]) -> None:
    events = SUBJECT.batch_saved(3, ContentType.QUIZ, parts)
    details = [json.dumps(detail_of(event, datetime.now(UTC))) for event in events]
    sizes = [
        Entry(event.event_id, event.detail_type, detail).size
        for event, detail in zip(events, details, strict=True)
    ]
    assert max(sizes) <= MAX_BATCH_BYTES
    assert len(sizes) <= 1 + 3 * sum(sizes) // MAX_BATCH_BYTES, "not many more events than needed"

    unfolded = [
        list(changes_of(event.event_id, event.detail_type, json.loads(detail)["data"]))
        for event, detail in zip(events, details, strict=True)
    ]
    assert list(map(len, unfolded)) == [number_of_changes(event.data) for event in events]
    changes = [change for of_event in unfolded for change in of_event]
    assert len({change.id for change in changes}) == len(changes)
    of_parts = [change for change in changes if change.type in list(PartType)]
    assert [(change.type, change.data["concept_id"]) for change in of_parts] == [
        (part.type, part.data["concept_id"]) for part in parts
    ]
    assert all(change.data.items() >= part.data.items() for change, part in zip(of_parts, parts, strict=True))
    counted = [change.data for change in changes if change.type not in list(PartType)]
    kinds = [part.type for part in parts]
    assert sum(data["saved"] for data in counted) == kinds.count(PartType.ITEM_SAVED)
    assert sum(data["failed"] for data in counted) == kinds.count(PartType.ITEM_FAILED)


def test_batches_with_other_items_are_other_events() -> None:
    first, second = (
        SUBJECT.batch_saved(0, ContentType.QUIZ, [Part.saved(Item(each, ContentType.QUIZ))])[0]
        for each in "ab"
    )
    again = SUBJECT.batch_saved(0, ContentType.QUIZ, [Part.saved(Item("a", ContentType.QUIZ))])[0]
    assert first.event_id == again.event_id != second.event_id
