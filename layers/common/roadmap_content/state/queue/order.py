"""The order of admission: which user's next attempt gets slots. Pure decisions; `queue.py` reads the facts.

Bulk attempts come after interactive ones, but one bulk attempt is always at work. Within a class, the user
(or tenant) with the smallest virtual time is next; of that user, the oldest attempt.

The limit is the number of slots. Above it, up to the oversubscription, only a user without an attempt at work
is admitted, and the first bulk attempt. Otherwise one user's many attempts, or a recovery's, would use it up,
and each other user would wait for the end of a run. A user's grants are the batches that the user's attempts
at work may generate at once.

While others use the queue, a user's next attempt is admitted only while the user's grants are below half of
the slots: a large run holds its slots for long, and nothing is taken away from a run. Others use it while one
of them waits, or has entered recently.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from ...contracts.states import QueueClass

OVERSUBSCRIPTION = 1.3
"""Granted batches per slot, at most. A run does not always have all of them at work, because its last ones
end one by one. The reserved concurrency of Generate stays the hard limit.
"""


def granted_batches(slots: int) -> int:
    """The limit of the sum of the grants for users without an attempt at work. For others, it is `slots`."""
    return ceil(slots * OVERSUBSCRIPTION)


class Candidate(NamedTuple):
    """A waiting user, or tenant, of a class."""

    queue_class: str
    queue_key: str
    """The user or tenant."""

    virtual_time: float
    """The tokens that were charged to the user, from the value at its arrival."""

    grants: int | None
    """The user's grants at work in this class; `None` without an attempt at work."""


class Load(NamedTuple):
    """The facts for a decision."""

    slots: int
    grants: int
    """The sum of the grants at work."""

    has_bulk: bool
    """Whether a bulk attempt is at work."""

    first_recent: str | None
    last_recent: str | None
    """The smallest and the largest of the keys that entered the queue recently; `None`: none. They are the
    same if there is one.
    """

    candidates: Sequence[Candidate]
    """Of each class, those with an attempt at work, and the two with the smallest virtual times without."""


def next_candidate(load: Load) -> Candidate | None:
    """The user whose attempt is admitted next; `None` while nobody may be admitted."""
    if load.grants >= granted_batches(load.slots):
        return None
    permitted = sorted(
        (one for one in load.candidates if _is_permitted(one, load)),
        key=lambda one: (one.virtual_time, one.queue_key),
    )
    interactive = next((one for one in permitted if one.queue_class == QueueClass.INTERACTIVE), None)
    bulk = next((one for one in permitted if one.queue_class == QueueClass.BULK), None)
    if bulk is not None and not load.has_bulk:
        return bulk  # one is always at work
    if interactive is not None:
        return interactive
    return bulk if load.grants < load.slots else None  # only the first bulk attempt uses the oversubscription


def _is_permitted(candidate: Candidate, load: Load) -> bool:
    """Whether the user may have a further attempt at work, or a first one."""
    if candidate.grants is None:
        return True
    if load.grants >= load.slots:
        return False  # the oversubscription is for users without an attempt at work
    return 2 * candidate.grants < load.slots or not _others_use_the_queue(candidate.queue_key, load)


def _others_use_the_queue(queue_key: str, load: Load) -> bool:
    """Whether another user waits, or has entered recently. This user is among the candidates, too."""
    keys = {load.first_recent, load.last_recent} - {None} | {one.queue_key for one in load.candidates}
    return keys != {queue_key}
