"""Run one command of the real AWS CLI, without AWS: in the environment `sam`.

The CLI parses a command and formats its output. Its requests are not sent: each gets an answer with the shape
of its operation. A failed command is added to the file `failures`. Each stack has the outputs in `OUTPUTS`.
"""

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from awscli.clidriver import create_clidriver  # type: ignore[import-not-found, unused-ignore]
from botocore.response import StreamingBody

VERSION_2_ONLY = {"--cli-binary-format", "raw-in-base64-out", "--no-cli-pager"}
"""Options of version 2, which is not published as a package, and their values."""

NAMED = {
    "Account": "123456789012",
    "StackStatus": "UPDATE_COMPLETE",
    "Status": "CREATE_COMPLETE",
    "ExecutionStatus": "AVAILABLE",
}
"""Values that a waiter or `cloudformation deploy` waits for, and one that another command measures."""

SCALARS = {"boolean": True, "timestamp": "2026-11-26T00:00:00Z"} | dict.fromkeys(
    ("integer", "long", "float", "double"), 1
)


def sample(shape: Any, name: str = "", depth: int = 0) -> Any:
    """An answer with every member of its shape, but those that announce another page."""
    kind = shape.type_name
    if kind == "structure":
        members = shape.members.items() if depth < 6 else ()
        return {
            key: sample(member, key, depth + 1)
            for key, member in members
            if not key.lower().endswith(("token", "marker", "truncated", "position"))
        }
    if kind == "list":
        return [sample(shape.member, name, depth + 1)] * 2
    if kind == "map":
        return {}
    if kind == "blob":
        return StreamingBody(io.BytesIO(b"{}"), 2) if depth == 1 else b"x"
    return SCALARS.get(kind, NAMED.get(name, "available"))


def answer(model: Any, **_: object) -> tuple[Any, Any]:
    """The answer to a request."""
    answered = sample(model.output_shape) if model.output_shape else {}
    if model.name == "DescribeStacks":
        answered["Stacks"][0]["Outputs"] = [
            {"OutputKey": key, "OutputValue": f"the-value-of-{key}"} for key in os.environ["OUTPUTS"].split()
        ]
    answered["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}}
    return SimpleNamespace(status_code=200, headers={}), answered


def main(words: list[str]) -> int:
    """Run the command; return its exit code."""
    driver = create_clidriver()
    driver.session.register("before-call", answer)
    try:
        code = driver.main([word for word in words if word not in VERSION_2_ONLY]) or 0
    except SystemExit as exited:
        code = exited.code or 0
    if code:
        with Path(os.environ["HOME"], "failures").open("a") as failures:
            failures.write(json.dumps(words) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
