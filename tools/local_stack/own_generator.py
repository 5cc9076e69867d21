"""`def generate(event)` of a file as a Lambda function of the local cloud, in a process of its own.

Executed as a program, it is a client of Lambda's runtime API: standard library only, in the Python of the
`roadmap` command, with the packages that the file imports. The file is read again after each change.
"""

import json
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn
from urllib.request import ProxyHandler, Request, build_opener

NAME = "roadmap-own-generator"
"""The name of the function."""


def write_environment(file: Path) -> None:
    """Keep this process's environment for the file's: functions of the local cloud inherit none."""
    file.touch(mode=0o600)  # it may contain keys of a model
    file.write_text(json.dumps(dict(os.environ)))


class Reader:
    """Reads `generate` from a file, again after each change."""

    def __init__(self, file: Path) -> None:
        self._file, self._changed = file, 0
        self._generate: Callable[[Any], object] | None = None

    def generate(self, event: object) -> object:
        """The answer of the file's function. Raises the errors of the file."""
        changed = self._file.stat().st_mtime_ns
        if self._generate is None or changed != self._changed:
            self._generate = runpy.run_path(str(self._file))["generate"]
            self._changed = changed
        return self._generate(event)


def answer_of(generate: Callable[[Any], object], event: object) -> tuple[str, str]:
    """The kind of a function's answer to an event, `response` or `error`, and the answer as JSON."""
    try:
        return "response", json.dumps(generate(event))
    except Exception as error:  # noqa: BLE001 - as the real runtime reports any error of a function
        traceback.print_exc()
        return "error", json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)})


def serve(reader: Reader, api: str) -> NoReturn:
    """Answer the invocations of a runtime API at this address, one after another."""
    url = f"http://{api}/2018-06-01/runtime/invocation"
    requests = build_opener(ProxyHandler({}))
    while True:
        with requests.open(f"{url}/next") as response:
            request_id, event = response.headers["Lambda-Runtime-Aws-Request-Id"], json.load(response)
        kind, body = answer_of(reader.generate, event)
        requests.open(Request(f"{url}/{request_id}/{kind}", body.encode())).close()  # noqa: S310 - our own URL


def main(file: str, environment: str) -> NoReturn:
    """Serve the runtime API that started this process, with the environment of `roadmap up`."""
    api = os.environ["AWS_LAMBDA_RUNTIME_API"]
    os.environ.clear()
    os.environ.update(json.loads(Path(environment).read_text()))
    sys.path.insert(0, str(Path(file).parent))
    serve(Reader(Path(file)), api)


if __name__ == "__main__":
    main(*sys.argv[1:])
