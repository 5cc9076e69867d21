"""Cache of a roadmap's concept ids, keyed by row version.

Pages poll a task's status while they wait for content. Reading and parsing `framework_data` would take most
of the time of such a request, but it changes only by a run or by the product.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from .metadata import load_framework_if_changed

MAX_CONCEPTS = 100_000
"""Maximum cached concept ids of all roadmaps together. Bounds the memory of a long-lived environment."""


class FrameworkCache:
    """The concept ids per roadmap that an execution environment has read. Evicts the least recently used."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, Sequence[str]]] = {}
        """`(row version, concept ids)` by roadmap, least recently used first."""

    def concept_ids(self, connection: Connection, roadmap_id: str | None, user_id: str) -> Sequence[str]:
        """The concepts of a user's roadmap, in framework order.

        Raises:
            RoadmapNotFoundError, InvalidFrameworkError: as `load_framework` does.
        """
        cached_version, concept_ids = self._entries.pop(roadmap_id or "", ("", ()))
        version, framework = load_framework_if_changed(connection, roadmap_id, user_id, cached_version)
        if framework is not None:
            concept_ids = tuple(framework.nodes)
        self._entries[roadmap_id or ""] = version, concept_ids
        while sum(len(cached) for _, cached in self._entries.values()) > MAX_CONCEPTS:
            del self._entries[next(iter(self._entries))]
        return concept_ids
