"""The expected answers of IAM for each function's role, with the real ARNs of a deployed stack.

Every action that the template allows is allowed on the stack's own resource, and denied on a foreign one of
the same kind. `make smoke` calls IAM's policy simulator (never run yet).
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from checks.template.declared import Function, functions_in
from checks.template.permissions import WITHOUT_RESOURCE
from local_stack.template_file import Template

FORBIDDEN = ("s3:DeleteBucket", "s3:PutBucketPolicy", "lambda:UpdateFunctionCode", "iam:PassRole")
"""Actions that must not be allowed for any function on any resource."""

_REFERENCE = re.compile(r"\$\{([\w.:]+)\}")


class Expectation(NamedTuple):
    """An action on a resource, and whether a function's role may do it."""

    logical_id: str
    action: str
    arn: str
    allowed: bool


def expectations(template: Template, values: Mapping[str, str]) -> Iterator[Expectation]:
    """The expected answers of IAM.

    Args:
        values: pseudo parameters, parameters and attributes by their names in `Fn::Sub`: `AWS::Region`,
            `ContentBucket.Arn`. If a parameter has no value, the stack does not have its statement.
    """
    for function in functions_in(template):
        for action in FORBIDDEN:
            yield Expectation(function.logical_id, action, "*", allowed=False)
        yield from _of_statements(function, values)


def _of_statements(function: Function, values: Mapping[str, str]) -> Iterator[Expectation]:
    own = {
        (action, arn)
        for statement in function.statements
        if statement.effect == "Allow" and not WITHOUT_RESOURCE.issuperset(statement.actions)
        for resource in statement.resources
        for arn in (resolved(resource, values) or "").split(",")  # a parameter may be a list
        if arn
        for action in statement.actions
    }
    for action, arn in sorted(own):
        yield Expectation(function.logical_id, action, arn, allowed=True)
        yield Expectation(function.logical_id, action, foreign(arn), allowed=False)


def resolved(resource: str, values: Mapping[str, str]) -> str | None:
    """Resolve a resource in the notation of `Fn::Sub` to its ARN; `None` if a value is empty.

    Raises:
        KeyError: a name is not in `values`.
    """
    names = _REFERENCE.findall(resource)
    if not all(values[name] for name in names):
        return None
    arn = _REFERENCE.sub(lambda match: values[match[1]], resource)
    return arn.replace("*", "smoke")


def foreign(arn: str) -> str:
    """An ARN of the same kind in the same account that does not belong to this stack."""
    partition, service, region, account, resource = arn.split(":", 5)[1:]
    kind, separator, rest = resource.partition(":" if ":" in resource else "/")
    if service == "s3":
        return f"arn:{partition}:s3:::foreign-{resource}"
    return f"arn:{partition}:{service}:{region}:{account}:" + (
        f"{kind}{separator}foreign-{rest}" if separator else f"foreign-{resource}"
    )
