"""A text at its documented key without a row has been paid for: it is adopted, not generated again."""

import pytest

from roadmap_content.content.generation.generator import Generator
from roadmap_content.content.tutorial import draft_from_text
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import staged_key
from tests.product.product import Product
from tests.product.running import heal
from tests.support.pipeline import Pipeline

TEXT = """# Control planes

```sh
kubectl get nodes
```

- a list

The control plane decides.
It runs the scheduler.

More.
"""


class Counted:
    """A generator that records the requested items."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self.asked: list[tuple[str, str]] = []

    def generate(self, concept: object, content_type: object, *others: object) -> object:
        self.asked.append((concept.concept_id, str(content_type)))  # type: ignore[attr-defined]
        return self._generator.generate(concept, content_type, *others)  # type: ignore[arg-type]


@pytest.fixture
def form() -> str:
    """One variant of the schema is enough here."""
    return "create_all"


def test_a_text_without_a_row_is_adopted(pipeline: Pipeline, adopted: Product) -> None:
    concepts = ["r-1:c-1", "r-1:c-2", "r-1:c-3"]
    adopted.roadmap("r-1", concepts)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    pipeline.bucket.put("r-1/concepts/r-1:c-1/v1.md", TEXT.encode())
    pipeline.bucket.put("r-1/concepts/r-1:c-2/v1.md", b"\xff is no text")
    counted = Counted(pipeline.services.generator)
    pipeline.services.generator = counted  # type: ignore[assignment]

    heal(pipeline.services)

    assert ("r-1:c-1", "tutorial") not in counted.asked
    assert {("r-1:c-2", "tutorial"), ("r-1:c-3", "tutorial")} <= set(counted.asked)
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
    adopted.roadmap("r-1", ["r-1:c-1"])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    pipeline.bucket.put("r-1/concepts/r-1:c-1/v1.md", TEXT.encode())
    adopted.execute("ALTER TABLE tutorial_metadata ADD CHECK (title <> 'Control planes')")
    counted = Counted(pipeline.services.generator)
    pipeline.services.generator = counted  # type: ignore[assignment]
    heal(pipeline.services)
    assert ("r-1:c-1", "tutorial") not in counted.asked
    assert adopted.rows("SELECT 1 FROM tutorial_metadata") == []
    pipeline.bucket.delete(staged_key("r-1", Item("r-1:c-1", ContentType.TUTORIAL)))

    heal(pipeline.services)

    assert ("r-1:c-1", "tutorial") in counted.asked
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
