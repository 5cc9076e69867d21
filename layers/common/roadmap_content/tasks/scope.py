"""The scope of an attempt: the items that it plans. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..items import ContentType, Item
from ..roadmaps.framework import Framework


class Scope(NamedTuple):
    """A part of a task's items. `None` does not limit."""

    concept_id: str | None = None
    content_type: ContentType | None = None
    regenerate: bool = False
    """Whether saved items are replaced as well."""

    def includes(self, item: Item) -> bool:
        """Whether an item is in the part."""
        return self.concept_id in (None, item.concept_id) and self.content_type in (None, item.content_type)

    def select(self, framework: Framework, missing: Sequence[Item]) -> list[Item]:
        """The items to plan, in framework order."""
        if self == WHOLE_TASK:
            return list(missing)
        candidates = framework.items() if self.regenerate else missing
        return [item for item in candidates if self.includes(item)]

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON form; `None` for the whole task."""
        return None if self == WHOLE_TASK else self._asdict()


WHOLE_TASK = Scope()
"""All missing items."""


def scope_from(document: Mapping[str, Any] | None) -> Scope:
    """The scope with this JSON form."""
    if document is None:
        return WHOLE_TASK
    content_type = document["content_type"]
    return Scope(
        document["concept_id"],
        None if content_type is None else ContentType(content_type),
        document["regenerate"],
    )
