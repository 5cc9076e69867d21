"""`python -m benchmarks.processor`: the functions' processor time per item, against an older commit."""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from sqlalchemy import make_url, text

from local_stack.builds import REPOSITORY
from local_stack.postgres_server import PostgresServer
from local_stack.template_file import default_of, read_template
from roadmap_content.items import ContentType, Item
from roadmap_content.postgres.engine import Credentials, open_engine
from roadmap_content.storage.bucket import Bucket
from roadmap_content.storage.staging import Staging

from .curriculum import Author, concept_ids
from .framework import framework_of
from .object_server import ObjectServer
from .report import finish
from .result import Result, Series, Target, now, this_machine, versions

OLDER = "eb62644"
"""The commit for the comparison: it has batches of one size, and Generate reads every batch."""

SIZE, ROUNDS = 1_000, 3
NOW = "this commit"
BUCKET = "content"

ABOUT = f"""
Processor time (user and system, all threads) of Plan, Generate, Save and Finalize for a roadmap with staged
content. The handlers run in one warm process for each source tree, in turn: this one and commit `{OLDER}`.
PostgreSQL and S3 (a small HTTP server that responds from memory and counts the requests) are separate
processes.
"""


def main() -> None:
    """Measure, print and store the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concepts", type=int, default=SIZE)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--short", action="store_true", help="keep nothing; fail where a limit is missed by far"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roadmap-benchmark-") as name, ObjectServer() as objects:
        folder = Path(name)
        with (
            _process(_older_tree(folder / "older"), folder / "older-db", objects) as older,
            _process(REPOSITORY, folder / "now-db", objects) as current,
        ):
            processes = {NOW: current, OLDER: older}
            values: dict[str, dict[str, list[float]]] = {}
            for number in range(1 + arguments.rounds):
                for contestant, process in processes.items():
                    measured = process.run(arguments.concepts if number else 30, f"{number}-{contestant}")
                    if number:
                        for key, value in measured.items():
                            values.setdefault(key, {}).setdefault(contestant, []).append(value)
    result = _result(values, arguments.concepts)
    finish(result, short=arguments.short)


# The statements of the loader match only the schema of its own release.
_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data)
VALUES (:roadmap_id, 'user-1', 'A roadmap', CAST(:framework_data AS json))
""")
_TASK = text("""
INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, user_request, created_at, updated_at)
VALUES (:task_id, 'user-1', :roadmap_id, 'pending', '{}', now(), now())
""")


