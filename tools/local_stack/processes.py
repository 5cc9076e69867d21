"""Processes on this machine: servers, started on a free port and always stopped, and commands."""

import errno
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from .builds import LOCAL, REPOSITORY
from .errors import CommandFailedError, LocalServiceError

HOST = "127.0.0.1"

# Below the ephemeral ports of Linux and macOS. A client that reconnects to an ephemeral port while the server
# is down may be given the same port as its source port; it then connects to itself and blocks the server.
_PORTS = range(15_000, 32_000)

_SHORTEST_PAUSE = 0.01
_LONGEST_PAUSE = 0.1
_PAUSE_SHARE = 0.2
"""A pause between polls, as a share of the wait so far: a condition is noticed late by that share at most."""

_LAST_LINES = 30


def free_port() -> int:
    """A port on which no process listens. It is not reserved: the caller must handle its loss."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port


def spawn(
    command: Sequence[str | Path], environment: Mapping[str, str], log: Path, *, detached: bool
) -> psutil.Process:
    """Start a process in a new process group, with its output in `log`.

    On Linux, a process that is not detached is killed when the thread that started it ends, so that it ends
    with a process that crashes.
    """
    setpriv = shutil.which("setpriv")  # of util-linux: available on Linux, not on macOS
    tie = [setpriv, "--pdeathsig=KILL"] if setpriv and not detached else []
    arguments = [*tie, *map(str, command)]
    # Not subprocess.Popen, which warns if it is garbage-collected while its child runs. A detached child
    # does.
    return psutil.Process(
        os.posix_spawn(
            arguments[0],
            arguments,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
        )
    )


def kill_group(process: psutil.Process) -> None:
    """Kill a process that `spawn` started and all its descendants. Can be repeated.

    Raises:
        TimeoutError: one of them did not end.
    """
    if has_ended(process):
        return
    members = [process, *process.children(recursive=True)]
    os.killpg(process.pid, signal.SIGKILL)
    for member in members:
        if not becomes_true(lambda member=member: has_ended(member), 30):  # type: ignore[misc]
            raise TimeoutError(f"process {member.pid} was killed and has not ended")


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, even if it was not reaped: process 1 of a container may not reap it."""
    try:
        try:
            process.wait(0)
        except psutil.TimeoutExpired:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it ended during the check
        pass
    return True


def listens_on(process: psutil.Process, port: int) -> bool:
    """Whether this process itself listens on a local port."""
    try:
        services = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in services)


def becomes_true(happened: Callable[[], bool], deadline_seconds: float) -> bool:
    """Poll until a condition is true, less and less often; return whether it became true in time."""
    began = time.monotonic()
    while not happened():
        waited = time.monotonic() - began
        if waited > deadline_seconds:
            return False
        time.sleep(min(max(_SHORTEST_PAUSE, waited * _PAUSE_SHARE), _LONGEST_PAUSE))
    return True


class Output(NamedTuple):
    """The output of a command."""

    answer: str
    log: str

    @property
    def last_words(self) -> str:
        """The end of the output, for error messages."""
        return "\n".join((self.answer + self.log).strip().splitlines()[-_LAST_LINES:])


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> Output:
    """Run a command in the repository.

    Raises:
        CommandFailedError: it failed.
    """
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    output = Output(done.stdout, done.stderr)
    if done.returncode:
        raise CommandFailedError(f"{' '.join(map(str, command))}\n{output.last_words}")
    return output


def build(*command: str | Path) -> None:
    """Run a command that builds a part of the stack.

    Raises:
        LocalServiceError: it failed. The message names a full disk, or is the command's last error.
    """
    try:
        run(*command)
    except CommandFailedError as error:
        output = str(error)
        if any(os.strerror(full) in output for full in (errno.ENOSPC, errno.EDQUOT)):
            raise LocalServiceError(f"the disk of {LOCAL} is full") from None
        faults = [line for line in output.splitlines() if line.startswith("ERROR")]
        raise LocalServiceError(f"{Path(command[0]).name}: {(faults or output.splitlines())[-1]}") from None
