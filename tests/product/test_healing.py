"""One POST repairs the state of the bug report on the product's schema, and the product reads it as
completed.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrations import UnknownTimeZoneError, use_time_zone
from roadmap_content.api.preview import preview_retry
from roadmap_content.content.tutorial import draft_from_text
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from tests.product.product import EVERY_FORM, Product
from tests.product.running import findings_of, heal, sweep
from tests.support.factories import CONTENT_TABLES, TYPES, USER, concepts_of, counts, framework_of
from tests.support.generators import FakeModel
from tests.support.pipeline import Pipeline

CONCEPTS = [f"r-1:c-{number}" for number in range(1, 13)]


def framework(variant: str) -> dict[str, Any]:
    document = framework_of(CONCEPTS)
    for concept in concepts_of(document):
        match variant:
            case "keys missing":
                for key in [name for name in concept if name.endswith(("_status", "_id", "_ref"))]:
                    if key != "concept_id":
                        del concept[key]
            case "ids invented":
                concept |= {
                    "tutorial_id": "invented",
                    "content_status": "completed",
                    "resources_id": "stale",
                    "resources_status": "completed",
                }
            case _:
                pass
    return document


def report_s_state(product: Product, variant: str) -> None:
    """All but the last batch saved, then an IntegrityError: nothing projected, the task failed."""
    product.roadmap("r-1", CONCEPTS, framework=framework(variant))
    for concept_id in CONCEPTS[:-3]:
        product.complete("r-1", concept_id)
    product.task("t-1", "failed", roadmap_id="r-1", step="failed")
    if variant == "concept_metadata stale" and product.has("concept_metadata"):
        product.execute(
            "UPDATE concept_metadata SET tutorial_status = 'failed', resources_status = 'failed', "
            "quiz_status = 'completed', quiz_id = 'invented', overall_status = 'partial_failed'"
        )
        product.execute("DELETE FROM concept_metadata WHERE concept_id IN ('r-1:c-2', 'r-1:c-12')")


@EVERY_FORM
@pytest.mark.parametrize("variant", ["ids empty", "keys missing", "ids invented", "concept_metadata stale"])
def test_one_post_repairs_the_state_of_the_bug_report(
    pipeline: Pipeline, adopted: Product, variant: str
) -> None:
    report_s_state(adopted, variant)
    before = adopted.everything()

    answer = heal(pipeline.services)

    assert answer.total_items == 3 * TYPES
    (task,) = adopted.rows("SELECT * FROM roadmap_tasks")
    assert (task["status"], task["current_step"], task["failed_concepts"]) == ("completed", "completed", None)
    (roadmap,) = adopted.rows("SELECT framework_data FROM roadmap_metadata")
    for concept in concepts_of(roadmap["framework_data"]):
        assert concept["content_status"] == "completed"
        assert None not in (concept["tutorial_id"], concept["resources_id"], concept["quiz_id"])
    for table in CONTENT_TABLES:
        assert set(before[table]) < set(adopted.everything()[table])
    require_concept_metadata_complete(adopted)
    assert heal(pipeline.services).status == "completed"
    assert sweep(pipeline.services)[0].repairs == []


def require_concept_metadata_complete(product: Product) -> None:
    """The queries of the product's own retry: incomplete concepts, and ids that do not exist."""
    if not product.has("concept_metadata"):
        return
    rows = product.rows(
        "SELECT m.*, t.tutorial_id AS t, r.id AS r, q.quiz_id AS q FROM concept_metadata m "
        "LEFT JOIN tutorial_metadata t ON t.tutorial_id = m.tutorial_id AND t.concept_id = m.concept_id "
        "LEFT JOIN resource_recommendation_metadata r ON r.id = m.resources_id "
        "AND r.concept_id = m.concept_id "
        "LEFT JOIN quiz_metadata q ON q.quiz_id = m.quiz_id AND q.concept_id = m.concept_id"
    )
    assert sorted(row["concept_id"] for row in rows) == sorted(CONCEPTS)
    for row in rows:
        assert row["overall_status"] == "completed"
        assert row["all_content_completed_at"] is not None
        for content_type, found in (("tutorial", "t"), ("resources", "r"), ("quiz", "q")):
            assert row[f"{content_type}_status"] == "completed"
            assert row[f"{content_type}_id"] == row[found] is not None
            assert row[f"{content_type}_completed_at"] is not None


def test_drift_of_concept_metadata_is_repaired(pipeline: Pipeline, adopted: Product) -> None:
    report_s_state(adopted, "ids empty")
    heal(pipeline.services)
    written = adopted.everything()["concept_metadata"]
    adopted.execute(
        "UPDATE concept_metadata SET quiz_status = 'failed', overall_status = 'partial_failed' "
        "WHERE concept_id = 'r-1:c-1'"
    )
    adopted.execute("DELETE FROM concept_metadata WHERE concept_id = 'r-1:c-3'")

    scheduled, by_hand = sweep(pipeline.services)

    assert [repair.changed for repair in scheduled.repairs] == [["concept_metadata"]]
    assert by_hand.repairs == []
    require_concept_metadata_complete(adopted)
    untouched = {line for line in written if '"r-1:c-1"' not in line and '"r-1:c-3"' not in line}
    assert untouched <= set(adopted.everything()["concept_metadata"])


