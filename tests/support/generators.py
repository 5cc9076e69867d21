"""The offline generator, watched: it notes its items, and fails or lets something happen on request. And as
a function of the team.
"""

import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from roadmap_content.content.generation.function import FunctionModel
from roadmap_content.content.generation.generator import Allowance, GenerationRequest, Generator
from roadmap_content.content.generation.model import ModelGenerator
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.roadmaps.framework import concept_from
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.aws.team_function import TeamFunction

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


OF_A_MODEL = {"MODEL_OUTPUT_BURNDOWN": "1", "TASK_TOKEN_BUDGET": "1000000"}
"""The settings of a generator that asks a model or a function."""


class _OfflineFunction:
    """Lambda's client for one function, which answers with the offline generator's content."""

    def __init__(self, called: Callable[[dict[str, Any]], object]) -> None:
        self._called = called

    def invoke(self, **asked: Any) -> dict[str, Any]:
        event = json.loads(asked["Payload"])
        request = GenerationRequest(concept_from(event["concept"]), ContentType(event["content_type"]))
        self._called(event)
        answer = {
            "content": OfflineGenerator().generate(request),
            "usage": {"tokens_in": 900, "tokens_out": 400, "model_id": "any", "prompt_version": "ours@7"},
        }
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


def offline_function(called: Callable[[dict[str, Any]], object]) -> Generator:
    """The generator `function`, with a function in this process. `called` gets each event."""
    client = cast("LambdaClient", _OfflineFunction(called))
    return ModelGenerator(FunctionModel(TeamFunction(client, "writer", 2), 10_000))


class FakeModel(OfflineGenerator):
    """A generator that raises the error that a test sets; without one, it generates."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.fails: Callable[[Item], bool] = lambda _: True
        """Whether the error concerns an item."""

        self.asked: list[Item] = []
        self.made: list[Item] = []

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        item = Item(request.concept.concept_id, request.content_type)
        self.asked.append(item)
        if self.error is not None and self.fails(item):
            raise self.error
        self.made.append(item)
        return super().generate(request, allowance)


class Meanwhile(FakeModel):
    """Something happens before the item with a number."""

    def __init__(self, number: int, happens: Callable[[], object]) -> None:
        super().__init__()
        self._number, self._happens = number, happens

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        if len(self.asked) + 1 == self._number:
            self._happens()
        return super().generate(request, allowance)
