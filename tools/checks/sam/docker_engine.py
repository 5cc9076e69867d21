"""The Docker engine: this machine's own, or one that lives as long as a proof, in namespaces of its own.

Nothing of this machine is touched by the latter: it has its own network, its own mounts and its own process
ids, so that the kernel takes it and its containers down together, however the proof ends; and it changes no
packet filter.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from local_stack.processes import becomes_true, has_ended, spawn

from .command import run
from .debian import install, is_root_on_debian
from .errors import CommandFailedError, MissingOnThisMachineError
from .runtime_image import TAG
from .steps import step

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP = "ROADMAP_SAM_CGROUP"
_DEADLINE_SECONDS = 600.0

_PACKAGES: Mapping[str, str] = {
    "dockerd": "docker.io",
    "docker": "docker-cli",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
}
"""The commands that an engine of our own needs, and the packages that they are in."""


@dataclass(frozen=True)
class Engine:
    """A running engine; `environment` is what a client needs in its own, to be led to it."""

    environment: Mapping[str, str]
    has_image: bool
    """Whether the runtime's image is there; otherwise the SAM CLI pulls it."""

    @property
    def bridge(self) -> str:
        """The address under which containers reach the machine that they run on."""
        network: list[dict[str, dict[str, list[dict[str, str]]]]] = json.loads(
            run(
                "docker", "network", "inspect", "bridge", environment={**os.environ, **self.environment}
            ).answer
        )
        return network[0]["IPAM"]["Config"][0]["Gateway"]


def find_engine() -> Engine | None:
    """This machine's engine, if one answers."""
    return Engine({}, has_image=_succeeds("image", "inspect", TAG)) if _answers() else None


def install_engine() -> None:
    """Install what an engine of our own needs.

    Raises:
        MissingOnThisMachineError: this is not Debian, or we are not root.
    """
    if not is_root_on_debian():
        raise MissingOnThisMachineError(
            "no Docker engine answers `docker version`, and one can be brought up only as root on Debian"
        )
    missing = [package for command, package in _PACKAGES.items() if not shutil.which(command)]
    if missing:
        install(*missing)


def in_namespaces(module: str, *arguments: str) -> int:
    """Run a module of ours, with this Python, in namespaces of its own; its exit code.

    Its last argument is a folder for whatever it leaves. When this returns, nothing that it has started is
    running any more and the folder is gone; if this process is killed, the kernel kills the others with it.
    """
    cgroup = f"roadmap-{secrets.token_hex(4)}"
    tied = ("setpriv", "--pdeathsig=KILL")
    apart = ("unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")
    # A database or an engine of elsewhere is not reached from there.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DOCKER_CONTEXT")
    }
    with TemporaryDirectory(prefix="roadmap-sam-") as directory:
        try:
            return subprocess.run(
                [*tied, *apart, sys.executable, "-m", module, *arguments, directory],
                env=environment | {_CGROUP: cgroup},
            ).returncode
        finally:
            _remove_cgroups(cgroup)


def start_engine(directory: Path, image: Path) -> Engine:
    """Start an engine that has the runtime's image and nothing else, in the namespaces of `in_namespaces`.

    It is not stopped: that is done by whoever takes the namespaces down.

    Raises:
        CommandFailedError: it does not start.
    """
    environment = {
        "DOCKER_HOST": f"unix://{directory}/docker.sock",
        "DOCKER_CONFIG": str(directory / "config"),  # else it reads the user's
    }
    log, settings = directory / "engine.log", directory / "engine.json"
    settings.write_text("{}")
    command: list[str | Path] = [
        *("dockerd", "--config-file", settings, "--host", environment["DOCKER_HOST"]),
        *("--data-root", directory / "data", "--exec-root", directory / "run"),
        *("--pidfile", directory / "engine.pid", "--cgroup-parent", os.environ[_CGROUP]),
        *("--exec-opt", "native.cgroupdriver=cgroupfs"),
        # Containers reach this machine by the bridge, and nothing else: no packet filter is needed.
        *("--iptables=false", "--ip6tables=false", "--ip-masq=false"),
    ]
    with step("starting a Docker engine in namespaces of its own"):
        run("ip", "link", "set", "lo", "up")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")  # else it leaves sockets there
        engine = spawn(command, os.environ, log, detached=False)
        becomes_true(lambda: _answers(environment) or has_ended(engine), _DEADLINE_SECONDS)
        if not _answers(environment):
            last_words = log.read_text().splitlines()[-10:]
            raise CommandFailedError("\n".join(["dockerd does not answer", *last_words]))
        run("docker", "import", image, TAG, environment={**os.environ, **environment})
    return Engine(environment, has_image=True)


def _answers(environment: Mapping[str, str] | None = None) -> bool:
    return shutil.which("docker") is not None and _succeeds("version", environment=environment)


def _succeeds(*arguments: str, environment: Mapping[str, str] | None = None) -> bool:
    command = ("docker", *arguments)
    return (
        subprocess.run(command, env={**os.environ, **(environment or {})}, capture_output=True).returncode
        == 0
    )


def _remove_cgroups(name: str) -> None:
    """Remove the control groups of containers that are gone: they outlive every namespace."""
    for directory, *_ in os.walk(_CGROUPS, topdown=False):
        if name in Path(directory).parts:
            Path(directory).rmdir()
