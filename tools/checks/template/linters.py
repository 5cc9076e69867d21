"""Run linters in environments made from lock files, and return their findings.

cfn-lint, which `sam validate --lint` runs, too, does not check the state machine's definition. asl-validator
checks its JSONata, and statelint its transitions.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from checks.npm import node, npm_packages
from local_stack.environments import environment_python
from local_stack.template_file import Template

from .findings import Finding
from .statemachine import substituted, without_computed_numbers

_ASL_VALIDATOR = Path(__file__).parent / "asl"
_REGION = "eu-central-1"
_CFN_LINT = "from cfnlint.runner import main; main()"


class LinterError(Exception):
    """A linter could not run. The message contains its output."""


def lint_with_cfn_lint(template: Path) -> Iterator[Finding]:
    """cfn-lint with warnings, and suppressed rules as findings."""
    said = _run("-c", _CFN_LINT, "--format", "json", "--regions", _REGION, "--template", template)
    for match in _json(said):
        line = match["Location"]["Start"]["LineNumber"]
        yield Finding(f"cfn-lint {match['Rule']['Id']}", f"line {line}: {match['Message']}")
    if re.search(r"^ *cfn-lint:", template.read_text(), re.MULTILINE):
        yield Finding("cfn-lint", "suppressed in the template")


def lint_resources(resources: Template) -> Iterator[Finding]:
    """cfn-lint for resources of many deployments together, which no single template could have."""
    # Resources of a template, its bytes; and relations between resources, which belong to one deployment.
    together = ("E3010", "I3010", "E1002", "I1002", "E3019", "W2530")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "resources.json"
        path.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
        options = ("--format", "json", "--regions", _REGION, "--ignore-checks", *together)
        said = _run("-c", _CFN_LINT, *options, "--template", path)
    for match in _json(said):
        _, logical_id, *inside = match["Location"]["Path"] or ("Resources", "the template")
        where = ".".join(map(str, inside))
        yield Finding(logical_id, f"cfn-lint {match['Rule']['Id']}: {where}: {match['Message']}")


def lint_with_checkov(path: Path, template: Template) -> Iterator[Finding]:
    """Checkov; a suppression without a reason or without need is a finding."""
    suppressed = {
        (logical_id, skip["id"]): skip.get("comment")
        for logical_id, resource in template["Resources"].items()
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }
    with TemporaryDirectory() as directory:
        # Checkov also reports suppressions of rules that it would not report, so it gets the template without
        # them.
        bare = Path(directory) / path.name
        bare.write_text(re.sub(r"^( +)checkov:$", r"\1shown:", path.read_text(), flags=re.MULTILINE))
        options = ("--framework", "cloudformation", "--skip-download", "--compact", "--output", "json")
        results = _json(_run("-m", "checkov.main", "--file", bare, *options))["results"]
    for problem in results["parsing_errors"]:
        yield Finding("checkov", f"cannot read {problem}")
    found = {
        (check["resource"].rpartition(".")[2], check["check_id"]): check for check in results["failed_checks"]
    }
    for (logical_id, check_id), check in found.items():
        if (logical_id, check_id) not in suppressed:
            yield Finding(f"checkov {check_id}", f"{logical_id}: {check['check_name']}")
    for (logical_id, check_id), reason in suppressed.items():
        if not reason:
            yield Finding(f"checkov {check_id}", f"{logical_id}: suppressed without a reason")
        if (logical_id, check_id) not in found:
            yield Finding(f"checkov {check_id}", f"{logical_id}: suppressed and not found")


def lint_state_machine(definition: Path) -> Iterator[Finding]:
    """asl-validator and statelint."""
    text = substituted(definition.read_text())
    with TemporaryDirectory() as directory:
        asl = Path(directory) / definition.name
        asl.write_text(text)
        validator = npm_packages(_ASL_VALIDATOR) / "asl-validator/dist/bin/asl-validator.js"
        command: list[str | Path] = [node() / "bin/node", validator, "--json-path", asl]
        yield from _complaints(subprocess.run(command, capture_output=True, text=True))
        asl.write_text(without_computed_numbers(text))
        yield from _complaints(_run("-m", "statelint", asl))


def _complaints(said: subprocess.CompletedProcess[str]) -> Iterator[Finding]:
    if said.returncode:
        yield Finding("the state machine", (said.stdout + said.stderr).strip())


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a module with the linters' Python. Scripts of a renamed environment would not find their
    interpreter.
    """
    return subprocess.run([environment_python("checks"), *arguments], capture_output=True, text=True)


def _json(said: subprocess.CompletedProcess[str]) -> Any:  # noqa: ANN401 - the JSON output of a linter
    try:
        return json.loads(said.stdout)
    except ValueError as error:
        raise LinterError(said.stdout + said.stderr) from error
