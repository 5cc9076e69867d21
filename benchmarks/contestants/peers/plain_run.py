"""The plain Step Functions pattern.

A Map with one concept per iteration and three branches; each generates and saves one item and catches its
error. Step Functions is emulated: its state (the finished branches) is a file, and a function that crashes is
invoked again. A caught error is final, so a retry is a new execution with the same input. An execution that
failed as a whole is redriven: its finished branches are not run again.
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from benchmarks.contestants.peers.work import Item, Job, die, job, save_and_commit


def one_concept_an_iteration(job: Job) -> None:
    """Run the unfinished branches; see the module."""
    kept = job.folder / "history.json"
    over: dict[str, str] = json.loads(kept.read_text()) if job.phase in ("restart", "resume") else {}
    passed = 0
    for item in job.items:
        if job.stopped:
            break
        if item.key in over:
            continue
        over[item.key] = _branch(job, item)
        passed += len(json.dumps(item.row))
        kept.write_text(json.dumps(over))
    concepts = len({item.key.partition("/")[2] for item in job.items})
    # Parallel, three Tasks and their end for each concept; the Map and three states around it.
    transitions = 4 * concepts + 6
    saved = [key for key, outcome in over.items() if outcome == "saved"]
    status = "FAILED" if job.stopped else "SUCCEEDED"
    # The generated item is the output of one Task and the input of the next.
    job.answer(status=status, saved=saved, operations=transitions, bytes=2 * passed)


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


def main() -> None:
    """Run the job; for a double click, both runs at once."""
    asked = job()
    if asked.phase == "double":
        with ThreadPoolExecutor() as pool:
            list(pool.map(one_concept_an_iteration, [asked, asked]))
    else:
        one_concept_an_iteration(asked)


main()
