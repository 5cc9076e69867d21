"""The rules of admission, as docs/capacity.md and architecture.md state them: slow, obvious, and without any
code of the product.
"""

from collections.abc import Sequence
from math import ceil
from typing import NamedTuple


class User(NamedTuple):
    """A user's attempts of one class."""

    queue_class: str
    queue_key: str
    virtual_time: float
    waits: bool
    grants: int | None
    """At work; `None` without an attempt at work."""

    is_recent: bool
    """Whether an attempt at work has entered recently."""


def expected_users(users: Sequence[User], slots: int) -> set[str | None]:
    """The users of which one is to be admitted next; of equal counters, each is right. `None` if
    nobody may be.
    """
    granted = sum(user.grants or 0 for user in users)

    def uses_the_queue(user: User) -> bool:
        return user.waits or (user.is_recent and user.grants is not None)

    def may_start(user: User) -> bool:
        if not user.waits or granted >= ceil(slots * 1.3):
            return False
        has_first_bulk = user.queue_class == "bulk" and any(
            other.queue_class == "bulk" and other.grants is not None for other in users
        )
        if granted >= slots and (user.grants is not None or has_first_bulk):
            return False
        if user.grants is None or 2 * user.grants < slots:
            return True
        return not any(uses_the_queue(other) for other in users if other.queue_key != user.queue_key)

    able = [user for user in users if may_start(user)]
    bulk = [user for user in able if user.queue_class == "bulk"]
    interactive = [user for user in able if user.queue_class == "interactive"]
    bulk_works = any(user.queue_class == "bulk" and user.grants is not None for user in users)
    of_class = bulk if bulk and not bulk_works else interactive or bulk
    if not of_class:
        return {None}
    least = min(user.virtual_time for user in of_class)
    return {user.queue_key.removeprefix("user:") for user in of_class if user.virtual_time == least}
