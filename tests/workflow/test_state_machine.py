"""The real state machine with the real functions: every fault ends in a recorded outcome."""

import json
import threading
from pathlib import Path

import pytest

from local_stack.lock_waiters import processes_waiting_for
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import without_ours
from tests.support.machine import Machine

CURRICULA = sorted((Path(__file__).parent / "curricula").glob("*.json"))


def failed_items(machine: Machine) -> dict[Item, str]:
    return {
        Item(item.concept_id, item.content_type): item.error_code for item in machine.status().failed_items
    }


@pytest.mark.parametrize("curriculum", CURRICULA, ids=lambda path: path.stem)
def test_a_real_bundle_is_saved_character_for_character(machine: Machine, curriculum: Path) -> None:
    bundle = json.loads(curriculum.read_bytes())
    machine.load_bundle(bundle)
    assert machine.run()["status"] == "SUCCEEDED"

    for entry in bundle["content"]:
        where = {"roadmap_id": machine.roadmap_id, "concept_id": entry["concept_id"]}
        condition = "roadmap_id = :roadmap_id AND concept_id = :concept_id"
        (row,) = machine.rows(f"SELECT * FROM tutorial_metadata WHERE {condition}", **where)
        text = machine.target.bucket.get(row["content_url"])
        assert text is not None
        assert {
            **{key: row[key] for key in entry["tutorial"] if key in row},
            "markdown": text.body.decode(),
        } == (entry["tutorial"])
        (row,) = machine.rows(f"SELECT * FROM resource_recommendation_metadata WHERE {condition}", **where)
        assert {key: row[key] for key in entry["resources"]} == entry["resources"]
        (row,) = machine.rows(f"SELECT * FROM quiz_metadata WHERE {condition}", **where)
        assert {key: row[key] for key in entry["quiz"]} == entry["quiz"]
    assert without_ours(machine.framework()) == without_ours(bundle["roadmap"]["framework_data"])


def test_a_save_that_crashes_is_retried_and_then_recorded_as_a_lost_batch(machine: Machine) -> None:
    """Only one list of resources is not staged: it is generated, and saved in a batch of its own."""
    ids = machine.load(12)
    generated = Item(ids[4], ContentType.RESOURCES)
    machine.unstage(generated)
    killed: set[int] = set()
    over = threading.Event()
    with machine.holding() as held:

        def kill_whoever_waits() -> None:
            while not over.wait(0.02):
                for process in processes_waiting_for(held):
                    killed.add(process.pid)
                    process.kill()

        killer = threading.Thread(target=kill_whoever_waits)
        killer.start()
        execution = machine.run()
        over.set()
        killer.join()
    assert (execution["status"], execution["error"]) == ("FAILED", "ContentIncomplete")
    assert len(killed) == 3  # once, and two retries
    items = {Item(each, content_type) for each in ids for content_type in ContentType}
    assert failed_items(machine) == dict.fromkeys(items - {generated}, "Runtime.ExitError")
    # The message has the number of missing items instead of the error, because every iteration ended
    # normally.
    assert machine.status().error_message == f"{len(items) - 1} of {len(items)} items are missing"
    assert machine.run()["status"] == "SUCCEEDED"


def test_staged_items_are_saved_although_generate_fails(machine: Machine) -> None:
    machine.load(3)
    with machine.function_changed("GenerateContentFunction", Environment={"Variables": {}}):
        assert machine.run()["status"] == "SUCCEEDED"
    assert machine.status().status == "completed"


def test_a_plan_that_fails_is_recorded(machine: Machine) -> None:
    machine.load(3)
    machine.execute(
        "UPDATE roadmap_metadata SET deleted_at = now() WHERE roadmap_id = :id", id=machine.roadmap_id
    )
    execution = machine.run()
    assert (execution["status"], execution["error"]) == ("FAILED", "ContentIncomplete")
    status = machine.status()
    assert (status.status, status.error_message) == (
        "failed",
        f"RoadmapNotFound: roadmap '{machine.roadmap_id}' is deleted",
    )
