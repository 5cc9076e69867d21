"""The outbox's events and the product's `execution_logs`."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from roadmap_content.contracts.events import DetailType
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.state.outbox import deliver_events
from roadmap_content.state.tasks.scope import Scope
from tests.product.product import Product
from tests.product.running import deadline, heal, retry, run, sweep
from tests.support.factories import TYPES
from tests.support.pipeline import SETTINGS, Pipeline
from tests.support.received_events import Received

CONCEPTS = [f"r-1:c-{number}" for number in range(1, 4)]

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas" / "events.json"


@pytest.fixture
def bus(pipeline: Pipeline) -> Received:
    pipeline.services.settings = Settings(SETTINGS | {"EVENT_BUS": "bus"})
    received = Received()
    pipeline.services.event_bus = received
    return received


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas of the `detail`, by `detail-type`."""
    document = json.loads(SCHEMAS.read_text())
    return {name: {"$ref": f"#/$defs/{name}", **document} for name in document["$defs"] if name.istitle()}


def test_a_run_sends_events_of_its_start_its_concepts_and_its_end(
    pipeline: Pipeline, adopted: Product, bus: Received
) -> None:
    adopted.failed(CONCEPTS)
    adopted.complete("r-1", CONCEPTS[0])

    heal(pipeline.services)
    assert bus.entries == []
    deliver_events(pipeline.services, deadline())

    assert Counter(entry.detail_type for entry in bus.entries) == {
        DetailType.ATTEMPT_STARTED: 1,
        DetailType.BATCH_SAVED: TYPES,
        DetailType.TASK_FINALIZED: 1,
    }
    batches = [event["data"] for event in bus.of(DetailType.BATCH_SAVED)]
    assert [batch["saved_items"] for batch in batches] == [CONCEPTS[1:]] * TYPES
    completed = [concept["concept_id"] for batch in batches for concept in batch["completed_concepts"]]
    assert completed == CONCEPTS[1:]
    (finalized,) = bus.of(DetailType.TASK_FINALIZED)
    assert finalized["data"]["status"] == "completed"
    assert bus.entries[0].detail_type == DetailType.ATTEMPT_STARTED
    for entry in bus.entries:
        jsonschema.validate(json.loads(entry.detail), schemas()[entry.detail_type])
        assert json.loads(entry.detail)["metadata"]["id"] == entry.event_id
    deliver_events(pipeline.services, deadline())
    assert len(bus.entries) == 1 + TYPES + 1


def test_an_attempt_for_a_part_sends_events_of_that_part_only(
    pipeline: Pipeline, adopted: Product, bus: Received
) -> None:
    """Also if it failed to replace a saved item, in which case nothing is missing."""
    adopted.failed(CONCEPTS)
    adopted.complete("r-1", CONCEPTS[0])
    adopted.execute("ALTER TABLE quiz_metadata ADD CHECK (concept_id <> 'r-1:c-1') NOT VALID")

    heal(pipeline.services, scope=Scope(CONCEPTS[0], ContentType.QUIZ, regenerate=True))
    deliver_events(pipeline.services, deadline())

    (failed,) = bus.of(DetailType.CONCEPT_FAILED)
    jsonschema.validate(failed, schemas()[DetailType.CONCEPT_FAILED])
    assert failed["data"]["concept_id"] == CONCEPTS[0]
    assert [item["content_type"] for item in failed["data"]["items"]] == ["quiz"]
    logged = adopted.rows("SELECT concept_id, details ->> 'log_type' AS log_type FROM execution_logs")
    assert {row["log_type"]: row["concept_id"] for row in logged} == {
        "content_generation_failed": CONCEPTS[0],
        "task_completed": None,
    }


def test_every_event_has_a_schema() -> None:
    assert schemas().keys() == set(DetailType)


def test_the_product_s_task_page_gets_its_entries(pipeline: Pipeline, adopted: Product) -> None:
    adopted.failed(CONCEPTS)
    answer = retry(pipeline.services)
    adopted.execute("ALTER TABLE quiz_metadata ADD CHECK (concept_id <> 'r-1:c-2')")
    run(pipeline.services, answer)

    rows = adopted.rows(
        "SELECT concept_id, details, message FROM execution_logs ORDER BY concept_id NULLS LAST"
    )

    assert [(row["concept_id"], row["details"]["log_type"]) for row in rows] == [
        ("r-1:c-1", "concept_completed"),
        ("r-1:c-2", "content_generation_failed"),
        ("r-1:c-3", "concept_completed"),
        (None, "task_completed"),
    ]
    assert rows[0]["details"]["completed_content"] == list(ContentType)
    assert rows[0]["details"]["concept_name"] == "Concept 1"
    # The card of the page reads these.
    card = rows[-1]["details"]
    assert card["roadmap_url"] == "/roadmap/r-1"
    assert card["statistics"] == {"tutorials_generated": 3, "failed_concepts": 1}
    assert [(action["url"], action["primary"]) for action in card["next_actions"]] == [("/roadmap/r-1", True)]

    # A correction of the outcome by a sweep is another card.
    adopted.execute("DELETE FROM quiz_metadata WHERE concept_id = 'r-1:c-1'")
    sweep(pipeline.services)
    shown = "SELECT message FROM execution_logs WHERE concept_id IS NULL"
    assert {row["message"] for row in adopted.rows(shown)} == {
        "1 of 9 items are missing",
        "2 of 9 items are missing",
    }


def test_a_log_table_with_other_columns_has_no_effect(pipeline: Pipeline, adopted: Product) -> None:
    adopted.execute("ALTER TABLE execution_logs DROP COLUMN details")
    adopted.failed(CONCEPTS)
    heal(pipeline.services)
    assert adopted.rows("SELECT status FROM roadmap_tasks") == [{"status": "completed"}]
