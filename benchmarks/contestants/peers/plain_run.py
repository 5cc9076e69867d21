"""The plain Step Functions pattern, and the design that ours replaces.

`iteration`: a Map with one concept an iteration and three branches, each of which makes and saves one item
and catches its error. Step Functions is emulated: what it keeps (which branches are over) is a file, a
function that dies is invoked again, and a caught error is over for good, so that a retry is a new execution
with the same input. `replaced`: one process makes everything and saves three concepts a transaction; an
error ends it.
"""

import json
import time

import psycopg

from benchmarks.contestants.peers.work import Item, Job, die, job, save_and_commit


def one_concept_an_iteration(job: Job) -> None:
    """Run the branches that are not over; see the module."""
    kept = job.folder / "history.json"
    over: dict[str, str] = json.loads(kept.read_text()) if job.phase == "restart" else {}
    for item in job.items:
        if item.key in over:
            continue
        over[item.key] = _branch(job, item)
        kept.write_text(json.dumps(over))
    concepts = len({item.key.partition("/")[2] for item in job.items})
    # Parallel, three Tasks and their end for each concept; the Map and three states around it.
    transitions = 4 * concepts + 6
    saved = [key for key, outcome in over.items() if outcome == "saved"]
    job.answer(status="SUCCEEDED", saved=saved, operations=transitions)


def _branch(job: Job, item: Item) -> str:
    job.make(item)
    for pause in (1, 2, 4, None):  # a Retry with the defaults of Step Functions
        try:
            save_and_commit(job.database_url, [item])
        except psycopg.OperationalError:
            if pause is None:
                return "failed"
            time.sleep(pause)
            continue
        except Exception:  # noqa: BLE001 - States.ALL
            return "failed"
        if job.saved():
            die()
        return "saved"
    raise AssertionError("the last try returns")


def replaced(job: Job) -> None:
    """Make everything, then save three concepts a transaction; an error ends the task as failed."""
    if job.phase != "run":  # the retry trusts `framework_data`, which an error leaves as it was
        job.answer(status="nothing to retry", saved=[], operations=0)
        return
    for item in job.items:
        job.make(item)
    saved: list[str] = []
    for start in range(0, len(job.items), 9):
        group = job.items[start : start + 9]
        try:
            save_and_commit(job.database_url, group)
        except Exception:  # noqa: BLE001 - as it was
            job.answer(status="failed", saved=[], operations=0)
            return
        saved += [item.key for item in group]
        if job.saved(len(group)):
            die()
    job.answer(status="completed", saved=saved, operations=0)


JOB = job()
{"iteration": one_concept_an_iteration, "replaced": replaced}[JOB.form](JOB)
