"""A soak on a whole local stack: the real template, state machine, handlers, HTTP API and events, each
function in separate processes, and PostgreSQL with fsync.

The cloud is ministack instead of AWS. Its waits between retries are a hundredth of the configured ones.
"""

import http.client
import json
import logging
import os
import random
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import Connection, text

from local_stack.postgres_server import PostgresServer
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.target import Target
from roadmap_content.content.bundle import read_bundle
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from tests.support.evidence import Log
from tests.support.http_api import Answer, Api
from tests.support.oracle import Broken, Oracle, OracleOfOne
from tests.support.soak import Found, console

SECONDS = 1_800
"""Time limit of a soak, from the start of the stack to the result. A machine without other work needs a third
of it.
"""

_POLL_SECONDS = 0.4
_NEVER_STARTED_SECONDS = 5.0
"""Seconds after which an attempt without an execution counts as never started."""


class TooLateError(Exception):
    """The soak did not finish in time. The message contains the unfinished step."""


class PromiseBrokenError(Exception):
    """A check failed at the end of the soak. The message contains the failed checks."""


@dataclass
class Subject:
    """One task of the soak."""

    bundle: dict[str, Any]
    log: Log = field(default_factory=Log)

    @property
    def task_id(self) -> str:
        task_id: str = self.bundle["task"]["task_id"]
        return task_id

    @property
    def user_id(self) -> str:
        user_id: str = self.bundle["task"]["user_id"]
        return user_id


class Whole(OracleOfOne):
    """An oracle for one of many tasks. The bucket is listed once for all of them."""

    listed: dict[str, dict[str, str]]

    def objects(self) -> dict[str, str]:
        return self.listed.get(self._roadmap_id, {}) | self.listed.get(self._task_id, {})


