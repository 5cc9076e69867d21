"""A server that runs commands of the real AWS CLI, without AWS: in the environment `operator`.

The CLI parses a command and formats its output. Its requests are not sent: each gets an answer with the shape
of its operation. A stack has the outputs that are given as JSON, by its name. Each connection is one command;
the log has a line of JSON for each request.

Usage: aws_cli.py SOCKET LOG OUTPUTS
"""

import contextlib
import io
import json
import os
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

from awscli.clidriver import create_clidriver  # type: ignore[import-not-found, unused-ignore]
from botocore.response import StreamingBody

VERSION_2_ONLY = {"--cli-binary-format": 1, "--no-cli-pager": 0}
"""Options of version 2, which is not published as a package, with the number of their values."""

TOKENS = {
    "nexttoken",
    "marker",
    "nextmarker",
    "nextkeymarker",
    "nextversionidmarker",
    "istruncated",
    "position",
}
"""Members that announce another page."""

NAMED = {"StackStatus": "UPDATE_COMPLETE", "Status": "CREATE_COMPLETE", "ExecutionStatus": "AVAILABLE"}
"""Values that a waiter or `cloudformation deploy` waits for."""


def sample(shape: Any, name: str = "", depth: int = 0) -> Any:
    """An answer with every member of its shape; a list has two elements."""
    kind = shape.type_name
    if kind == "structure":
        members = shape.members.items() if depth < 6 else ()
        return {key: sample(each, key, depth + 1) for key, each in members if key.lower() not in TOKENS}
    if kind == "list":
        return [_numbered(sample(shape.member, name, depth + 1), number) for number in (1, 2)]
    if kind == "map":
        return {}
    if kind == "blob":
        return StreamingBody(io.BytesIO(b"{}"), 2) if depth == 1 else b"x"
    if kind in ("integer", "long", "float", "double"):
        return 1
    if kind == "boolean":
        return True
    if kind == "timestamp":
        return "2026-11-26T00:00:00Z"
    return NAMED.get(name, "available")


def _numbered(value: Any, number: int) -> Any:
    """An element of a list; its keys and versions differ from those of the others."""
    if isinstance(value, dict):
        return {
            key: f"{each}-{number}" if key in ("Key", "VersionId") else each for key, each in value.items()
        }
    return value


def run(
    arguments: Sequence[str], directory: str, log: TextIO, outputs: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Run one command; return its exit code and output."""
    words = list(arguments)
    for option, values in VERSION_2_ONLY.items():
        if option in words:
            place = words.index(option)
            del words[place : place + values + 1]

    given: dict[str, Any] = {}

    def answer(model: Any, **_: object) -> tuple[Any, Any]:
        answered = sample(model.output_shape) if model.output_shape else {}
        if model.name == "DescribeStacks":
            keys = outputs[given["StackName"]]
            answered["Stacks"][0]["Outputs"] = [
                {"OutputKey": key, "OutputValue": f"the-value-of-{key}"} for key in keys
            ]
        answered["ResponseMetadata"] = {"HTTPStatusCode": 200, "HTTPHeaders": {}}
        return SimpleNamespace(status_code=200, headers={}), answered

    def record(params: Any, model: Any, **_: object) -> None:
        given.clear()
        given.update(params)
        line = {"operation": f"{model.service_model.service_name}.{model.name}", "params": params}
        log.write(json.dumps(line, default=str) + "\n")
        log.flush()

    os.chdir(directory)
    driver = create_clidriver()
    driver.session.register("before-parameter-build", record)
    driver.session.register("before-call", answer)
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            code = driver.main(words)
        except SystemExit as exit_:
            code = exit_.code
        except Exception:  # noqa: BLE001 - the CLI prints it
            errors.write(traceback.format_exc())
            code = 255
    return {"code": code or 0, "output": output.getvalue(), "errors": errors.getvalue()}


def main(path: str, log_path: str, stacks: str) -> None:
    """Serve until the process is ended."""
    outputs = json.loads(stacks)
    os.environ.update(AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_CONFIG_FILE="/nonexistent")
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    with socket.socket(socket.AF_UNIX) as server, Path(log_path).open("a") as log:
        server.bind(path)
        server.listen()
        print("ready", flush=True)  # noqa: T201
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rw") as stream:
                request = json.loads(stream.readline())
                answer = run(request["arguments"], request["directory"], log, outputs)
                stream.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
