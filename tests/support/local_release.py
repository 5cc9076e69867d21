"""Releases of a local stack after the first one, and `make` as its operator runs it."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_stack.builds import REPOSITORY
from local_stack.deploy import upload_template
from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from local_stack.template_file import Template
from release.stamp import stamped

STACK = "roadmap"
_BUCKET = "releases"


@contextmanager
def deployed(stack: LocalStack, release: str, change: Callable[[Template], None]) -> Iterator[None]:
    """Deploy a changed template as the next release; at the end, the former one as another release.

    As on AWS, each deployment publishes a version of every function and of the state machine, and moves their
    aliases to these.
    """
    stack.client("s3").create_bucket(Bucket=_BUCKET)
    client = stack.client("cloudformation")
    template: Template = client.get_template(StackName=STACK, TemplateStage="Original")["TemplateBody"]
    changed = stamped(template, release)
    change(changed)
    _update(stack, changed)
    try:
        yield
    finally:
        _update(stack, stamped(template, f"after-{release}"))


def _update(stack: LocalStack, template: Template) -> None:
    client = stack.client("cloudformation")

    def described() -> dict[str, Any]:
        found: list[dict[str, Any]] = client.describe_stacks(StackName=STACK)["Stacks"]
        return found[0]

    client.update_stack(
        StackName=STACK,
        TemplateURL=upload_template(template, stack.client("s3"), _BUCKET),
        Parameters=described()["Parameters"],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    assert becomes_true(lambda: not described()["StackStatus"].endswith("_IN_PROGRESS"), 600)
    assert described()["StackStatus"] == "UPDATE_COMPLETE"


class Clone:
    """A copy of the repository in which `prod` is a local stack."""

    def __init__(self, directory: Path, stack: LocalStack) -> None:
        self._directory = directory
        self._environment = {
            **stack.environment,
            "PYTHONPATH": str(directory / "tools"),
            "MAKEFLAGS": "-o .venv/.installed",  # the environment is that of this process: leave it alone
        }
        for name in ("Makefile", "template.yaml", ".venv"):
            (directory / name).symlink_to(REPOSITORY / name)
        shutil.copytree(REPOSITORY / "tools", directory / "tools")
        samconfig = (REPOSITORY / "samconfig.toml").read_text()
        (directory / "samconfig.toml").write_text(samconfig.replace('"roadmap-content-prod"', f'"{STACK}"'))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command of a shell; its output contains its errors."""
        return subprocess.run(
            ["bash", "-euc", command],
            cwd=self._directory,
            env={"PATH": os.environ["PATH"], **self._environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