def test_the_row_of_a_concept_of_another_roadmap_is_not_changed(pipeline: Pipeline, adopted: Product) -> None:
    """Two roadmaps may have a concept with the same id; its row belongs to one."""
    report_s_state(adopted, "ids empty")
    adopted.roadmap("r-2", ["r-2:c-1"])
    adopted.execute("UPDATE concept_metadata SET roadmap_id = 'r-2' WHERE concept_id = 'r-1:c-1'")
    read = "SELECT * FROM concept_metadata WHERE concept_id = 'r-1:c-1'"
    before = adopted.rows(read)
    heal(pipeline.services)
    assert adopted.rows(read) == before


def test_missing_items_are_failed_in_concept_metadata_without_an_id(
    pipeline: Pipeline, adopted: Product
) -> None:
    report_s_state(adopted, "ids empty")
    heal(pipeline.services)
    adopted.execute("DELETE FROM quiz_metadata WHERE concept_id = 'r-1:c-1'")

    sweep(pipeline.services)

    (row,) = adopted.rows("SELECT * FROM concept_metadata WHERE concept_id = 'r-1:c-1'")
    assert (row["quiz_status"], row["quiz_id"], row["quiz_completed_at"]) == ("failed", None, None)
    assert (row["overall_status"], row["all_content_completed_at"]) == ("partial_failed", None)
    assert row["tutorial_status"] == "completed"


def test_the_outcome_is_recorded_although_concept_metadata_is_refused(
    pipeline: Pipeline, adopted: Product
) -> None:
    report_s_state(adopted, "ids empty")
    adopted.execute("ALTER TABLE concept_metadata ADD CHECK (overall_status <> 'completed')")

    heal(pipeline.services)

    (task,) = adopted.rows("SELECT status FROM roadmap_tasks")
    assert task["status"] == "completed"
    (roadmap,) = adopted.rows("SELECT framework_data FROM roadmap_metadata")
    assert all(concept["quiz_id"] for concept in concepts_of(roadmap["framework_data"]))
    assert "write_refused concept_metadata" in findings_of(adopted.engine)


