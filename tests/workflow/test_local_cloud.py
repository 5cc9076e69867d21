"""The local cloud: the behaviour that the workflow tests rely on, and its clean-up."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import NullPool, create_engine, text

from local_stack.builds import REPOSITORY
from local_stack.errors import NoStackError, StackEndedError
from local_stack.postgres_server import Server
from local_stack.processes import HOST, becomes_true, has_ended
from local_stack.stack import LocalStack, StackRunningError

pytestmark = pytest.mark.nightly

START = """
import signal, sys
from pathlib import Path
from local_stack.stack import LocalStack

stack = LocalStack.start(Path(sys.argv[1]), detached=sys.argv[2] == "detached")
stack.client("lambda").invoke(FunctionName=stack.functions["PlanBatchesFunction"], Payload="{}")
cloud = stack.cloud.process
functions = cloud.children(recursive=True)
print(stack.database.pid, cloud.pid, *(function.pid for function in functions), flush=True)
signal.pause()
"""


INSERT_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data, created_at)
VALUES ('r', 'u', 't', '{}', now())
""")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the PostgreSQL user can enter, even if root runs the tests."""
    with tempfile.TemporaryDirectory(prefix="roadmap-stack-") as directory:
        yield Path(directory)


def invoke(stack: LocalStack) -> None:
    """Start the process of a function."""
    stack.client("lambda").invoke(FunctionName=stack.functions["PlanBatchesFunction"], Payload="{}")


def test_every_server_listens_on_loopback_only(stack: LocalStack) -> None:
    invoke(stack)
    listening = {
        connection.laddr.ip
        for process in members(stack)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {HOST}


def test_two_stacks_are_isolated_and_leave_no_processes(stack: LocalStack, directory: Path) -> None:
    with LocalStack.start(directory, fsync=False) as other:
        invoke(other)
        assert other.database_url != stack.database_url
        names = [bucket["Name"] for bucket in stack.client("s3").list_buckets()["Buckets"]]
        assert other.bucket not in names
        processes = members(other)
    assert len(processes) > 2, "the cloud, PostgreSQL, and at least one function"
    assert all(has_ended(process) for process in processes)
    assert not (other.directory / "postgres").exists()
    assert stack.client("s3").list_buckets()["Buckets"], "the other stack is not affected"


def members(stack: LocalStack) -> list[psutil.Process]:
    roots = [stack.cloud.process]
    if pid := getattr(stack.database, "pid", None):  # a given database server is not part of the stack
        roots.append(psutil.Process(pid))
    return [process for root in roots for process in (root, *root.children(recursive=True))]


def start_elsewhere(directory: Path, how: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """Start a stack in another process; return that process and the stack's processes."""
    starter = subprocess.Popen(
        [sys.executable, "-c", START, directory, how],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
    )
    assert starter.stdout is not None
    pids = starter.stdout.readline().split()
    return starter, [psutil.Process(int(pid)) for pid in pids]


def kill(starter: subprocess.Popen[str]) -> None:
    starter.send_signal(signal.SIGKILL)
    starter.communicate()


def test_a_stack_stops_with_the_process_that_started_it(directory: Path) -> None:
    starter, processes = start_elsewhere(directory, "attached")
    kill(starter)
    assert len(processes) >= 3
    assert becomes_true(lambda: all(has_ended(process) for process in processes), 600)


def test_a_detached_stack_is_available_to_other_processes_until_it_is_stopped(directory: Path) -> None:
    starter, processes = start_elsewhere(directory, "detached")
    try:
        kill(starter)
        stack = LocalStack.attach(directory)
        assert stack.bucket in [bucket["Name"] for bucket in stack.client("s3").list_buckets()["Buckets"]]
        with pytest.raises(StackRunningError):
            LocalStack.up(directory)
    finally:
        was_there = LocalStack.down(directory, forget=True)
    assert was_there
    assert len(processes) >= 3
    assert all(has_ended(process) for process in processes)
    assert not LocalStack.down(directory), "a second `down` finds nothing to stop"
    with pytest.raises(NoStackError):
        LocalStack.attach(directory)


def test_a_partly_stopped_stack_is_reported_and_replaced(directory: Path) -> None:
    with LocalStack.up(directory) as stack:
        stack.cloud.stop()
        with pytest.raises(StackEndedError, match="cloud"):
            LocalStack.attach(directory)
        with LocalStack.up(directory) as successor:
            assert LocalStack.attach(directory).cloud.port == successor.cloud.port


def count_roadmaps(stack: LocalStack) -> int:
    with create_engine(stack.database_url, poolclass=NullPool).connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM roadmap_metadata")) or 0)


@pytest.fixture(params=["embedded", "given"])
def database(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, database_server: Server
) -> None:
    """The stack's own server, or the tests' server in `DATABASE_URL`."""
    if request.param == "embedded":
        monkeypatch.delenv("DATABASE_URL", raising=False)
    else:
        monkeypatch.setenv("DATABASE_URL", database_server.url)


@pytest.mark.usefixtures("database")
def test_data_survives_until_a_fresh_start(directory: Path) -> None:
    key = f"staged/{'x' * 300}/a.json"
    origin = {"CorsOrigins": "https://learn.example"}
    try:
        stack = LocalStack.up(directory, parameters=origin)
        stack.client("s3").put_object(Bucket=stack.bucket, Key=key, Body=b"content", Metadata={"a": "b"})
        with create_engine(stack.database_url, poolclass=NullPool).begin() as connection:
            connection.execute(INSERT_ROADMAP)
        LocalStack.down(directory)
        bucket = stack.bucket

        stack = LocalStack.up(directory)
        assert stack.bucket == bucket  # in its place: nothing is copied
        assert origin.items() <= stack.parameters().items()
        kept = stack.client("s3").get_object(Bucket=stack.bucket, Key=key)
        assert (kept["Body"].read(), kept["Metadata"]) == (b"content", {"a": "b"})
        assert count_roadmaps(stack) == 1
        LocalStack.down(directory)
        assert LocalStack.has_data(directory)

        stack = LocalStack.up(directory, fresh=True)
        assert stack.bucket != bucket
        assert stack.parameters()["CorsOrigins"] != origin["CorsOrigins"]
        LocalStack.down(directory)
        stack = LocalStack.up(directory)  # with a bucket that holds nothing
        assert "Contents" not in stack.client("s3").list_objects_v2(Bucket=stack.bucket)
        assert count_roadmaps(stack) == 0
    finally:
        LocalStack.down(directory, forget=True)
    assert not LocalStack.has_data(directory)
