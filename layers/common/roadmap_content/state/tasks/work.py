"""The class and the state of an attempt in the queue, and the size of its work. No I/O."""

from enum import StrEnum
from math import ceil
from typing import NamedTuple

from ...content.manifest import planned_batch_sizes

TOKENS_PER_ITEM = 2_500
"""The estimate of an item to generate. Only the relation between users matters; the end corrects it."""


class QueueState(StrEnum):
    """The state of a claimed attempt."""

    WAITING = "waiting"
    """It has no execution."""

    STARTING = "starting"
    """Admitted: its execution is started after the COMMIT, and by the sweep after a crash."""

    REDRIVING = "redriving"
    """As `STARTING`, for an execution that is redriven."""

    RUNNING = "running"
    """Its execution has planned it, or arrived by itself."""

    ENDED = "ended"
    """It has an outcome, or a later attempt has replaced it."""


AT_WORK = (QueueState.STARTING, QueueState.REDRIVING, QueueState.RUNNING)
"""The states that count against the capacity."""


class Work(NamedTuple):
    tokens: int
    """The estimated tokens of the items to generate."""

    grants: int
    """The number of batches that it generates at the same time."""


NOTHING = Work(0, 0)


def work_of(items: int, concepts: int, batch_size: int, max_concurrency: int) -> Work:
    """The work of an attempt that generates `items` of this number of concepts."""
    if not items:
        return NOTHING
    batches = ceil(concepts / planned_batch_sizes(concepts, 0, batch_size).generate)
    return Work(items * TOKENS_PER_ITEM, min(max_concurrency, batches))
