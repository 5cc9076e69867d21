"""Each saved item records how it came to be, in the transaction that saves it."""

from typing import Any

import pytest

from roadmap_command.commands.history import explanation
from roadmap_content.api.revisions import read_origin
from roadmap_content.content.generation.generator import GenerationRequest
from roadmap_content.content.generation.model import Answer, ModelGenerator
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.generation.prompting import PromptedModel
from roadmap_content.content.generation.quota import Usage
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.content.rows import count_origins
from roadmap_content.contracts.api.items import ItemDetail
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.keys import fingerprint
from tests.support.factories import LATER_KINDS, bundle_of, concept_ids
from tests.support.pipeline import SETTINGS, Pipeline
from tests.support.requests_to_api import Ask

IDS = concept_ids(2)
STAGED, GENERATED = IDS


class Model(PromptedModel):
    """A model that answers with the drafts of the offline generator, or with something else."""

    model_id = "example.model-1"
    socket_timeout = 1.0
    max_output = 1000

    def __init__(self, *bad: str) -> None:
        self.bad = bad

    def ask(self, prompt: Any, _rejected: Any) -> Answer:
        """Answer with a draft of the type that the tool names."""
        content_type = ContentType(prompt.tool.removeprefix("hand_in_"))
        origin = {"model_id": self.model_id, "prompt_version": prompt.version}
        if content_type in self.bad:
            return Answer(Usage(70, 3), {"nothing": "useful"}, **origin)
        draft = OfflineGenerator().generate(GenerationRequest(Concept("c", "Retries"), content_type))
        return Answer(Usage(100, 50), draft, **origin)


def use_model(pipeline: Pipeline, model: Model) -> None:
    pipeline.services.settings = Settings(
        SETTINGS
        | {
            "GENERATOR": "bedrock",
            "MODEL_ID": model.model_id,
            "MODEL_OUTPUT_BURNDOWN": "1",
            "TASK_TOKEN_BUDGET": "1000000",
        }
    )
    pipeline.services.generator = ModelGenerator(model)


def loaded(pipeline: Pipeline) -> Pipeline:
    bundle = bundle_of(IDS)
    bundle["content"] = [entry for entry in bundle["content"] if entry["concept_id"] == STAGED]
    pipeline.load(bundle)
    return pipeline


def origins(pipeline: Pipeline) -> dict[tuple[str, str], dict[str, Any]]:
    rows = pipeline.rows("SELECT * FROM content_origins WHERE refused_code IS NULL")
    found = {(row["concept_id"], row["content_type"]): row for row in rows}
    assert len(found) == len(rows)
    return found


def test_each_saved_item_has_one_origin(pipeline: Pipeline) -> None:
    use_model(loaded(pipeline), Model())
    staged = {kind: pipeline.staging().read(Item(STAGED, kind)) for kind in ContentType}
    pipeline.run()

    found = origins(pipeline)
    assert found.keys() == {(concept_id, kind) for concept_id in IDS for kind in ContentType}
    for kind in ContentType:
        origin = found[STAGED, kind]
        assert (origin["generator"], origin["model_id"], origin["tokens_in"]) == ("product", None, None)
        body = staged[kind]
        assert body is not None
        assert origin["content_fingerprint"] == fingerprint(body)
        origin = found[GENERATED, kind]
        assert (origin["generator"], origin["model_id"]) == ("bedrock", "example.model-1")
        assert (origin["tokens_in"], origin["tokens_out"]) == (100, 50)
        assert origin["prompt_version"].startswith(f"en/{kind}@")
        assert (origin["task_id"], origin["attempt"]) == ("t-1", 1)
        with pipeline.engine.connect() as connection:
            read = read_origin(connection, "r-1", Item(GENERATED, kind), origin["content_id"])
        assert read is not None
        assert read.actor == "console", "that of the attempt"


def test_saving_again_records_no_second_origin(pipeline: Pipeline) -> None:
    loaded(pipeline)
    planned = pipeline.plan()
    for batch in pipeline.requests(planned) * 2:
        pipeline.save(batch)
    assert {concept_id for concept_id, _ in origins(pipeline)} == {STAGED}


