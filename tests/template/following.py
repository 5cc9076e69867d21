"""Follow the commands of a document in a real shell with the real AWS CLI.

`aws_cli.py` answers the CLI's requests with the shapes of their operations, and sends none to AWS. So a test
shows that a shell and the CLI accept each command, the request of each, and that its `--query` selects
something. The CLI is version 1, which is on PyPI; options of version 2 are left out. Other programs are
recorded, and do nothing.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.template_file import read_template

SHIM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.connect({socket!r})
    stream = client.makefile("rw")
    stream.write(json.dumps({{"arguments": sys.argv[1:], "directory": os.getcwd()}}) + "\\n")
    stream.flush()
    answer = json.loads(stream.readline())
sys.stdout.write(answer["output"])
sys.stderr.write(answer["errors"])
if answer["code"]:
    with open({failures!r}, "a") as log:
        log.write(json.dumps([sys.argv[1:], answer["errors"]]) + "\\n")
sys.exit(answer["code"])
"""
RECORDER = """#!/bin/bash
printf '{{"operation": "%s", "params": {{"words": "%s"}}}}\\n' "${{0##*/}}" "$*" >> {log}
"""
NOT_AWS = ("roadmap", "make", "git", "curl")


class Followed(NamedTuple):
    """The result of following the commands of a document."""

    requests: list[tuple[str, dict[str, Any]]]
    """The operation and the parameters of each request; of another program, its name and its `words`."""

    failures: list[Any]
    output: str

    def require_success(self) -> None:
        """Every command was accepted, and every query selected something."""
        assert self.failures == []
        assert len(self.requests) > 40
        assert "None" not in self.output.split(), "a query that selected nothing"

    def sent(self, operation: str) -> list[dict[str, Any]]:
        """The parameters of each request of an operation."""
        return [params for name, params in self.requests if name == operation]


def commands(text: str) -> Iterator[str]:
    """The commands of a text's console blocks. A command ends with the line at which it is complete."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    for block in blocks:
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
    if command.endswith("\\"):
        return False
    checked = subprocess.run(["bash", "-n"], input=command, capture_output=True, text=True)
    return checked.returncode == 0 and "here-document" not in checked.stderr


@contextmanager
def aws_cli(folder: Path) -> Iterator[Path]:
    """A folder with programs, of which only the AWS CLI does anything, and a log of the calls."""
    (folder / "bin").mkdir()
    address = str(folder / "socket")
    outputs = {
        name: list(read_template(REPOSITORY / template)["Outputs"])
        for name, template in (
            ("roadmap-content-prod", "template.yaml"),
            ("roadmap-database", "database/template.yaml"),
        )
    }
    program = REPOSITORY / "tests/template/aws_cli.py"
    server = subprocess.Popen(
        [environment_python("sam"), program, address, folder / "log", json.dumps(outputs)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    shim = folder / "bin/aws"
    shim.write_text(SHIM.format(python=sys.executable, socket=address, failures=str(folder / "failures")))
    shim.chmod(0o755)
    for name in NOT_AWS:
        other = folder / "bin" / name
        other.write_text(RECORDER.format(log=folder / "log"))
        other.chmod(0o755)
    yield folder
    server.terminate()
    server.wait()
    server.stdout.close()


def follow(cli: Path, name: str, text: str) -> Followed:
    """Run every command of a text in one shell."""
    (cli / "log").write_text("")
    (cli / "failures").write_text("")
    work = cli / name
    work.mkdir()
    (work / "database").symlink_to(REPOSITORY / "database")
    (work / ".venv").symlink_to(cli)  # for .venv/bin/roadmap
    done = subprocess.run(
        ["bash", "-u", "-o", "pipefail", "-c", "\n".join(commands(text))],
        cwd=work,
        env={"PATH": f"{cli}/bin:/usr/bin:/bin", "HOME": str(cli), "FUNCTION": "a-function"},
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
    )
    failures = [json.loads(line) for line in (cli / "failures").read_text().splitlines()]
    failures += [line for line in done.stderr.splitlines() if line.startswith("bash: ")]
    requests = [json.loads(line) for line in (cli / "log").read_text().splitlines()]
    return Followed([(each["operation"], each["params"]) for each in requests], failures, done.stdout)


def statements(path: str) -> list[str]:
    """The SQL statements of a file, without comments, each on one line."""
    text = re.sub(r"^--.*\n", "", (REPOSITORY / path).read_text(), flags=re.MULTILINE)
    return [one_line(each) for each in text.split(";") if each.strip()]


def one_line(sql: str) -> str:
    return " ".join(sql.split())
