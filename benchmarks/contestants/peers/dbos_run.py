"""DBOS Transact: a queue, a workflow per item (or per batch of 25), a generating step, a saving transaction.

As in its documentation: `make` is a step with a recorded result; the save is a transaction of a
datasource, recorded in the transaction itself. A child's workflow id is the item's, so that a second start of
the same item is the first one.
"""

import os
import threading
import time
from contextlib import suppress

import psycopg
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource
from sqlalchemy import text

from benchmarks.contestants.peers.work import SAVE, batches, die, job, save

JOB = job()
SIZE = 25 if JOB.form == "batch" else 1
GROUPS = [[item] for item in JOB.items] if SIZE == 1 else batches(JOB.items, SIZE)
STATEMENTS = {name: text(statement.replace("%(", ":").replace(")s", "")) for name, statement in SAVE.items()}
STOPPING = threading.Event()
URL = JOB.database_url.replace("postgresql://", "postgresql+psycopg://")

DBOS(config={"name": "peer", "system_database_url": JOB.database_url, "log_level": "CRITICAL"})
datasource = SQLAlchemyDatasource.create(URL)


@DBOS.step()
def make(number: int) -> list[str]:
    """Generate the items of a group; the result is recorded."""
    return [str(JOB.make(item)) for item in GROUPS[number]]


@datasource.transaction
def save_group(number: int) -> int:
    """Save the rows of a group; the step is recorded in the same transaction."""
    session = datasource.sql_session()
    by_text = {id(statement): STATEMENTS[name] for name, statement in SAVE.items()}
    save(lambda statement, row: session.execute(by_text[id(statement)], row).first(), GROUPS[number])
    return len(GROUPS[number])


@DBOS.workflow()
def produce(number: int) -> int:
    """Generate and save one group."""
    make(number)
    count: int = save_group(number)
    if JOB.saved(count):
        die()
    if JOB.stopped and not STOPPING.is_set():
        STOPPING.set()
        DBOS.cancel_workflow("run", cancel_children=True)
    return count


@DBOS.workflow()
def produce_all() -> dict[str, str]:
    """Enqueue every group, and collect the results."""
    handles = []
    for number in range(len(GROUPS)):
        with SetWorkflowID(f"group-{number}"):
            handles.append(DBOS.enqueue_workflow("items", produce, number))
    outcomes = {}
    for handle in handles:
        try:
            handle.get_result()
            outcomes[handle.workflow_id] = "SUCCESS"
        except Exception as error:  # noqa: BLE001 - the error of a child is its outcome
            outcomes[handle.workflow_id] = type(error).__name__
    return outcomes


DBOS.launch()
DBOS.register_queue("items", worker_concurrency=10, polling_interval_sec=0.1)
if JOB.phase == "prepare":  # the tables of DBOS exist now, before counting starts
    JOB.answer(status="ready", saved=[], operations=0)
    DBOS.destroy()
    os._exit(0)
if JOB.phase == "retry":
    for workflow in DBOS.list_workflows(status="ERROR"):
        if workflow.workflow_id.startswith("group-"):
            # Step 1 generated the items, and its result is kept: only the save runs again.
            handle = DBOS.rewind_workflow(workflow.workflow_id, start_step=2)
            with suppress(Exception):  # recorded in the status
                handle.get_result()
elif JOB.phase == "resume":
    DBOS.resume_workflows([workflow.workflow_id for workflow in DBOS.list_workflows(status="CANCELLED")])
    deadline = time.monotonic() + 60
    while DBOS.list_workflows(status=["PENDING", "ENQUEUED"]) and time.monotonic() < deadline:
        time.sleep(0.2)
elif JOB.phase == "restart":
    DBOS.retrieve_workflow("run").get_result()
else:
    with SetWorkflowID("run"):
        handle = DBOS.start_workflow(produce_all)
    with suppress(Exception):  # recorded in the status
        handle.get_result()
status = {workflow.workflow_id: workflow.status for workflow in DBOS.list_workflows()}
done = [group for number, group in enumerate(GROUPS) if status.get(f"group-{number}") == "SUCCESS"]
saved = [item.key for group in done for item in group]
steps = sum(len(DBOS.list_workflow_steps(workflow_id)) for workflow_id in status)
with psycopg.connect(JOB.database_url) as connection:
    checkpoints = connection.execute(
        "SELECT (SELECT coalesce(sum(pg_column_size(w.*)), 0) FROM dbos.workflow_status w) "
        "+ (SELECT coalesce(sum(pg_column_size(o.*)), 0) FROM dbos.operation_outputs o)"
    ).fetchone()
JOB.answer(
    status=status["run"], saved=saved, operations=len(status) + steps, bytes=int((checkpoints or [0])[0])
)
DBOS.destroy()
os._exit(0)
