"""The template as the functions see it: what each has in its environment, and what its role allows."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from local_stack.template_file import Template


class Statement(NamedTuple):
    """An IAM statement."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """As `Fn::Sub` would spell them: `${Bucket.Arn}/staged/*`."""


class Function(NamedTuple):
    """A Lambda function of the template."""

    logical_id: str
    name: str
    """Its folder in `functions/`, and its event's name in `events/`."""

    variables: frozenset[str]
    """The environment variables that are set for it."""

    own_variables: frozenset[str]
    """Those of them that are set for it alone."""

    statements: tuple[Statement, ...]
    """What its role's policies say, whatever the conditions."""

    keeps_failures: bool
    """Whether Lambda sends on events that it failed."""


def functions_in(template: Template) -> list[Function]:
    """The functions of a template, with what is global to all of them."""
    resources = template["Resources"]
    common = template["Globals"]["Function"]["Environment"]["Variables"].keys()
    functions = []
    for logical_id, resource in resources.items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        properties = resource["Properties"]
        own = properties.get("Environment", {}).get("Variables", {}).keys()
        role = resources[properties["Role"]["Fn::GetAtt"][0]]["Properties"]
        functions.append(
            Function(
                logical_id,
                name=properties["CodeUri"].removeprefix("functions/"),
                variables=frozenset(common | own),
                own_variables=frozenset(own - common),
                statements=tuple(statements_of(role, resources)),
                keeps_failures="OnFailure" in str(properties.get("EventInvokeConfig", {})),
            )
        )
    return functions


def statements_of(role: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[Statement]:
    """The statements of a role: of its own policies, and of the managed ones that the template makes."""
    managed = [
        resources[policy["Ref"]]["Properties"] if "Ref" in policy else {"PolicyDocument": {"Statement": []}}
        for policy in role.get("ManagedPolicyArns", [])
    ]
    for policy in [*_alternatives(role.get("Policies", [])), *managed]:
        for statement in _alternatives(policy["PolicyDocument"]["Statement"]):
            yield Statement(
                statement["Effect"],
                tuple(_listed(statement["Action"])),
                tuple(_spelled(resource) for resource in _listed(statement["Resource"])),
            )


def _alternatives(value: Any) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401 - a part of a template
    """Everything that a value can be, or that a list can hold, whatever the conditions."""
    match value:
        case list():
            for member in value:
                yield from _alternatives(member)
        case {"Fn::If": [_, so, otherwise]}:
            yield from _alternatives(so)
            yield from _alternatives(otherwise)
        case {"Ref": "AWS::NoValue"}:
            pass
        case _:
            yield value


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - a part of a template
    return value if isinstance(value, list) else [value]


def _spelled(resource: Any) -> str:  # noqa: ANN401 - a part of a template
    """A resource as `Fn::Sub` would spell it."""
    match resource:
        case str():
            return resource
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": path}:
            return f"${{{'.'.join(path)}}}"
        case {"Fn::Sub": [str(pattern), _]} | {"Fn::Sub": str(pattern)}:
            return pattern
        case _:
            return str(resource)
