"""Install Debian packages without starting services, if this machine runs Debian and the user is root."""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from local_stack.errors import CommandFailedError
from local_stack.processes import run
from local_stack.steps import console, step

# Debian's maintainer scripts run this before they start a service; 101 forbids it.
_POLICY = Path("/usr/sbin/policy-rc.d")


def is_root_on_debian() -> bool:
    """Whether `install` can be used on this machine."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # not Linux
        return False
    return os.geteuid() == 0 and release.get("ID") == "debian"


def install(*packages: str) -> None:
    """Install packages, after saying so; at a terminal, after asking.

    Raises:
        CommandFailedError: it was not possible, or was declined.
    """
    console.print(f"This installs Debian packages as root: {', '.join(packages)}")
    if sys.stdin.isatty() and not typer.confirm("Install them?"):
        raise CommandFailedError(f"install {', '.join(packages)} yourself, or provide what they are for")
    apt_get = ("apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=300")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(packages)}"), _no_service_started():
        run(*apt_get, "update", environment=environment)
        run(*apt_get, "install", "--no-install-recommends", *packages, environment=environment)


@contextmanager
def _no_service_started() -> Iterator[None]:
    if _POLICY.exists():  # an existing policy of this machine
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
