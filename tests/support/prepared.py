"""A beginning of several tests: built by the first of them, and restored for the others."""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from tests.support.databases import restoring
from tests.support.pipeline import S3, Pipeline

_SECONDS = 60
"""Then it is built again, because rules compare the times of rows with the clock, in minutes."""


class _State(NamedTuple):
    made_at: float
    rows: str
    """The statements that restore the rows."""

    objects: Mapping[str, Any]
    task: tuple[str, str, int]


_made: dict[Hashable, _State] = {}

DENY_CLAIMS = """
CREATE FUNCTION denied() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'permission denied for table roadmap_tasks' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER denied BEFORE UPDATE ON roadmap_tasks FOR EACH ROW EXECUTE FUNCTION denied()
"""
"""A right is lost, until the trigger is dropped."""


def prepare(pipeline: Pipeline, build: Callable[..., object], *arguments: Hashable) -> None:
    """Give a pipeline without rows and objects those that `build(pipeline, *arguments)` leaves."""
    composed = tuple(map(id, pipeline.services.capabilities))
    key = build.__module__, build.__qualname__, arguments, composed
    engine = pipeline.engine.execution_options(isolation_level="AUTOCOMMIT")
    state = _made.get(key)
    if state is not None and time.monotonic() < state.made_at + _SECONDS:
        with engine.connect() as connection:
            connection.exec_driver_sql(state.rows)
        S3.restore(state.objects)
        pipeline.task_id, pipeline.roadmap_id, pipeline.runs = state.task
        return
    began = time.monotonic()
    build(pipeline, *arguments)
    with engine.connect() as connection:
        rows = restoring(connection, end_sessions=False)
    task = pipeline.task_id, pipeline.roadmap_id, pipeline.runs
    _made[key] = _State(began, rows, S3.saved(), task)