class StackSoak:
    """Many tasks on one stack. A scenario defines `run`."""

    def __init__(
        self, stack: LocalStack, deadline: Deadline, subjects: Sequence[Subject], seed: int | None = None
    ) -> None:
        assert isinstance(stack.database, PostgresServer)
        self._stack, self._database, self._deadline = stack, stack.database, deadline
        self._stepfunctions = stack.client("stepfunctions")
        self._s3 = stack.client("s3")
        self._own = threading.local()
        self._targets: list[Target] = []
        self._subjects = subjects
        self._chance = random.Random(seed)  # noqa: S311 - to be repeated
        self.counts: dict[str, float] = defaultdict(int)
        self._oracles: dict[str, Oracle] = {}
        """By task id."""

        self._looking = threading.Lock()
        """The oracles have one connection, for which a thread waits 5 seconds at most."""

    def run(self) -> list[str]:
        """Play the scenario; return every failed check."""
        raise NotImplementedError

    def close(self) -> None:
        for target in self._targets:
            target.engine.dispose()

    # Tasks and their runs.

    def _load(self, each: Subject) -> None:
        load_bundle(read_bundle(each.bundle), self._target.engine, self._target.bucket, self._deadline)

    def _begin(self, each: Subject) -> int:
        """Send the user's first request until it is answered; return the attempt."""
        for _ in self._tries(f"the API to begin {each.task_id}"):
            answer = self._retry(each)
            if answer is not None and answer.status in (202, 409):
                return int(answer.body["attempt"])
        raise AssertionError("the tries end only by an exception")

    def _follow(self, each: Subject, attempt: int) -> str:
        """Wait until the execution of an attempt is over; its status, or `never started`."""

        def read(connection: Connection) -> str:
            found = "SELECT execution_arn FROM content_attempts WHERE task_id = :task AND attempt = :attempt"
            return connection.scalar(text(found), {"task": each.task_id, "attempt": attempt}) or ""

        arn = transact(self._target.engine, read, self._deadline)  # PostgreSQL may be away
        unknown_since: float | None = None
        missing = self._stepfunctions.exceptions.ExecutionDoesNotExist
        for _ in self._tries(f"the end of {arn}"):
            try:
                status: str = self._stepfunctions.describe_execution(executionArn=arn)["status"]
            except missing:
                unknown_since = unknown_since or time.monotonic()
                if time.monotonic() - unknown_since > _NEVER_STARTED_SECONDS:
                    return "never started"
                continue
            if status != "RUNNING":
                return status
        raise AssertionError("the tries end only by an exception")

    def _retry(self, each: Subject) -> Answer | None:
        """Request a retry; `None` if there was no response."""
        api: Api = Api.of(self._target, each.user_id)
        try:
            return api.retry(each.task_id)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):  # urllib's URLError is an OSError
            return None

    # Faults.

    def _workers(self) -> list[psutil.Process]:
        return [
            child
            for child in self._stack.cloud.process.children(recursive=True)
            if "awslambdaric" in " ".join(_command(child))
        ]

    def _kill(self, worker: psutil.Process) -> None:
        try:
            worker.kill()
        except psutil.NoSuchProcess:
            return
        self.counts["processes of functions killed"] += 1

    def _kill_database(self, when: str) -> None:
        self._database.kill()
        self._database.start_again()
        self.counts[f"PostgreSQL killed {when}"] += 1

    # The oracle.

    def _prepare_oracles(self) -> None:
        self._list_the_bucket()
        for each in self._subjects:
            self._oracles[each.task_id] = Whole(
                self._target.engine, self._s3, self._stack.bucket, each.bundle, each.log
            )

    def _list_the_bucket(self) -> None:
        listed: dict[str, dict[str, str]] = {}
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._stack.bucket)
        for entry in (entry for page in pages for entry in page.get("Contents", [])):
            parts = entry["Key"].split("/")
            owner = parts[1] if parts[0] in ("staged", "rejected", "manifests") else parts[0]
            listed.setdefault(owner, {})[entry["Key"]] = entry["ETag"]
        Whole.listed = listed

    def _held(
        self, pool: ThreadPoolExecutor, when: str, ask: Callable[[Oracle], Iterable[Broken]]
    ) -> list[str]:
        def hold(each: Subject) -> list[str]:
            oracle = self._oracles[each.task_id]
            with self._looking:
                attempt = oracle.look().task["attempt"]
                each.log.recorded.update(range(1, attempt + 1))  # the sweep has finalized all attempts
                return [f"{each.task_id} {when}: {broken}" for broken in ask(oracle)]

        futures = [pool.submit(hold, each) for each in self._subjects]
        self._watch(f"the oracle, {when}", futures)
        return [line for future in futures for line in future.result()]

    def _held_in_the_end(self, pool: ThreadPoolExecutor) -> list[str]:
        return self._held(
            pool,
            "in the end",
            lambda oracle: [*oracle.at_any_time(), *oracle.healed(), *oracle.at_rest()],
        )

    # Helpers.

    @property
    def _target(self) -> Target:
        """The target of this thread. An engine has only one connection."""
        if not hasattr(self._own, "target"):
            self._own.target = Target.local(self._stack)
            self._targets.append(self._own.target)
        target: Target = self._own.target
        return target

    def _tries(self, what: str) -> Iterator[None]:
        """Repeat until the time is up.

        Raises:
            TooLateError: the time is up.
        """
        while self._deadline.remaining > 0:
            yield
            time.sleep(_POLL_SECONDS)
        raise TooLateError(f"the time was up while waiting for {what}")

    def _watch(self, what: str, futures: list[Future[Any]], over: threading.Event | None = None) -> None:
        """Show the progress until all are done or a check fails."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        try:
            with Progress(*columns, console=console) as progress:
                bar = progress.add_task(what, total=len(futures))
                for future in as_completed(futures):
                    progress.advance(bar)
                    if future.exception() is not None:
                        return
        finally:
            if over is not None:
                over.set()

    def _scalar(self, sql: str) -> int:
        with self._target.engine.connect() as connection:
            return int(connection.scalar(text(sql)) or 0)

    def _execute(self, sql: str) -> None:
        with self._target.engine.begin() as connection:
            connection.execute(text(sql))


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def raise_first(futures: list[Future[None]]) -> None:
    """Raise the first error of the futures that are done."""
    for future in futures:
        if future.done() and not future.cancelled() and (error := future.exception()) is not None:
            raise error


def soak(make: Callable[[LocalStack, Deadline], StackSoak], parameters: Mapping[str, str]) -> Found:
    if os.environ.get("DATABASE_URL"):
        raise SystemExit("this kills its database: unset DATABASE_URL")
    logging.disable()  # log records of the lost connections, which the faults cause on purpose
    deadline = Deadline.after(SECONDS)
    counts: Mapping[str, float] = {}
    try:
        with (
            tempfile.TemporaryDirectory(prefix="roadmap-soak-") as directory,
            LocalStack.start(Path(directory), wait_scale=0.01, parameters=parameters) as stack,
        ):
            scenario = make(stack, deadline)
            counts = scenario.counts
            try:
                broken = scenario.run()
            finally:
                scenario.close()
    except (TooLateError, PromiseBrokenError) as error:
        broken = [str(error)]
    return Found(counts, broken)
