"""`make drill DRILL=restore`: a damaged database is restored to a moment, while S3 has newer content.

It runs on a local stack: the real template, state machine, handlers and HTTP API, and PostgreSQL with fsync.
After a backup, half of the tasks run; then the product deletes all quizzes by mistake; then the other half
runs, and a user of the first half is erased. The query of the runbook's "The database is damaged" must find
the moment before the damage, and PostgreSQL's log is applied to the backup up to it: the quizzes must be
back. Then the commands of "The database is lost" are run as they stand there: the newer tasks must find their
content in S3, and the register of erasures the user. Then the bucket is emptied, and the commands of "The
bucket or its key is lost" must bring every text back.
"""

import argparse
import logging
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import text

from local_stack.postgres_server import PostgresServer
from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run
from roadmap_command.target import Target
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.content.bundle import read_bundle
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline
from tests.support.factories import bundle_of, concept_ids
from tests.support.http_api import Api
from tests.support.runbook import blocks_of, query_of, run
from tests.support.soak import Found

TASKS, CONCEPTS = 40, 10
ZEROS = (
    *("quizzes_not_restored", "incomplete", "to_generate_again", "tokens", "left_of_the_erased_user"),
    *("tasks_with_texts_in_a_lost_bucket", "tasks_without_texts"),
)
"""The counts that must be 0."""

EXECUTION = text("SELECT execution_arn FROM roadmap_tasks WHERE task_id = :task_id")

ERASED = "erased-user"
SECONDS = 1_800
"""Time limit, from the start of the stack to the result."""


def subject(number: int) -> dict[str, Any]:
    """The bundle of task `number`, with all of its content staged. The first is the erased user's."""
    roadmap_id = f"restore-{number}"
    ids = concept_ids(CONCEPTS, roadmap_id)
    bundle = bundle_of(ids, roadmap_id=roadmap_id, task_id=f"restore-t-{number}")
    if number == 0:
        bundle["roadmap"]["user_id"] = bundle["task"]["user_id"] = ERASED
    return bundle


