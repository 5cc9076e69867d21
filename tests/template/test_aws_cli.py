"""The documents for operators, followed command by command in a real shell with the real AWS CLI.

`aws_cli.py` answers the CLI's requests with the shapes of their operations, and sends none to AWS. So these
tests show that a shell and the CLI accept each command, what it would send, and that its `--query` selects
something. The CLI is version 1, which is on PyPI; options of version 2 are left out.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

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
NOT_AWS = ("roadmap", "make", "git", "curl")


class Followed(NamedTuple):
    """What happened when the commands of a document were followed."""

    requests: list[tuple[str, dict[str, Any]]]
    failures: list[Any]
    output: str

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


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the AWS CLI as its only program, and its log of requests."""
    folder = tmp_path_factory.mktemp("cli")
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
        [environment_python("operator"), program, address, folder / "log", json.dumps(outputs)],
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
        other.write_text("#!/bin/bash\n")
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


@pytest.fixture(scope="module")
def runbook(cli: Path) -> Followed:
    return follow(cli, "runbook", (REPOSITORY / "docs/runbook.md").read_text())


@pytest.fixture(scope="module")
def deployment(cli: Path) -> Followed:
    return follow(cli, "deployment", (REPOSITORY / "docs/deploy.md").read_text())


def statements(path: str) -> list[str]:
    """The SQL statements of a file, without comments, each on one line."""
    text = re.sub(r"^--.*\n", "", (REPOSITORY / path).read_text(), flags=re.MULTILINE)
    return [one_line(each) for each in text.split(";") if each.strip()]


def one_line(sql: str) -> str:
    return " ".join(sql.split())


@pytest.mark.parametrize("document", ["runbook", "deployment"])
def test_a_shell_and_the_aws_cli_accept_every_command(document: str, request: pytest.FixtureRequest) -> None:
    followed: Followed = request.getfixturevalue(document)
    assert followed.failures == []
    assert len(followed.requests) > 40
    assert "None" not in followed.output.split(), "a query that selected nothing"


def test_the_runbook_deletes_every_version_below_each_prefix_of_the_user(runbook: Followed) -> None:
    prefixes = [each["Prefix"] for each in runbook.sent("s3.ListObjectVersions")]
    assert prefixes == ["ROADMAP_ID/", "staged/ROADMAP_ID/", "rejected/ROADMAP_ID/", "manifests/TASK_ID/"]
    deleted = [(each["Key"], each["VersionId"]) for each in runbook.sent("s3.DeleteObject")]
    # Both versions and both delete markers of the answer, for each prefix.
    assert deleted == [("available-1", "available-1"), ("available-2", "available-2")] * 2 * len(prefixes)
    assert {each["Bucket"] for each in runbook.sent("s3.DeleteObject")} == {"the-value-of-ContentBucket"}


def test_the_runbook_deletes_a_user_s_rows_in_one_transaction(runbook: Followed) -> None:
    (begun,) = runbook.sent("rds-data.BeginTransaction")
    executed = runbook.sent("rds-data.ExecuteStatement")
    assert [one_line(each["sql"]) for each in executed] == statements("database/erase.sql")
    (committed,) = runbook.sent("rds-data.CommitTransaction")
    in_order = [name for name, _ in runbook.requests if name.startswith("rds-data.")]
    assert (in_order[0], in_order[-1]) == ("rds-data.BeginTransaction", "rds-data.CommitTransaction")
    for each in (begun, committed, *executed):
        assert each["resourceArn"] == "the-value-of-ClusterArn"
        assert each["secretArn"] == "the-value-of-MasterSecretArn"
    for each in executed:
        assert each["transactionId"] == committed["transactionId"] == "available"
        given = {parameter["name"]: parameter["value"] for parameter in each["parameters"]}
        assert given == {"user_id": {"stringValue": "USER"}, "roadmap_id": {"stringValue": ""}}


def test_the_deployment_creates_every_role_of_the_database(deployment: Followed) -> None:
    executed = [one_line(each["sql"]) for each in deployment.sent("rds-data.ExecuteStatement")]
    login = "GRANT rds_iam TO roadmap_migrator, roadmap_writer, roadmap_reader"
    assert executed == [*statements("database/roles.sql"), login]


def test_an_invalid_command_is_detected(cli: Path) -> None:
    wrong = """```console
$ aws sqs purge-queue --queue-name x
$ aws rds describe-db-clusters --query 'Clusters[].Name' --output text
$ nonsense
```"""
    followed = follow(cli, "wrong", wrong)
    assert len(followed.failures) == 2, "an unknown option, and an unknown program"
    assert followed.output.split() == ["None"]
