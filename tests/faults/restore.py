"""The restore drill: `make restore-drill` restores a backup of the database while S3 has newer content.

Real: PostgreSQL, whose files are copied while it is stopped, the functions and the API. Emulated: AWS. The
last line of the output is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

from local_stack.postgres_server import PostgresServer
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_command.task_reading import read_task_detail, retry_task
from roadmap_content.bundle import read_bundle
from roadmap_content.runtime.deadline import Deadline
from tests.support.factories import bundle_of, concept_ids

CONCEPTS = 10


def drill(tasks: int) -> dict[str, Any]:
    """Run half of the tasks, back up, run the other half, restore, and retry the tasks that are not in the
    backup.
    """
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-restore-") as folder,
        LocalStack.start(Path(folder), wait_scale=0.01) as stack,
    ):
        database = stack.database
        if not isinstance(database, PostgresServer):
            sys.exit("unset DATABASE_URL: the drill copies the files of a server of its own")
        target = Target.local(stack)
        task_ids = [_load(target, number) for number in range(tasks)]
        known, newer = task_ids[: tasks // 2], task_ids[tasks // 2 :]
        _run(target, known)
        backup = database.data_dir / "backup"
        target.engine.dispose()
        database.stop()
        _copy(database.data_dir / "cluster", backup)
        database.start_again()
        _run(target, newer)
        target.engine.dispose()
        database.kill()

        began = time.monotonic()
        _copy(backup, database.data_dir / "cluster")
        database.start_again()
        restored = time.monotonic()
        to_generate = sum(_retry(target, task_id) for task_id in newer)
        recovered = time.monotonic()
        statuses = [read_task_detail(target, task_id) for task_id in task_ids]
        target.engine.dispose()
    return {
        "tasks": tasks,
        "newer_than_the_backup": len(newer),
        "incomplete": sum(task.status != "completed" for task in statuses),
        "to_generate_again": to_generate,
        "tokens": sum(task.tokens.used for task in statuses),
        "restore_seconds": round(restored - began, 1),
        "recover_seconds": round(recovered - restored, 1),
    }


def _load(target: Target, number: int) -> str:
    """A task with all of its content staged."""
    roadmap_id, task_id = f"restore-{number}", f"restore-t-{number}"
    bundle = bundle_of(concept_ids(CONCEPTS, roadmap_id), roadmap_id=roadmap_id, task_id=task_id)
    load_bundle(read_bundle(bundle), target.engine, target.bucket, Deadline.after(60))
    return task_id


def _run(target: Target, task_ids: list[str]) -> None:
    arns = [start_run(target.stepfunctions, target.state_machine_arn, task_id) for task_id in task_ids]
    for arn in arns:
        follow_run(target.stepfunctions, arn, lambda: None)


def _retry(target: Target, task_id: str) -> int:
    """Retry a task through the API, and wait; return the number of items to generate."""
    preview = retry_task(target, task_id, dry_run="true")
    answer = retry_task(target, task_id)
    if answer["execution_arn"] is None:
        sys.exit(f"{HTTPStatus.OK}: {answer['message']}")
    follow_run(target.stepfunctions, answer["execution_arn"], lambda: None)
    return sum(preview["to_generate"].values())


def _copy(source: Path, destination: Path) -> None:
    """Copy a folder over another one, with its owner."""
    subprocess.run(["rm", "-rf", destination], check=True)
    subprocess.run(["cp", "-a", source, destination], check=True)


def main() -> None:
    """Run the drill; exit with 1 if a task is not complete, or an item must be generated again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=40)
    result = drill(parser.parse_args().tasks)
    sys.stdout.write(json.dumps(result) + "\n")
    sys.exit(1 if result["incomplete"] or result["to_generate_again"] or result["tokens"] else 0)


if __name__ == "__main__":
    main()
