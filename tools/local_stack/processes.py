"""Server processes of this machine: started on a port of their own, and never left behind."""

import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

HOST = "127.0.0.1"

# Below the ephemeral ports of Linux and macOS. A client that reconnects to an ephemeral port while the
# server is down is sooner or later given that port itself, meets itself, and keeps the server out.
_PORTS = range(15_000, 32_000)

_POLL_SECONDS = 0.01


def free_port() -> int:
    """A port that nobody listens on. It is not reserved: whoever binds it must be ready to lose it."""
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
    """Start a process in a process group of its own, with its output in `log`.

    Unless it is detached it is killed, on Linux, when the thread that called this ends: so nothing is left
    behind by a process that dies.
    """
    setpriv = shutil.which("setpriv")  # of util-linux: Linux has it, macOS does not
    tie = [setpriv, "--pdeathsig=KILL"] if setpriv and not detached else []
    arguments = [*tie, *map(str, command)]
    # Not subprocess.Popen: that minds being forgotten while its child runs, which is what detached is.
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


def kill_group(process: psutil.Process, deadline_seconds: float = 30) -> None:
    """Kill a process that `spawn` started and whatever it has started itself; again, no harm.

    Raises:
        TimeoutError: the kernel does not let go of one of them.
    """
    if has_ended(process):
        return
    members = [process, *process.children(recursive=True)]
    os.killpg(process.pid, signal.SIGKILL)
    for member in members:
        if not becomes_true(lambda member=member: has_ended(member), deadline_seconds):  # type: ignore[misc]
            raise TimeoutError(f"process {member.pid} was killed and has not ended")


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is over, even if nobody has collected it: process 1 of a container may never."""
    try:
        try:
            process.wait(0)
        except psutil.TimeoutExpired:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it went while it was looked at
        pass
    return True


def listens_on(process: psutil.Process, port: int) -> bool:
    """Whether it is this process, and no other, that listens on a port of this machine."""
    try:
        services = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in services)


def becomes_true(happened: Callable[[], bool], deadline_seconds: float) -> bool:
    """Ask again and again until something has happened; say whether it did in time."""
    deadline = time.monotonic() + deadline_seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