class Restore:
    """A database that is restored, and S3 that is not."""

    def __init__(self, stack: LocalStack, deadline: Deadline, tasks: int) -> None:
        assert isinstance(stack.database, PostgresServer)
        self._database, self._deadline = stack.database, deadline
        self.target = Target.local(stack)
        self._stepfunctions = stack.client("stepfunctions")
        self._subjects = [subject(number) for number in range(tasks)]
        self.counts: dict[str, float] = {}

    def run(self) -> list[str]:
        """Back up, run one half, damage, run the other half, erase a user, restore, retry the other half."""
        database, client = self._database, self.target.client()
        cluster, backup = database.data_dir / "cluster", database.data_dir / "backup"
        half = len(self._subjects) // 2
        erased, known, newer = self._subjects[0], self._subjects[1:half], self._subjects[half:]
        for bundle in self._subjects:
            load_bundle(read_bundle(bundle), self.target.engine, self.target.bucket, self._deadline)
        self.target.engine.dispose()
        database.stop()
        _configure(cluster, wal_keep_size="4GB")  # the log since the backup
        _copy(cluster, backup)
        database.start_again()
        self._run([erased, *known])
        with self.target.engine.begin() as connection:
            quizzes = connection.execute(text("DELETE FROM quiz_metadata")).rowcount
        self._run(newer)
        assert client.erase(ERASED, product_rows=True).complete
        with self.target.engine.connect() as connection:
            damage = connection.execute(text(query_of("The database is damaged"))).first()
        assert damage is not None
        self.target.engine.dispose()
        database.kill()

        began = time.monotonic()
        log = database.data_dir / "log"
        _copy(cluster / "pg_wal", log)
        _copy(backup, cluster)
        _configure(
            cluster,
            restore_command=f"cp {log}/%f %p",
            # A row's time is the begin of its transaction, so the damage was committed after it.
            recovery_target_time=damage.began.isoformat(),
            recovery_target_action="promote",
        )
        _copy(cluster / "postgresql.auto.conf", cluster / "recovery.signal")  # its content is not read
        database.start_again()
        restored = time.monotonic()
        with self.target.engine.connect() as connection:
            back = connection.scalar(text("SELECT count(*) FROM quiz_metadata"))
        due = client.due_erasures().due
        previews = [client.preview_retry(bundle["task"]["task_id"]) for bundle in newer]
        self._follow("The database is lost")
        left = client.erase(ERASED, product_rows=True, dry_run=True).removed
        found = [client.status(bundle["task"]["task_id"]) for bundle in (*known, *newer)]
        self.counts = {
            "tasks": len(self._subjects),
            "newer_than_the_moment": len(newer),
            "quizzes_restored": back,
            "quizzes_not_restored": quizzes - back,
            "incomplete": sum(task.status != "completed" for task in found),
            "to_generate_again": sum(sum(preview.to_generate.values()) for preview in previews),
            "tokens": sum(task.tokens.used for task in found),
            "erasures_applied_again": len(due),
            "left_of_the_erased_user": sum([*left.rows.values(), *left.names.values()])
            + sum(count.objects for count in left.objects.values()),
            "restore_seconds": round(restored - began, 1),
            "recover_seconds": round(time.monotonic() - restored, 1),
        }
        kept = [*known, *newer]
        self._lose_the_bucket()
        self.counts["tasks_with_texts_in_a_lost_bucket"] = sum(map(self._has_texts, kept))
        self._follow("The bucket or its key is lost")
        self.counts["tasks_without_texts"] = len(kept) - sum(map(self._has_texts, kept))
        broken = [f"{self.counts[name]} {name}" for name in ZEROS if self.counts[name]]
        return broken if self.counts["erasures_applied_again"] == 1 else [*broken, "the user was not found"]

    def _follow(self, section: str) -> None:
        """Run the commands of a section of the runbook that need no AWS."""
        for line in chain.from_iterable(blocks_of(section)):
            if line.startswith("$ roadmap "):
                result = run(line.removeprefix("$ "))
                assert result.exit_code == 0, f"{line}\n{result.output}"

    def _lose_the_bucket(self) -> None:
        bucket = self.target.bucket
        while keys := bucket.keys("", ""):
            for key in keys:
                self.target.s3.delete_object(Bucket=bucket.name, Key=key)

    def _has_texts(self, bundle: dict[str, Any]) -> bool:
        """Whether every tutorial of a task can be read."""
        task_id, client = bundle["task"]["task_id"], self.target.client()
        try:
            for entry in bundle["content"]:
                client.content(task_id, None, entry["concept_id"], ContentType.TUTORIAL)
        except ApiRefusedError:
            return False
        return True

    def _run(self, bundles: Sequence[dict[str, Any]]) -> None:
        """Request an attempt of each task; wait until all executions are over."""
        for bundle in bundles:
            is_begun = partial(self._is_begun, bundle["task"])
            assert becomes_true(is_begun, self._deadline.remaining), bundle["task"]
        for bundle in bundles:
            with self.target.engine.connect() as connection:
                arn = connection.execute(EXECUTION, {"task_id": bundle["task"]["task_id"]}).scalar_one()
            follow_run(self._stepfunctions, arn, lambda: None)

    def _is_begun(self, task: dict[str, str]) -> bool:
        """Request an attempt; whether one has started, now or before."""
        return Api.of(self.target, task["user_id"]).retry(task["task_id"]).status in (202, 409)


def _copy(source: Path, destination: Path) -> None:
    """Copy a folder over another one, with its owner."""
    subprocess.run(["rm", "-rf", destination], check=True)
    subprocess.run(["cp", "-a", source, destination], check=True)


def _configure(cluster: Path, **settings: str) -> None:
    """Add settings to those of a stopped server."""
    with (cluster / "postgresql.auto.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def play(options: argparse.Namespace) -> Found:
    """Play the drill on a stack of its own."""
    if os.environ.get("DATABASE_URL"):
        raise SystemExit("this kills its database: unset DATABASE_URL")
    logging.disable()  # log records of the lost connections
    deadline = Deadline.after(SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-drill-") as directory,
        LocalStack.start(Path(directory), wait_scale=0.01, parameters={}) as stack,
    ):
        restore = Restore(stack, deadline, options.tasks or TASKS)
        with patch.object(Target, "named", lambda _: restore.target):
            broken = restore.run()
    return Found(restore.counts, broken)
