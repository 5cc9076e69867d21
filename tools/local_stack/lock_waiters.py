"""Find the processes that wait for a database lock, so that tests can kill them."""

import psutil
from sqlalchemy import Connection, text

# Within a transaction, the statistics views would keep their first snapshot.
LOOK_AGAIN = text("SELECT pg_stat_clear_snapshot()")

WAITING_FOR_US = text("""
SELECT client_port FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))
""")

SERVER_PORT = text("SELECT inet_server_port()")


def processes_waiting_for(connection: Connection) -> list[psutil.Process]:
    """The local processes that wait for a lock of the transaction of `connection`."""
    connection.execute(LOOK_AGAIN)
    server_port = connection.scalar(SERVER_PORT)
    client_ports = set(connection.scalars(WAITING_FOR_US))
    # Both ends must match, because the port of a client that has exited may have been reused.
    return [
        psutil.Process(found.pid)
        for found in psutil.net_connections("tcp4")
        if found.pid is not None
        and found.laddr
        and found.raddr
        and found.laddr.port in client_ports
        and found.raddr.port == server_port
    ]