def test_a_kept_draft_keeps_its_origin_under_a_new_id(pipeline: Pipeline) -> None:
    use_model(loaded(pipeline), Model())
    pipeline.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'later'; END $$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON quiz_metadata FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    pipeline.run()
    assert (GENERATED, "quiz") not in origins(pipeline)
    pipeline.execute("DROP TRIGGER refuse ON quiz_metadata")
    pipeline.run()
    origin = origins(pipeline)[GENERATED, "quiz"]
    assert (origin["model_id"], origin["attempt"]) == ("example.model-1", 2)


def test_an_item_shows_its_origin_or_says_that_it_has_none(pipeline: Pipeline, ask: Ask) -> None:
    use_model(loaded(pipeline), Model())
    pipeline.run()
    quiz = {"concept_id": GENERATED}
    body = ask("GET", "/tasks/t-1/items/quiz", quiz).body
    origin = body["saved"]["origin"]
    assert (origin["generator"], origin["model_id"], origin["attempt"]) == ("bedrock", "example.model-1", 1)
    (line,) = (line for line in explanation(ItemDetail.model_validate(body)) if line.startswith("  origin: "))
    assert line.startswith("  origin: bedrock, example.model-1, en/quiz@")
    assert line.endswith(", 100 + 50 tokens, attempt 1 of t-1, console")

    pipeline.execute("DELETE FROM content_origins")  # as of rows that an earlier release saved
    body = ask("GET", "/tasks/t-1/items/quiz", quiz).body
    assert body["saved"]["origin"] is None
    assert "  origin: not recorded" in list(explanation(ItemDetail.model_validate(body)))


def counted(pipeline: Pipeline) -> dict[tuple[str | None, str], tuple[int, int]]:
    with pipeline.engine.connect() as connection:
        return {
            (row.generator, row.content_type): (row.saved, row.refused) for row in count_origins(connection)
        }


def test_current_items_and_refusals_are_counted_per_model_and_prompt(pipeline: Pipeline) -> None:
    use_model(loaded(pipeline), Model("quiz"))
    pipeline.stage(Item(STAGED, ContentType.RESOURCES), b"{")
    pipeline.execute(
        "INSERT INTO resource_recommendation_metadata (id, concept_id, roadmap_id, resources)"
        f" VALUES ('before', '{GENERATED}', 'r-1', '[]')"
    )
    pipeline.run()
    assert counted(pipeline) == {
        ("product", "tutorial"): (1, 0),
        ("product", "resources"): (0, 1),
        ("product", "quiz"): (1, 0),
        ("bedrock", "tutorial"): (1, 0),
        ("bedrock", "quiz"): (0, 1),
        (None, "resources"): (1, 0),
    } | {(by, str(kind.content_type)): (1, 0) for by in ("product", "bedrock") for kind in LATER_KINDS}
    use_model(pipeline, Model())
    pipeline.run()
    assert counted(pipeline)["bedrock", "quiz"] == (1, 1)
    assert counted(pipeline)["bedrock", "resources"] == (1, 0)


def test_a_refusal_is_counted_although_another_run_has_saved_the_item(pipeline: Pipeline) -> None:
    loaded(pipeline)
    pipeline.stage(Item(STAGED, ContentType.RESOURCES), b"{")
    (request,) = pipeline.requests(pipeline.plan())
    pipeline.execute(
        "INSERT INTO resource_recommendation_metadata (id, concept_id, roadmap_id, resources)"
        f" VALUES ('of another run', '{STAGED}', 'r-1', '[]')"
    )
    pipeline.save(request)
    assert counted(pipeline)["product", "resources"] == (0, 1)


@pytest.mark.parametrize("metadata", ["[]", '{"generator": "\\u0000"}', '{"tokens_in": "many"}', "{"])
def test_metadata_of_another_writer_is_the_product_s(pipeline: Pipeline, metadata: str) -> None:
    loaded(pipeline)
    item = Item(STAGED, ContentType.QUIZ)
    body = pipeline.staging().read(item)
    assert body is not None
    pipeline.bucket.put(f"staged/items/r-1/quiz/{STAGED}.json", body, {"origin": metadata})
    pipeline.run()
    assert origins(pipeline)[item]["generator"] == "product"
