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
print(json.dumps([transform(template, given, NoPolicies()) for template, given in json.load(sys.stdin)]))
"""


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


def transformed(deployments: Sequence[Deployment]) -> list[Template]:
    """The resources that CloudFormation receives."""
    done = subprocess.run(
        [environment_python("cloud"), "-c", _SCRIPT],
        input=json.dumps([tuple(deployment) for deployment in deployments]),
        env={"AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    templates: list[Template] = json.loads(done.stdout)
    return templates


def live_versions(template: Template) -> dict[str, str]:
    """The logical id of the version that each function's alias points to, by the function's logical id."""
    return {
        alias["Properties"]["FunctionName"]["Ref"]: alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
        for alias in template["Resources"].values()
        if alias["Type"] == "AWS::Lambda::Alias"
    }