def test_a_required_column_of_concept_metadata_stops_only_new_rows(
    pipeline: Pipeline, adopted: Product, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An INSERT with ON CONFLICT checks the column also for the rows that exist."""
    report_s_state(adopted, "ids empty")
    adopted.execute("DELETE FROM concept_metadata WHERE concept_id = 'r-1:c-1'")
    adopted.execute("ALTER TABLE concept_metadata ADD COLUMN tenant text NOT NULL DEFAULT 't'")
    adopted.execute("ALTER TABLE concept_metadata ALTER COLUMN tenant DROP DEFAULT")

    heal(pipeline.services)

    rows = adopted.rows("SELECT DISTINCT overall_status FROM concept_metadata")
    assert rows == [{"overall_status": "completed"}]
    found = {"column_required concept_metadata.tenant", "write_refused concept_metadata"}
    assert findings_of(adopted.engine) == found
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    sweep(pipeline.services)
    assert '"DatabaseFindings": [2.0]' in capsys.readouterr().out, "an alarm reads it"

    adopted.execute("ALTER TABLE concept_metadata ALTER COLUMN tenant SET DEFAULT 't'")
    heal(pipeline.services)
    require_concept_metadata_complete(adopted)


def test_times_are_written_in_the_product_s_zone(pipeline: Pipeline, adopted: Product) -> None:
    with adopted.engine.begin() as connection:
        use_time_zone(connection, "Asia/Shanghai")
    report_s_state(adopted, "ids empty")

    heal(pipeline.services)

    (row,) = adopted.rows(
        "SELECT updated_at, completed_at, execution_summary, (SELECT max(generated_at) FROM quiz_metadata) "
        "AS generated_at FROM roadmap_tasks"
    )
    beijing = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=8)
    for name in ("updated_at", "completed_at", "generated_at"):
        assert abs(row[name] - beijing) < timedelta(hours=1)
    assert 0 <= row["execution_summary"]["duration_seconds"] < 3600


def test_an_unknown_time_zone_is_refused(adopted: Product) -> None:
    with adopted.engine.begin() as connection, pytest.raises(UnknownTimeZoneError):
        use_time_zone(connection, "Asia/Beijing'; DROP TABLE quiz_metadata; --")


TEXT = """# Control planes

```sh
kubectl get nodes
```

- a list

The control plane decides.
It runs the scheduler.

More.
"""


def test_a_text_without_a_row_is_adopted(pipeline: Pipeline, adopted: Product) -> None:
    concepts = ["r-1:c-1", "r-1:c-2", "r-1:c-3"]
    adopted.failed(concepts)
    pipeline.bucket.put("r-1/concepts/r-1:c-1/v1.md", TEXT.encode())
    pipeline.bucket.put("r-1/concepts/r-1:c-2/v1.md", b"\xff is no text")
    counted = pipeline.services.generator = FakeModel()
    preview = preview_retry(pipeline.services, "t-1", USER, Deadline.after(60))
    assert preview.staged == counts(tutorial=1)
    assert preview.to_generate == counts(3) | {ContentType.TUTORIAL: 2}

    heal(pipeline.services)

    assert Item("r-1:c-1", ContentType.TUTORIAL) not in counted.made
    assert {Item(concept_id, ContentType.TUTORIAL) for concept_id in concepts[1:]} <= set(counted.made)
    (row,) = adopted.rows("SELECT * FROM tutorial_metadata WHERE concept_id = 'r-1:c-1'")
    assert (row["title"], row["summary"]) == (
        "Control planes",
        "The control plane decides. It runs the scheduler.",
    )
    assert (row["content_version"], row["estimated_completion_time"]) == (1, 1)
    pipeline.bucket.put("r-1/concepts/r-1:c-1/v1.md", b"the product's next text")
    text = pipeline.bucket.get(row["content_url"])
    assert text is not None
    assert text.body == TEXT.encode()


def test_a_text_that_was_refused_is_not_adopted_again(pipeline: Pipeline, adopted: Product) -> None:
    """It would be refused in every attempt."""
    adopted.failed(["r-1:c-1"])
    pipeline.bucket.put("r-1/concepts/r-1:c-1/v1.md", TEXT.encode())
    adopted.execute("ALTER TABLE tutorial_metadata ADD CHECK (title <> 'Control planes')")
    counted = pipeline.services.generator = FakeModel()
    heal(pipeline.services)
    assert Item("r-1:c-1", ContentType.TUTORIAL) not in counted.made
    assert adopted.rows("SELECT 1 FROM tutorial_metadata") == []
    pipeline.bucket.delete(staged_key("r-1", Item("r-1:c-1", ContentType.TUTORIAL)))
    preview = preview_retry(pipeline.services, "t-1", USER, Deadline.after(60))
    assert preview.to_generate == counts(tutorial=1)

    heal(pipeline.services)

    assert Item("r-1:c-1", ContentType.TUTORIAL) in counted.made
    (row,) = adopted.rows("SELECT content_version FROM tutorial_metadata")
    assert row["content_version"] == 2, "the refused text stays under its own version"


@pytest.mark.parametrize("body", [b"", b"  \n", b"\xff", b"a\x00b"])
def test_an_object_that_is_not_a_text_is_not_adopted(body: bytes) -> None:
    assert draft_from_text(body, "Name") is None


def test_a_text_without_heading_or_prose_is_named_after_its_concept() -> None:
    draft = draft_from_text("漢字".encode() * 400 + b"\n", "Name")
    assert draft is not None
    assert draft["title"] == "Name"
    assert draft["estimated_completion_time"] == 2
    code = draft_from_text(b"```\ncode\n```\n", "Name")
    assert code is not None
    assert code["summary"] == "Name"


@pytest.mark.parametrize("line", ["1. first", "2) next", "+ more", "- less", "![a](b)", "> quoted", "| a |"])
def test_the_summary_of_a_text_is_its_first_prose(line: str) -> None:
    draft = draft_from_text(f"# Title\n\n{line}\n\n2024 was prose.\n".encode(), "Name")
    assert draft is not None
    assert (draft["title"], draft["summary"]) == ("Title", "2024 was prose.")


PROSE = "Prose of\ntwo lines."


@pytest.mark.parametrize(
    ("text", "title"),
    [
        (f"---\ntitle: Of the page\n---\n\n# Title\n\n{PROSE}\n", "Title"),
        (f"<!-- # No title\n\nNo prose. -->\n# Title\n{PROSE}\n", "Title"),
        (f"<!-- a --> \n\n{PROSE}\n<!-- not closed", "Name"),
        (f"```sh\n# comment\n\n~~~\n````\n{PROSE}\n", "Name"),
        (f"~~~~\n# comment\n```\n~~~\nNo prose.\n~~~~\n{PROSE}\n## Title ##\n", "Title"),
        (f"1. ```sh\n   # comment\n   ```\n\n   of the item\n2. x\n   of it\n\n{PROSE}\n", "Name"),
        (f"- a step\n\n  ```sh\n# comment\n  ```\n\n{PROSE}\n", "Name"),
        (f"    # comment\n\n{PROSE}\n\n```\n# not closed", "Name"),
        (f"# Title\r\n\r\n---\r\n\r\n{PROSE}\n", "Title"),
        (f"Title\n=====\n{PROSE}\n", "Title"),
        (f"Title\n-\n\n***\n\n* * *\n\n___\n\n{PROSE}\n", "Title"),
        (f"<details>\n\n=\n\n{PROSE}\n", "Name"),
    ],
)
def test_what_is_no_text_of_a_lesson_is_neither_its_title_nor_its_summary(text: str, title: str) -> None:
    draft = draft_from_text(text.encode(), "Name")
    assert draft is not None
    assert (draft["title"], draft["summary"]) == (title, "Prose of two lines.")
    assert draft["markdown"] == text
