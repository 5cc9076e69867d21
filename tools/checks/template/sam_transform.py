"""SAM's own transform, as CloudFormation applies it, for many templates in one separate process."""

import copy
import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from local_stack.environments import environment_python
from local_stack.template_file import Template

_LOCAL_PATHS = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}

_SCRIPT = """
import json, sys
from samtranslator.translator.transform import transform
class NoPolicies:
    def load(self):
        return {}
from samtranslator.model.exceptions import InvalidDocumentException
def result(template, given):
    try:
        return transform(template, given, NoPolicies())
    except InvalidDocumentException as error:
        return error.message + "".join(f" {cause.message}" for cause in error.causes)
print(json.dumps([result(template, given) for template, given in json.load(sys.stdin)]))
"""


class TransformError(Exception):
    """The transform could not run, or refused a template. The message contains its output."""


class Deployment(NamedTuple):
    """A template with the parameters of a deployment."""

    template: Template
    parameters: Mapping[str, str]


def packaged(template: Template, contents: Mapping[str, str] | None = None) -> Template:
    """The template after `sam package`: its artefacts are in S3, under keys that depend on the content."""
    changed = copy.deepcopy(template)
    for logical_id, resource in changed["Resources"].items():
        if name := _LOCAL_PATHS.get(resource["Type"]):
            content = (contents or {}).get(logical_id, resource["Properties"][name].replace("/", "-"))
            resource["Properties"][name] = f"s3://artifacts/{content}"
    return changed


def transformed(deployments: Sequence[Deployment]) -> list[Template | str]:
    """The templates that CloudFormation receives; a refused deployment's message in place of its template."""
    done = subprocess.run(
        [environment_python("cloud"), "-c", _SCRIPT],
        input=json.dumps([tuple(deployment) for deployment in deployments]),
        env={"AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise TransformError(done.stderr)
    templates: list[Template | str] = json.loads(done.stdout)
    return templates


def accepted(deployments: Sequence[Deployment]) -> list[Template]:
    """The same for deployments that SAM accepts.

    Raises:
        TransformError: SAM refuses one.
    """
    templates = []
    for template in transformed(deployments):
        if isinstance(template, str):
            raise TransformError(template)
        templates.append(template)
    return templates
