"""The offline generator, watched: it notes its items, and fails or lets something happen on request."""

from collections.abc import Callable

from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import Item


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
