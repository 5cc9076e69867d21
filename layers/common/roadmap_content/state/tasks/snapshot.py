"""A task with its framework and its saved and missing items, read in one transaction."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.roadmaps.framework import Framework
from ...content.roadmaps.metadata import load_framework
from ...content.rows import saved_concepts
from ...contracts.items import ContentType, Item
from .task import Task


class TaskSnapshot(NamedTuple):
    """The data of a task in the tables at one point in time."""

    task: Task
    framework: Framework
    saved: Mapping[ContentType, frozenset[str]]
    """The concepts with a completed row, per content type."""

    missing: Sequence[Item]
    """The items without a completed row, in framework order."""


def read_snapshot(connection: Connection, task: Task) -> TaskSnapshot:
    """Read a task's saved and missing items.

    Raises:
        RoadmapNotFoundError: the task's roadmap does not exist, is deleted, or belongs to another user.
        InvalidFrameworkError: its framework cannot be read.
    """
    framework = load_framework(connection, task.roadmap_id, task.user_id)
    saved = saved_concepts(connection, task.roadmap_id or "")
    return TaskSnapshot(task, framework, saved, framework.missing(saved))
