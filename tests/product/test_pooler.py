"""Through a real PgBouncer in transaction mode: the features that work and those that do not."""

import gc
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError

from roadmap_content.content.generation.item_locks import TRY
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from tests.product.product import Product
from tests.product.running import heal
from tests.support.pipeline import services_for

pytestmark = pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="PgBouncer is not installed")


@pytest.fixture
def form() -> str:
    """One variant of the schema is enough here."""
    return "create_all"


@pytest.fixture
def pooled(adopted: Product) -> Iterator[Credentials]:
    """A URL of the product's database through PgBouncer in transaction mode."""
    url = make_url(adopted.url)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        Path(folder, "users").write_text(f'"{url.username}" "{url.password}"\n')
        Path(folder, "pgbouncer.ini").write_text(
            f"[databases]\n* = host={url.host} port={url.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nauth_type = scram-sha-256\nauth_file = {folder}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = 4\nunix_socket_dir =\n"
        )
        for path in (folder, f"{folder}/users", f"{folder}/pgbouncer.ini"):
            Path(path).chmod(0o755)  # PgBouncer does not run as root
        user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        command = ["/usr/sbin/pgbouncer", "-u", user, f"{folder}/pgbouncer.ini"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait = threading.Event()
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            wait.wait(0.02)
        yield Credentials("127.0.0.1", port, url.database or "", url.username or "", url.password or "")
        process.terminate()
        process.wait()


def test_a_retry_completes_with_the_session_limits_of_the_role(
    adopted: Product, pooled: Credentials, bucket_name: str
) -> None:
    assert bucket_name
    adopted.roadmap("r-1", ["r-1:c-1", "r-1:c-2"])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    services = services_for(adopted.url)
    services.engine = open_engine(lambda: pooled, tls=False, session="role")
    heal(services)
    services.engine.dispose()
    assert adopted.rows("SELECT status FROM roadmap_tasks") == [{"status": "completed"}]


def test_startup_options_are_refused(pooled: Credentials) -> None:
    engine = open_engine(lambda: pooled, tls=False, session="options")
    with pytest.raises(DBAPIError, match="unsupported startup parameter"):
        engine.connect()
    engine.dispose()
    gc.collect()


def test_a_session_lock_does_not_exclude_other_sessions(pooled: Credentials) -> None:
    """Two invocations may generate the same item, so docs/adopting.md requires a direct connection."""
    name = {"name": "an item"}
    engines = [open_engine(lambda: pooled, tls=False, session="role") for _ in range(2)]
    held = []
    for engine in engines:
        with engine.begin() as connection:
            held.append(connection.scalar(TRY, name))
    assert held == [True, True]
    for engine in engines:
        engine.dispose()
