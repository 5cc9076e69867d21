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

from local_stack.processes import HOST, becomes_true, free_port, has_ended, kill_group, spawn
from local_stack.stack import ARCHITECTURE
from local_stack.template_file import Template

from .command import sam, sam_command, sam_environment
from .errors import CommandFailedError

_DEADLINE_SECONDS = 600.0
_ALIAS = re.compile(r"\$\{(\w+)\.(?:Alias|Version)\}")


class Invocation(NamedTuple):
    """The response of a function or its error, and its log."""

    answer: Any
    log: str


class Containers:
    """Runs functions of a template that `sam build` made.

    `environment` contains the Docker host for the SAM CLI, and the credentials for the functions.
    """

    def __init__(
        self, template: Path, environment: Mapping[str, str], directory: Path, *, pull: bool
    ) -> None:
        self._environment = environment
        self._log = directory / "api.log"
        skip = [] if pull else ["--skip-pull-image"]
        architecture = ["--parameter-overrides", f"Architecture={ARCHITECTURE}"]
        self._options: list[str] = ["--template-file", str(template), *architecture, *skip]

    def invoke(self, logical_id: str, event: Path) -> Invocation:
        """Run a function once.

        Raises:
            CommandFailedError: it could not be run.
        """
        arguments = ["local", "invoke", logical_id, "--event", str(event), *self._options]
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
        )
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


def with_variables(template: Template, variables: Mapping[str, Mapping[str, str]]) -> Template:
    """The template with exactly these environment variables for its functions."""

    def changed(logical_id: str, resource: Any) -> Any:  # noqa: ANN401 - any resource
        if logical_id not in variables:
            return resource
        environment = {"Environment": {"Variables": dict(variables[logical_id])}}
        return resource | {"Properties": resource["Properties"] | environment}

    resources = {name: changed(name, resource) for name, resource in template["Resources"].items()}
    functions = {
        name: value for name, value in template["Globals"]["Function"].items() if name != "Environment"
    }
    return template | {"Resources": resources, "Globals": template["Globals"] | {"Function": functions}}


def without_aliases(part: Any) -> Any:  # noqa: ANN401 - any part of a template
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
        with urllib.request.urlopen(url):  # noqa: S310 - our own server
            return True
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return True
    except (urllib.error.URLError, ConnectionError):
        return False
