"""The product's interferences: it changes rows that a step is about to read, on its own connection.

They occur before the step's first statement; for StartExecution, before the request is delivered.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

from sqlalchemy import text

from tests.faults.matrix.declaration import Fault, Step
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import injects
from tests.faults.matrix.scripts import AtFirstStatement
from tests.faults.matrix.start_faults import is_start
from tests.support.evidence import TABLES
from tests.support.http_proxy import Forward
from tests.support.http_server import Reply, Request

INTERFERENCES: Mapping[Fault, str] = {
    Fault.CANCELLED: "UPDATE roadmap_tasks SET status cancelled, with a message, once",
    Fault.DELETED: "roadmap_metadata.deleted_at is set; its user restores it when the run is over",
    Fault.RIVAL_ROWS: "the product saves a concept: a tutorial as version 1, resources and a quiz",
    Fault.RIVAL_STATUS: "UPDATE roadmap_tasks SET status partial_failure, and no concept failed, once",
}

_CANCEL = """
UPDATE roadmap_tasks SET status = 'cancelled', error_message = 'Cancelled by the user',
    completed_at = content_now(), updated_at = content_now() WHERE task_id = :task_id
"""

_FINISH = """
UPDATE roadmap_tasks SET status = 'partial_failure', failed_concepts = '{"count": 0, "concept_ids": []}',
    execution_summary = '{}', completed_at = content_now(), updated_at = content_now()
WHERE task_id = :task_id
"""

_OF_CONCEPT = "WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id"

_SAVE = (
    f"UPDATE tutorial_metadata SET is_latest = false {_OF_CONCEPT}",
    """
    INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
        content_status, content_version, is_latest, estimated_completion_time, generated_at)
    VALUES (:new_id, :concept_id, :roadmap_id, 'Theirs', 'Theirs', :url, 'completed', 1, true, 15,
        content_now())
    """,
    f"DELETE FROM resource_recommendation_metadata {_OF_CONCEPT}",
    """
    INSERT INTO resource_recommendation_metadata
        (id, concept_id, roadmap_id, resources, resources_count, search_queries_used, generated_at)
    VALUES (:new_id, :concept_id, :roadmap_id, '[]', 0, '[]', content_now())
    """,
    f"DELETE FROM quiz_metadata {_OF_CONCEPT}",
    """
    INSERT INTO quiz_metadata (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count,
        medium_count, hard_count, generated_at)
    VALUES (:new_id, :concept_id, :roadmap_id, '[]', 0, 0, 0, 0, content_now())
    """,
)


def _cancel(play: Play) -> None:
    play.execute(_CANCEL, task_id=play.task_id)


def _finish(play: Play) -> None:
    play.execute(_FINISH, task_id=play.task_id)


def _delete(play: Play) -> None:
    play.execute(
        "UPDATE roadmap_metadata SET deleted_at = content_now(), deleted_by = user_id WHERE roadmap_id = :id",
        id=play.roadmap_id,
    )


def _save_concept(play: Play) -> None:
    """Store the text first, as the product does; then all rows in one transaction."""
    concept_id = play.ids[3]
    url = f"{play.roadmap_id}/concepts/{concept_id}/v1.md"
    play.rig.target.bucket.put(url, b"# Theirs")
    play.log.rewritten.add(concept_id)
    play.log.removed_items |= {(concept_id, kind) for kind in TABLES}
    parameters = {
        "new_id": str(uuid4()),
        "concept_id": concept_id,
        "roadmap_id": play.roadmap_id,
        "url": url,
    }
    with play.rig.target.engine.begin() as connection:
        for statement in _SAVE:
            named = {name: value for name, value in parameters.items() if f":{name}" in statement}
            connection.execute(text(statement), named)


_ACTS = {
    Fault.CANCELLED: _cancel,
    Fault.DELETED: _delete,
    Fault.RIVAL_ROWS: _save_concept,
    Fault.RIVAL_STATUS: _finish,
}


@contextmanager
def _at_start(play: Play) -> Iterator[None]:
    """Interfere between the claim and the start of the execution."""
    struck = False

    def interfere(request: Request, forward: Forward) -> Reply | None:
        nonlocal struck
        if is_start(request) and not struck:
            struck = True
            _ACTS[play.cell.fault](play)
        return forward()

    play.line.executions.play(interfere)
    try:
        yield
    finally:
        play.line.executions.play()
    assert struck, "no execution was started"


def _interfere(play: Play) -> Iterator[None]:
    act = _ACTS[play.cell.fault]
    try:
        if play.cell.step is Step.START:
            with _at_start(play):
                yield
        else:
            with AtFirstStatement(play.line.database, lambda: act(play)):
                yield
    finally:
        if play.cell.fault is Fault.DELETED:
            play.execute(
                "UPDATE roadmap_metadata SET deleted_at = NULL, deleted_by = NULL WHERE roadmap_id = :id",
                id=play.roadmap_id,
            )


for _fault, _what in INTERFERENCES.items():
    injects(_fault, *Step, what=_what)(_interfere)
