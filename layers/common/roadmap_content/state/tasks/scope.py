"""The scope of an attempt: the items that it plans. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...content.roadmaps.framework import Framework
from ...contracts.items import ContentType, Item

_ALWAYS = ("concept_id", "content_type", "regenerate")
"""The fields of a stored scope that may be null."""


class Scope(NamedTuple):
    """A part of a task's items. `None` does not limit."""

    concept_id: str | None = None
    content_type: ContentType | None = None
    regenerate: bool = False
    """Whether saved items are replaced as well."""

    revisions: Mapping[Item, str | None] | None = None
    """Only these items, each only while it has this revision, or none."""

    instruction: str | None = None
    """How saved items are to be changed: text from a person, which is content."""

    def includes(self, item: Item) -> bool:
        """Whether an item is in this part; its present revision is not compared."""
        if self.revisions is not None and item not in self.revisions:
            return False
        return self.concept_id in (None, item.concept_id) and self.content_type in (None, item.content_type)

    def unchanged(self, items: Sequence[Item], current: Mapping[Item, str]) -> list[Item]:
        """The items that have the revision of the scope, or are not saved. `current` has the revisions of the
        saved items.
        """
        if self.revisions is None:
            return list(items)
        return [item for item in items if current.get(item) in (None, self.revisions[item])]

    def select(self, framework: Framework, missing: Sequence[Item]) -> list[Item]:
        """The items to plan, in framework order."""
        candidates = framework.items() if self.regenerate else missing
        return [item for item in candidates if self.includes(item)]

    @property
    def document(self) -> dict[str, Any] | None:
        """The JSON form; `None` for the whole task."""
        if self == WHOLE_TASK:
            return None
        fields = self._asdict().items()
        document = {name: value for name, value in fields if name in _ALWAYS or value is not None}
        if self.revisions is not None:
            document["revisions"] = encode_revisions(self.revisions)
        return document


WHOLE_TASK = Scope()
"""All missing items."""

NO_ITEM = Scope(revisions={})
"""The scope of an attempt that was cancelled before its plan."""


def scope_from(document: Mapping[str, Any] | None) -> Scope:
    """The scope with this JSON form (`Scope.document`)."""
    if document is None:
        return WHOLE_TASK
    content_type = document["content_type"]
    frozen = document.get("revisions")
    revisions = None if frozen is None else decode_revisions(frozen)
    return Scope(
        document["concept_id"],
        None if content_type is None else ContentType(content_type),
        document["regenerate"],
        revisions,
        document.get("instruction"),
    )


def encode_revisions(revisions: Mapping[Item, str | None]) -> dict[str, dict[str, str | None]]:
    """The JSON form of revisions by item: concept ids and revisions by content type."""
    by_type: dict[str, dict[str, str | None]] = {}
    for item, revision in revisions.items():
        by_type.setdefault(item.content_type, {})[item.concept_id] = revision
    return by_type


def decode_revisions(document: Mapping[str, Mapping[str, str]]) -> dict[Item, str]:
    """The revisions by item with this JSON form."""
    return {
        Item(concept_id, ContentType(content_type)): revision
        for content_type, revisions in document.items()
        for concept_id, revision in revisions.items()
    }
