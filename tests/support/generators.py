"""The offline generator, watched: it notes its items, and fails or lets something happen on request."""

from collections.abc import Callable
from typing import Any

from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.content.kind import Draft
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.items import ContentType, Item


class FakeModel(OfflineGenerator):
    """A generator that raises the error that a test sets; without one, it generates."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.fails: Callable[[Item], bool] = lambda _: True
        """Whether the error concerns an item."""

        self.asked: list[Item] = []
        self.made: list[Item] = []

    def generate(self, concept: Concept, content_type: ContentType, *how: Any) -> Draft:
        item = Item(concept.concept_id, content_type)
        self.asked.append(item)
        if self.error is not None and self.fails(item):
            raise self.error
        self.made.append(item)
        return super().generate(concept, content_type, *how)


class Meanwhile(FakeModel):
    """Something happens before the item with a number."""

    def __init__(self, number: int, happens: Callable[[], object]) -> None:
        super().__init__()
        self._number, self._happens = number, happens

    def generate(self, *arguments: Any) -> Draft:
        if len(self.asked) + 1 == self._number:
            self._happens()
        return super().generate(*arguments)
