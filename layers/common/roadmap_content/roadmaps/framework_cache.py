"""The concepts of a roadmap, for who asks again and again: read anew only when its row has changed.

A page that waits for content polls the task's status. To fetch and parse the framework was most of that
answer, and it is another one only after a run, or after a change of the product's own.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from .metadata import load_framework_unless_known

MOST_CONCEPTS = 100_000
"""That are remembered, of all roadmaps together: an environment that lives long is asked for ever more."""


class FrameworkCache:
    """What an execution environment remembers of frameworks: the ids of their concepts."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, Sequence[str]]] = {}
        """`(version of the row, concept ids)` by roadmap, the one that was asked for last at the end."""

    def concept_ids(self, connection: Connection, roadmap_id: str | None, user_id: str) -> Sequence[str]:
        """The concepts of a user's roadmap, in framework order.

        Raises:
            RoadmapNotFoundError, InvalidFrameworkError: as `load_framework` does.
        """
        known, concept_ids = self._known.pop(roadmap_id or "", ("", ()))
        version, framework = load_framework_unless_known(connection, roadmap_id, user_id, known)
        if framework is not None:
            concept_ids = tuple(framework.nodes)
        self._known[roadmap_id or ""] = version, concept_ids
        while sum(len(remembered) for _, remembered in self._known.values()) > MOST_CONCEPTS:
            del self._known[next(iter(self._known))]
        return concept_ids
