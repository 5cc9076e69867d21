"""`make chaos SOAK=restore`: a backup of the database is restored while S3 has newer content.

Half of the tasks run before the backup, half after it. PostgreSQL's files are copied while it is stopped.
After the restore, each of the newer tasks is retried: it must find its content in S3.
"""

import argparse
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.stack_soak import StackSoak, Subject, soak
from tests.support.factories import bundle_of, concept_ids
from tests.support.soak import Found

TASKS, CONCEPTS = 40, 10
ZEROS = ("incomplete", "to_generate_again", "tokens")
"""The counts that must be 0."""


def subject(number: int) -> Subject:
    """Task `number`, with all of its content staged."""
    roadmap_id = f"restore-{number}"
    ids = concept_ids(CONCEPTS, roadmap_id)
    return Subject(bundle_of(ids, roadmap_id=roadmap_id, task_id=f"restore-t-{number}"))


class Restore(StackSoak):
    """A database that is restored, and S3 that is not."""

    def run(self) -> list[str]:
        """Run one half, back up, run the other half, restore, and retry the tasks that the backup lacks."""
        database = self._database
        cluster, backup = database.data_dir / "cluster", database.data_dir / "backup"
        half = len(self._subjects) // 2
        known, newer = self._subjects[:half], self._subjects[half:]
        for each in self._subjects:
            self._load(each)
        self._run(known)
        self._target.engine.dispose()
        database.stop()
        _copy(cluster, backup)
        database.start_again()
        self._run(newer)
        self._target.engine.dispose()
        database.kill()

        began = time.monotonic()
        _copy(backup, cluster)
        database.start_again()
        restored = time.monotonic()
        to_generate = sum(self._heal(each) for each in newer)
        recovered = time.monotonic()
        found = [self._target.client().status(each.task_id) for each in self._subjects]
        self.counts |= {
            "tasks": len(found),
            "newer_than_the_backup": len(newer),
            "incomplete": sum(task.status != "completed" for task in found),
            "to_generate_again": to_generate,
            "tokens": sum(task.tokens.used for task in found),
            "restore_seconds": round(restored - began, 1),
            "recover_seconds": round(recovered - restored, 1),
        }
        return [f"{self.counts[name]} {name}" for name in ZEROS if self.counts[name]]

    def _run(self, subjects: Sequence[Subject]) -> None:
        attempts = [self._begin(each) for each in subjects]
        for each, attempt in zip(subjects, attempts, strict=True):
            self._follow(each, attempt)

    def _heal(self, each: Subject) -> int:
        """Retry a task, and wait; return the number of items to generate."""
        preview = self._target.client().preview_retry(each.task_id)
        self._run([each])
        return sum(preview.to_generate.values())


def _copy(source: Path, destination: Path) -> None:
    """Copy a folder over another one, with its owner."""
    subprocess.run(["rm", "-rf", destination], check=True)
    subprocess.run(["cp", "-a", source, destination], check=True)


def play(options: argparse.Namespace) -> Found:
    subjects = [subject(number) for number in range(options.tasks or TASKS)]
    return soak(lambda stack, deadline: Restore(stack, deadline, subjects), {})
