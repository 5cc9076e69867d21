"""PutEvents: which errors concern one event, and which the bus."""

import boto3
import pytest
from botocore.stub import Stubber

from roadmap_content.platform.aws.event_bus import MAX_BYTES, Entry, EventBus, EventBusUnavailableError
from roadmap_content.state.outbox import fitting

ENTRIES = [Entry("a", "T", "{}"), Entry("b", "T", "{}"), Entry("c", "T", "{}")]


@pytest.fixture
def stubber() -> Stubber:
    client = boto3.client("events", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    return Stubber(client)


@pytest.fixture
def bus(stubber: Stubber) -> EventBus:
    bus = EventBus("bus")
    bus.__dict__["_client"] = stubber.client
    return bus


def answer(*codes: str | None) -> dict[str, object]:
    entries = [{"EventId": "e"} if code is None else {"ErrorCode": code} for code in codes]
    return {"FailedEntryCount": 0, "Entries": entries}


def test_refused_entries_are_named_with_their_code(bus: EventBus, stubber: Stubber) -> None:
    stubber.add_response("put_events", answer(None, "MalformedDetail", None))
    with stubber:
        assert bus.put(ENTRIES) == {"b": "MalformedDetail"}


def test_a_request_that_is_refused_for_an_entry_is_sent_entry_by_entry(
    bus: EventBus, stubber: Stubber
) -> None:
    stubber.add_client_error("put_events", "ValidationException")
    stubber.add_response("put_events", answer(None))
    stubber.add_client_error("put_events", "ValidationException")
    stubber.add_response("put_events", answer(None))
    with stubber:
        assert bus.put(ENTRIES) == {"b": "ValidationException"}
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InternalException"])
def test_any_other_error_concerns_the_bus(bus: EventBus, stubber: Stubber, code: str) -> None:
    stubber.add_client_error("put_events", code)
    with stubber, pytest.raises(EventBusUnavailableError, match=code):
        bus.put(ENTRIES)


def test_a_request_takes_the_events_that_fit() -> None:
    half = Entry("x", "T", "d" * (MAX_BYTES // 2))
    assert [entry.event_id for entry in fitting(iter([ENTRIES[0], half, half, ENTRIES[1]]))] == ["a", "x"]
