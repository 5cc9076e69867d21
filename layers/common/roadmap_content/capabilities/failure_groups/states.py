"""Failure groups and their states: the table `content_group_changes`, an audit trail, its latest row applies.

The state of a group follows from its latest change and from its sums, so that no process has to write it:
an acknowledged group is resolved when its last failure is gone, and one that comes back after that has
regressed. Only new and regressed groups call a person.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, text

from ...contracts.errors import MissingResourceError
from ...contracts.states import GroupState
from ...contracts.times import in_utc
from ...state.failures.groups import Remains
from ...state.services import Following, HealthPart, Services
from .turns import needs_person

if TYPE_CHECKING:  # each end of a run asks for a person, without the models of the API
    from .request import GroupStateRequest


class FailureGroupNotFoundError(MissingResourceError, code="FailureGroupNotFound"):
    """No failure has ever been in this group."""


MOST_COUNTED = 1_000
"""Groups are counted up to this limit."""

# Finds the groups, each with its latest change and the state that follows. `first_seen` is the beginning of
# the group's present failures: it is later than a change only if all failures of the time of the change are
# gone. A group that a person calls resolved may still have failures; only a later one is a regression. An
# ignored group whose limit is reached is new again. A group without a change is new.
WITH_STATE = """
SELECT s.*, c.actor, c.note, c.changed_at, c.until, c.until_tasks, CASE c.state
    WHEN 'acknowledged' THEN CASE WHEN s.items = 0 THEN 'resolved'
        WHEN s.first_seen > c.changed_at THEN 'regressed' ELSE 'acknowledged' END
    WHEN 'resolved' THEN CASE WHEN s.items > 0 AND s.last_seen > c.changed_at THEN 'regressed'
        ELSE 'resolved' END
    WHEN 'ignored' THEN CASE WHEN c.until <= now() OR s.tasks >= c.until_tasks THEN 'new'
        ELSE 'ignored' END
    ELSE 'new' END AS state
FROM content_failure_groups s LEFT JOIN LATERAL (
    SELECT actor, note, changed_at, until, until_tasks, state FROM content_group_changes
    WHERE group_id = s.group_id ORDER BY change_id DESC LIMIT 1) c ON true
"""

# Counts the groups with failures by state, and those in a ringing state with a task that needs a person.
_COUNT = f"""
SELECT g.state, count(*) AS groups,
    count(*) FILTER (WHERE g.state IN ('new', 'regressed') AND {{needs_person}}) AS ringing
FROM ({WITH_STATE} WHERE s.items > 0 LIMIT :limit) g GROUP BY g.state
"""

# Counts those of some groups that are new or have regressed: that no person knows.
RINGING = text(f"""
SELECT count(*) FROM ({WITH_STATE}) g
WHERE group_id IN (SELECT json_array_elements_text(CAST(:group_ids AS json)))
    AND state IN ('new', 'regressed')
""")

# Records a change of a group's state, if the group exists.
CHANGE = text("""
INSERT INTO content_group_changes (group_id, actor, state, note, until, until_tasks)
SELECT group_id, :actor, :state, :note, :until, :until_tasks
FROM content_failure_groups WHERE group_id = :group_id
""")

# Finds the latest changes of a group.
CHANGES = text("""
SELECT changed_at AS at, actor, state, note, until, until_tasks FROM content_group_changes
WHERE group_id = :group_id ORDER BY change_id DESC LIMIT :limit
""")


def change_group(connection: Connection, group_id: str, actor: str, request: "GroupStateRequest") -> None:
    """Change the state of a group. Raises FailureGroupNotFoundError: there is no such group."""
    until = request.until and in_utc(request.until)
    change = {"group_id": group_id, "actor": actor, **request.model_dump(), "until": until}
    if connection.execute(CHANGE, change).rowcount == 0:
        raise FailureGroupNotFoundError(f"there is no failure group {group_id!r}")


def group_changes(connection: Connection, group_id: str, limit: int) -> Sequence[Any]:
    """The latest changes of a group, newest first."""
    return connection.execute(CHANGES, {"group_id": group_id, "limit": limit}).all()


def are_known(_services: Services, connection: Connection, remains: Remains) -> Following:
    """Whether people know all failure groups of an attempt's missing items: none is new or has regressed."""
    if not remains.groups:
        return Following()
    group_ids = json.dumps([group.key.group_id for group in remains.groups])
    return Following(is_known=not connection.scalar(RINGING, {"group_ids": group_ids}))


def count_groups(connection: Connection, waiting: str) -> HealthPart:
    """Count the groups with current failures by state, for `Health`. A group in a ringing state calls nobody
    unless one of its tasks needs a person.
    """
    statement = text(_COUNT.format(needs_person=needs_person(waiting)))
    counted = connection.execute(statement, {"limit": MOST_COUNTED}).all()
    groups = dict.fromkeys(GroupState, 0) | {GroupState(row.state): row.groups for row in counted}
    ringing = sum(row.ringing for row in counted)
    return HealthPart(
        {"failure_groups": groups, "failure_groups_ringing": ringing}, ("failure_groups", ringing)
    )
