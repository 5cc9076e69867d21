"""The process at the other end of a connection: to kill it, as the loss of its machine would."""

from contextlib import suppress

import psutil

from local_stack.processes import becomes_true, has_ended


def client_at(port: int) -> psutil.Process | None:
    """The process of this machine whose connection comes from `port`; `None` if it is gone."""
    for found in psutil.net_connections("tcp4"):
        if found.laddr and found.laddr.port == port and found.pid is not None:
            with suppress(psutil.NoSuchProcess):
                return psutil.Process(found.pid)
    return None


def kill_client_at(port: int) -> None:
    """Kill it, and wait until it is gone."""
    process = client_at(port)
    if process is not None:
        with suppress(psutil.NoSuchProcess):
            process.kill()
        becomes_true(lambda: has_ended(process), 10)
