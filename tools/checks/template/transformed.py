"""Check the template that CloudFormation receives: after SAM's transform, with a deployment's parameters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_stack.template_file import Template

from .concrete import concrete, references
from .deployments import Deployed
from .findings import Finding
from .linters import lint_resources
from .sam_transform import Deployment, packaged, transformed

_MOST_RESOURCES = 500
"""CloudFormation's limit for a template."""

_RETAINED = ("AWS::Lambda::LayerVersion", "AWS::Lambda::Version", "AWS::StepFunctions::StateMachineVersion")
"""A rollback returns to the previous ones, so CloudFormation must not delete them."""


def check_transformed(deployments: Sequence[tuple[Template, Deployed]]) -> Iterator[Finding]:
    """Check the transformed templates of deployments.

    Deployments share most resources. Each resource is checked once; a finding names the first deployment that
    has it.
    """
    answers = transformed([Deployment(packaged(source), each.parameters) for source, each in deployments])
    known: dict[str, list[Any]] = {}
    merged: dict[str, Any] = {}
    first_in: dict[str, str] = {}
    for (_, deployed), answer in zip(deployments, answers, strict=True):
        if isinstance(answer, str):
            yield Finding(deployed.name, f"SAM refuses the template: {answer}")
            continue
        template = concrete(answer, deployed.parameters, deployed.stack_name)
        new = {}
        for logical_id, resource in template["Resources"].items():
            seen = known.setdefault(logical_id, [])
            if resource not in seen:
                name = f"{logical_id}V{len(seen)}" if seen else logical_id
                seen.append(resource)
                new[logical_id] = merged[name] = resource
                first_in[name] = f"{deployed.name}: {logical_id}"
        for finding in _findings(template, new):
            yield Finding(f"{deployed.name}: {finding.place}", finding.fault)
    for finding in lint_resources(merged):
        yield Finding(first_in.get(finding.place, finding.place), finding.fault)


def _findings(template: Template, new: Mapping[str, Any]) -> Iterator[Finding]:
    """The findings of a deployment's new resources, and those of the deployment as a whole."""
    resources = template["Resources"]
    if len(resources) > _MOST_RESOURCES:
        yield Finding("the template", f"{len(resources)} resources, of at most {_MOST_RESOURCES}")
    for place, part in (*resources.items(), *template["Outputs"].items()):
        needed = part.get("DependsOn", [])
        named = {*references(part), *([needed] if isinstance(needed, str) else needed)}
        for name in sorted(named - resources.keys() - {"AWS::StackId"}):
            yield Finding(place, f"refers to {name}, which does not exist")
    for logical_id, resource in new.items():
        if resource["Type"] in _RETAINED and resource.get("DeletionPolicy") != "Retain":
            yield Finding(logical_id, "is deleted with the next deployment, and no rollback is possible")
