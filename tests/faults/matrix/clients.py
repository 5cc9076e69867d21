"""Kill the client process of a connection, as the loss of its machine would."""

from contextlib import suppress

import psutil

from local_stack.processes import becomes_true, has_ended


def client_at(port: int) -> psutil.Process | None:
    """The local process with the connection from `port`; `None` if there is none."""
    for found in psutil.net_connections("tcp4"):
        if found.laddr and found.laddr.port == port and found.pid is not None:
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(found.pid)
    return None


def kill_client_at(port: int) -> None:
    """Kill that process and wait until it has ended."""
    process = client_at(port)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        becomes_true(lambda: has_ended(process), 10)
