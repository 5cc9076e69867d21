"""The hooks of erasure. Steps that claim import its fence; only the sweep and the API need the rest."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ...platform.runtime.deadline import Deadline
from ...state.services import Capability, Scan, Services
from ...state.tasks.task import Task
from .fence import FENCE


def _remove_records(services: Services, after: str, deadline: Deadline) -> str:
    from .sweep import remove_records

    return remove_records(services, after, deadline)


def _remove_texts(services: Services, after: str, deadline: Deadline) -> str:
    from .sweep import remove_texts

    return remove_texts(services, after, deadline)


def _count(connection: Connection) -> Mapping[str, Any]:
    from .register import count_unfinished

    return {"erasures_unfinished": count_unfinished(connection)}


def _describe(connection: Connection, task: Task) -> Mapping[str, Any]:
    from .register import read_receipt

    return {"erased": read_receipt(connection, task)}


ERASURE = Capability(
    fence=FENCE,
    scans=(
        Scan("records of deleted tasks", 10, _remove_records),
        Scan("texts that no row names", 10, _remove_texts),
    ),
    count=_count,
    describe=_describe,
)
