"""A Docker engine: that of this machine, or a temporary one in separate namespaces.

A temporary engine does not affect this machine. It has its own network, mounts and process ids, so that the
kernel always ends it together with its containers. It does not change packet filters.
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

from checks.debian import install, is_root_on_debian
from local_stack.errors import CommandFailedError
from local_stack.processes import becomes_true, has_ended, run, spawn
from local_stack.steps import step
from tests.sam.errors import MissingOnThisMachineError
from tests.sam.runtime_image import TAG

_CGROUPS = Path("/sys/fs/cgroup")
_CGROUP = "ROADMAP_SAM_CGROUP"
_DEADLINE_SECONDS = 600.0

_PACKAGES: Mapping[str, str] = {
    "dockerd": "docker.io",
    "docker": "docker-cli",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
}
"""The commands that a temporary engine needs, with their packages."""


@dataclass(frozen=True)
class Engine:
    """A running engine. `environment` contains the variables with which a client reaches it."""

    environment: Mapping[str, str]
    has_image: bool
    """Whether it has the image of the runtime; otherwise the SAM CLI pulls it."""

    @property
    def bridge(self) -> str:
        """The address of this machine for containers."""
        network: list[dict[str, dict[str, list[dict[str, str]]]]] = json.loads(
            run(
                "docker", "network", "inspect", "bridge", environment={**os.environ, **self.environment}
            ).answer
        )
        return network[0]["IPAM"]["Config"][0]["Gateway"]


def find_engine() -> Engine | None:
    """This machine's engine, if it responds."""
    return Engine({}, has_image=_succeeds("image", "inspect", TAG)) if _answers() else None


def install_engine() -> None:
    """Install the packages of a temporary engine.

    Raises:
        MissingOnThisMachineError: this is not Debian, or the user is not root.
    """
    if not is_root_on_debian():
        raise MissingOnThisMachineError(
            "no Docker engine answers `docker version`, and one can be brought up only as root on Debian"
        )
    missing = [package for command, package in _PACKAGES.items() if not shutil.which(command)]
    if missing:
        install(*missing)


def in_namespaces(module: str, *arguments: str) -> int:
    """Run one of our modules in separate namespaces; return its exit code.

    Its last argument is a temporary folder. When this returns, all processes in the namespaces have ended and
    the folder is deleted. If this process is killed, the kernel kills them as well.
    """
    cgroup = f"roadmap-{secrets.token_hex(4)}"
    tied = ("setpriv", "--pdeathsig=KILL")
    apart = ("unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child")
    # Without variables that lead to another database or engine.
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
    """Start an engine with only the runtime's image, in the namespaces of `in_namespaces`.

    It is not stopped here: it ends with the namespaces.

    Raises:
        CommandFailedError: it did not start.
    """
    environment = {
        "DOCKER_HOST": f"unix://{directory}/docker.sock",
        "DOCKER_CONFIG": str(directory / "config"),  # otherwise it reads the user's configuration
    }
    log, settings = directory / "engine.log", directory / "engine.json"
    settings.write_text("{}")
    command: list[str | Path] = [
        *("dockerd", "--config-file", settings, "--host", environment["DOCKER_HOST"]),
        *("--data-root", directory / "data", "--exec-root", directory / "run"),
        *("--pidfile", directory / "engine.pid", "--cgroup-parent", os.environ[_CGROUP]),
        *("--exec-opt", "native.cgroupdriver=cgroupfs"),
        # Containers only need to reach this machine by the bridge: no packet filter is needed.
        *("--iptables=false", "--ip6tables=false", "--ip-masq=false"),
    ]
    with step("starting a Docker engine in namespaces of its own"):
        run("ip", "link", "set", "lo", "up")
        run("mount", "-t", "tmpfs", "tmpfs", "/run")  # otherwise it leaves sockets in the default folder
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
    """Remove the control groups of ended containers, which outlive the namespaces."""
    for directory, *_ in os.walk(_CGROUPS, topdown=False):
        if name in Path(directory).parts:
            Path(directory).rmdir()
