"""`sam local invoke` and `sam local start-api`: run the built functions in containers."""

import json
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from local_stack.errors import CommandFailedError
from local_stack.processes import HOST, becomes_true, free_port, has_ended, kill_group, spawn
from local_stack.stack import ARCHITECTURE
from release.sam_cli import sam, sam_command, sam_environment

_DEADLINE_SECONDS = 600.0
_ALIAS = re.compile(r"\$\{(\w+)\.(?:Alias|Version)\}")


class Invocation(NamedTuple):
    """The response of a function or its error, and its log."""

    answer: Any
    log: str


class Containers:
    """Runs functions of a template that `sam build` made.

    `template` is the built one, and `api` the same for the API; `variables` is the file for `--env-vars`.
    `environment` contains the Docker host for the SAM CLI, and the credentials for the functions.
    """

    def __init__(
        self, template: Path, api: Path, variables: Path, environment: Mapping[str, str], *, pull: bool
    ) -> None:
        self._environment = environment
        self._log = variables.with_name("api.log")
        self._template = template
        self._api = api
        self._options: list[str] = [
            *("--env-vars", str(variables)),
            # SAM passes only variables that the template declares. With a value, the template declares this
            # one.
            *("--parameter-overrides", f"Architecture={ARCHITECTURE} AwsEndpointUrl=local"),
            *([] if pull else ["--skip-pull-image"]),
        ]

    def invoke(self, logical_id: str, event: Path) -> Invocation:
        """Run a function once.

        Raises:
            CommandFailedError: it could not be run.
        """
        arguments = ["local", "invoke", logical_id, "--event", str(event), *self._options]
        arguments += ["--template-file", str(self._template)]
        output = sam(*arguments, environment=self._environment)
        try:
            return Invocation(json.loads(output.answer), output.log)
        except json.JSONDecodeError as error:
            raise CommandFailedError(f"{logical_id} did not answer\n{output.last_words}") from error

    @contextmanager
    def api(self) -> Iterator[str]:
        """Serve the API; return its URL.

        Raises:
            CommandFailedError: it does not respond.
        """
        port = free_port()
        command = sam_command(
            *("local", "start-api", "--host", HOST, "--port", str(port), "--warm-containers", "LAZY"),
            *self._options,
            *("--template-file", self._api),
        )
        # A shell starts its background jobs with SIGINT ignored, and a child inherits that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = spawn(command, sam_environment(self._environment), self._log, detached=False)
        url = f"http://{HOST}:{port}"
        try:
            becomes_true(lambda: has_ended(process) or _is_served(url), _DEADLINE_SECONDS)
            if not _is_served(url):
                last_words = self._log.read_text().splitlines()[-20:]
                raise CommandFailedError("\n".join(["sam local start-api does not answer", *last_words]))
            yield url
        finally:
            if not has_ended(process):
                process.send_signal(signal.SIGINT)  # so that it removes its containers
                becomes_true(lambda: has_ended(process), _DEADLINE_SECONDS)
            kill_group(process)


def without_aliases(part: Any) -> Any:
    """The template with references to functions instead of their aliases and versions.

    The SAM CLI does not support aliases here. For an authorizer it would print a warning and allow every
    request.
    """
    match part:
        case {"Ref": str(name)} if name.endswith((".Alias", ".Version")):
            return {"Fn::GetAtt": [name.partition(".")[0], "Arn"]}
        case {"Fn::Sub": str(pattern)}:
            return {"Fn::Sub": _ALIAS.sub(r"${\1.Arn}", pattern)}
        case dict():
            return {key: without_aliases(value) for key, value in part.items()}
        case list():
            return [without_aliases(each) for each in part]
        case _:
            return part


def _is_served(url: str) -> bool:
    try:
        with urllib.request.urlopen(url):
            return True
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return True
    except (urllib.error.URLError, ConnectionError):
        return False
