"""The operators' pages, followed command by command in a real shell with the real AWS CLI.

`aws_cli.py` answers the CLI's requests with the shapes of their operations, and sends none to AWS. So a test
shows that a shell and the CLI accept each command, and that its `--query` selects something. The CLI is
version 1, which is on PyPI; options of version 2 are left out. Other programs do nothing.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.template_file import read_template

OUTPUTS = [
    name
    for template in ("template.yaml", "database/template.yaml")
    for name in read_template(REPOSITORY / template)["Outputs"]
]


class Followed(NamedTuple):
    """The result of following the commands of a page."""

    commands: list[str]
    failures: list[str]
    output: str


def commands(text: str) -> Iterator[str]:
    """The commands of a text's console blocks. A command ends with the line at which it is complete."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        lines = [re.sub(r"^ {0,3}", "", line, count=1) for line in block.splitlines()]
        while lines:
            line = lines.pop(0)
            if not line.startswith("$ "):
                continue  # output
            command = line[2:]
            while lines and not _is_complete(command):
                command += "\n" + lines.pop(0)
            yield command


def _is_complete(command: str) -> bool:
    checked = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True)
    return not command.endswith("\\") and checked.returncode == 0 and "here-document" not in checked.stderr


def follow(folder: Path, text: str) -> Followed:
    """Run every command of a text in one shell, in which only the AWS CLI does anything."""
    cli = f'#!/bin/bash\nexec {environment_python("sam")} {REPOSITORY}/tests/template/aws_cli.py "$@"\n'
    (folder / "bin").mkdir()
    for name in ("aws", "roadmap", "make", "git", "gh", "curl"):
        (folder / "bin" / name).write_text(cli if name == "aws" else "#!/bin/bash\n")
        (folder / "bin" / name).chmod(0o755)
    for name in ("database", "deployment"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / ".venv").symlink_to(folder)  # for .venv/bin/roadmap
    named = {"FUNCTION": "a-function", "STACK": "prod", "OUTPUTS": " ".join(OUTPUTS)}
    account = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}
    found = list(commands(text))
    done = subprocess.run(
        ["bash", "-u", "-o", "pipefail", "-c", "\n".join(found)],
        cwd=folder,
        env={"PATH": f"{folder}/bin:/usr/bin:/bin", "HOME": str(folder), **named, **account},
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    (folder / "failures").touch()
    failures = (folder / "failures").read_text().splitlines()
    failures += [line for line in done.stderr.splitlines() if line.startswith("bash: ")]
    return Followed(found, failures, done.stdout)


@pytest.mark.parametrize("page", ["alarms", pytest.param("deploy", marks=pytest.mark.nightly), "runbook"])
def test_a_shell_and_the_aws_cli_accept_every_command(tmp_path: Path, page: str) -> None:
    followed = follow(tmp_path, (REPOSITORY / f"docs/{page}.md").read_text())
    assert any("aws " in command for command in followed.commands)
    assert followed.failures == []
    assert "None" not in followed.output.split(), "a query that selected nothing"
