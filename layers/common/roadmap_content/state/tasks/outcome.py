"""The outcome of a task: its status, and its missing items with their failures. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...contracts.errors import InvalidFrameworkError
from ...contracts.items import MAX_REASON, ContentType, Failure, Item, count_by_type

COMPLETED, PARTIAL_FAILURE, FAILED = "completed", "partial_failure", "failed"
CANCELLED, SUPERSEDED = "cancelled", "superseded"
OUTCOMES = (COMPLETED, PARTIAL_FAILURE, FAILED, CANCELLED, SUPERSEDED)
"""Of an attempt. A task has the first four as its status."""


@dataclass(frozen=True)
class Outcome:
    """The status of a task, and its missing items with reasons."""

    status: str
    total: Mapping[ContentType, int]
    """The number of all items; empty if the framework cannot be read."""

    missing: Mapping[ContentType, int]
    failures: Sequence[Failure]
    """The failures of missing items, in framework order. A missing item without one was not started."""

    fault: str | None = None
    """The concepts of the framework that have no usable id, and so no items. Such a task is not completed."""

    @property
    def failed_concepts(self) -> dict[str, Any] | None:
        """The task's `failed_concepts`: each concept once, the items with reasons; `None` if complete."""
        if not self.failures:
            return None
        concept_ids = list(dict.fromkeys(failure.item.concept_id for failure in self.failures))
        return {
            "count": len(concept_ids),
            "concept_ids": concept_ids,
            "items": [failure.item._asdict() | failure.why for failure in self.failures],
        }

    @property
    def error_message(self) -> str | None:
        """The task's `error_message`: missing items and skipped concepts in one line; `None` if complete."""
        missing = sum(self.missing.values())
        parts = [f"{missing} of {sum(self.total.values())} items are missing"] if missing else []
        if self.fault is not None:
            parts.append(f"{InvalidFrameworkError.code}: {self.fault}"[:MAX_REASON])
        return "; ".join(parts) or None

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The counts per content type, for `execution_summary`; empty if they are unknown. The other items
        were not started.
        """
        failed = count_by_type(failure.item for failure in self.failures)
        return {
            content_type: {
                "total": self.total[content_type],
                "completed": self.total[content_type] - self.missing[content_type],
                "failed": failed[content_type],
            }
            for content_type in self.total
        }

    def execution_summary(
        self, attempt: int, duration_seconds: float, generated: Mapping[ContentType, int]
    ) -> dict[str, Any]:
        """The task's `execution_summary`. `generated` counts the items that the attempt generated."""
        return self.counts | {
            "attempt": attempt,
            "duration_seconds": round(duration_seconds, 3),
            "generated": dict(generated),
        }


def compute_outcome(
    concepts: int, missing: Sequence[Item], failures: Mapping[Item, Failure], fault: str | None = None
) -> Outcome:
    """Compute the outcome of a framework with this number of concepts, each with an item of each content
    type. `fault` names further concepts, which have no usable id, and so no items.
    """
    total = dict.fromkeys(ContentType, concepts)
    if not missing:
        status = COMPLETED if fault is None else PARTIAL_FAILURE
    elif len(missing) < sum(total.values()):
        status = PARTIAL_FAILURE
    else:
        status = FAILED
    known = [failures[item] for item in missing if item in failures]
    return Outcome(status, total, count_by_type(missing), known, fault)


def unknown_outcome() -> Outcome:
    """The outcome of a task without a readable framework: its counts are absent, not 0."""
    return Outcome(FAILED, {}, {}, [])