class _Process:
    """A source tree's functions, with their own database."""

    def __init__(self, process: subprocess.Popen[str], database_url: str, objects: ObjectServer) -> None:
        self._process = process
        self._objects = objects
        credentials = Credentials.from_url(make_url(database_url))
        self._engine = open_engine(lambda: credentials, tls=False)
        self._author = Author()
        client = boto3.client(
            "s3",
            endpoint_url=objects.url,
            region_name="us-east-1",
            aws_access_key_id="benchmark",
            aws_secret_access_key="benchmark",  # noqa: S106 - of a server that asks for none
        )
        self._bucket = Bucket(BUCKET, client)

    def run(self, concepts: int, name: str) -> dict[str, float]:
        """Load a roadmap with its content staged, run its task, and return the processor time per item."""
        roadmap_id, task_id = f"roadmap-{name}".replace(" ", "-"), f"task-{name}".replace(" ", "-")
        ids = concept_ids(roadmap_id, concepts)
        names = {"roadmap_id": roadmap_id, "task_id": task_id}
        with self._engine.begin() as connection:
            connection.execute(_ROADMAP, names | {"framework_data": json.dumps(framework_of(ids))})
            connection.execute(_TASK, names)
        staging = Staging(self._bucket, roadmap_id)
        for number, concept_id in enumerate(ids):
            entry = self._author.entry(concept_id, number)
            for content_type in ContentType:
                staging.write(Item(concept_id, content_type), entry[content_type])
        before = self._objects.requests.value
        assert self._process.stdin is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(f"{task_id}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert answer["complete"], answer  # noqa: S101 - or something else would be measured
        assert answer["items"] == 3 * concepts  # noqa: S101
        steps = {step: 1000 * seconds / answer["items"] for step, seconds in answer["seconds"].items()}
        return {
            "all": sum(steps.values()),
            **steps,
            "requests": (self._objects.requests.value - before) / answer["items"],
            "batches": answer["batches"],
        }

    def close(self) -> None:
        """Stop the process."""
        self._engine.dispose()
        assert self._process.stdin is not None  # noqa: S101
        self._process.stdin.close()
        self._process.wait(timeout=30)


@contextmanager
def _process(tree: Path, folder: Path, objects: ObjectServer) -> Iterator[_Process]:
    folder.mkdir()
    with PostgresServer.start(folder) as server:
        environment = _environment(tree, server.url, objects)
        migrate = f"from migrations import migrate; migrate({server.url!r})"
        subprocess.run([sys.executable, "-c", migrate], cwd=tree, env=environment, check=True)  # noqa: S603
        worker = REPOSITORY / "benchmarks/processor_worker.py"
        process = subprocess.Popen(  # noqa: S603 - this interpreter and our own script
            [sys.executable, str(worker)],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running = _Process(process, server.url, objects)
        try:
            yield running
        finally:
            running.close()


def _environment(tree: Path, database_url: str, objects: ObjectServer) -> dict[str, str]:
    credentials = make_url(database_url)
    secret = {
        "host": credentials.host,
        "port": credentials.port,
        "dbname": credentials.database,
        "username": credentials.username,
        "password": credentials.password,
    }
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tree}:{tree / 'layers/common'}",
        "AWS_ENDPOINT_URL": objects.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "POWERTOOLS_SERVICE_NAME": "benchmark",
        "POWERTOOLS_METRICS_NAMESPACE": "RoadmapContent",
        "DATABASE_AUTH": "secret",
        "DATABASE_SECRET_ARN": objects.add_secret(json.dumps(secret)),
        "DATABASE_SESSION": "options",
        "DATABASE_TLS": "disable",
        "CONTENT_BUCKET": BUCKET,
        "STATE_MACHINE_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:benchmark",
        "BATCH_SIZE": str(default_of(read_template(REPOSITORY / "template.yaml"), "BatchSize")),
        "GENERATOR": "offline",
        "TASK_TOKEN_BUDGET": "1",
    }


def _older_tree(folder: Path) -> Path:
    """The source tree of the older commit, from this repository's own history."""
    archive = subprocess.run(  # noqa: S603
        ["git", "archive", OLDER],  # noqa: S607
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def _result(values: dict[str, dict[str, list[float]]], size: int) -> Result:
    def series(name: str, title: str, unit: str) -> Series:
        by_contestant = {contestant: {size: found} for contestant, found in values[name].items()}
        return Series(name=name, title=title, unit=unit, size_name="concepts", base=NOW, values=by_contestant)

    steps = [
        series(step, f"Processor time of {step}, per item", "ms")
        for step in ("plan", "generate", "save", "finalize")
    ]
    whole = series("all", "Processor time of all functions, per item", "ms")
    requests = series("requests", "Requests to S3, per item", "")
    return Result(
        name="processor",
        title="Processor time of the functions",
        about=ABOUT.strip(),
        machine=this_machine(),
        versions=versions("boto3", "SQLAlchemy", "pg8000"),
        measured_at=now(),
        series=[whole, *steps, requests, series("batches", "Batches", "")],
        targets=[
            Target(
                label=f"processor time per item, against commit {OLDER}",
                value=1 / whole.ratio(OLDER, size).median,
                limit=0.5,
                reason="Most of the time is botocore's, for the requests to S3. Their number per item is "
                "nearly the same as before: the content is read, and the text of a tutorial is written.",
            )
        ],
    )


if __name__ == "__main__":
    main()
