"""The commands of docs/runbook.md, which tests and drills run as they stand there."""

import re
import subprocess
from collections.abc import Mapping

from typer.testing import CliRunner, Result

from local_stack.builds import REPOSITORY
from roadmap_command.main import app

RUNBOOK = REPOSITORY / "docs/runbook.md"


def blocks_of(section: str, values: Mapping[str, str] | None = None) -> list[list[str]]:
    """The lines of each block of commands of a section, with values instead of `TASK_ID` and the like."""
    _, _, rest = RUNBOOK.read_text().partition(f" {section}\n")
    text = re.split(r"^#{2,4} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    for name, value in (values or {}).items():
        text = re.sub(rf"\b{name}\b", value, text)
    blocks = re.findall(r"^ *```console\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    return [[line.strip() for line in block.splitlines()] for block in blocks]


def query_of(section: str) -> str:
    """The SQL of a section."""
    _, _, rest = RUNBOOK.read_text().partition(f" {section}\n")
    query = re.search(r"```sql\n(.*?)```", rest, re.DOTALL)
    assert query is not None
    return query[1]


def run(command: str) -> Result:
    """Run a `roadmap` command. The shell prints the arguments that it would get."""
    script = f'roadmap() {{ printf "%s\\0" "$@"; }}; {command}'
    parsed = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True, env={})
    return CliRunner().invoke(app, parsed.stdout.split("\0")[:-1], catch_exceptions=False)
