"""The functions of the template with their environment variables and permissions."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from local_stack.template_file import Template


class Statement(NamedTuple):
    """An IAM statement."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    """In the notation of `Fn::Sub`: `${Bucket.Arn}/staged/*`. Those of a role's trust are all."""

    conditions: Mapping[str, Any]
    """The values of `StringEquals` by key."""


class Function(NamedTuple):
    """A Lambda function of the template."""

    logical_id: str
    name: str
    """The name of its folder in `functions/` and of its event in `events/`."""

    variables: frozenset[str]
    """All environment variables of the function."""

    own_variables: frozenset[str]
    """The variables that are set for this function only."""

    statements: tuple[Statement, ...]
    """The statements of its role's policies, under any condition."""

    keeps_failures: bool
    """Whether Lambda sends failed events to a destination."""


def functions_in(template: Template) -> list[Function]:
    """The functions of a template, with its global settings applied."""
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
    """The statements of a role: of its inline policies and of the template's managed policies."""
    managed = [
        resources[policy["Ref"]]["Properties"] if "Ref" in policy else {"PolicyDocument": {"Statement": []}}
        for policy in _alternatives(role.get("ManagedPolicyArns", []))
    ]
    for policy in [*_alternatives(role.get("Policies", [])), *managed]:
        for statement in _alternatives(policy["PolicyDocument"]["Statement"]):
            yield Statement(
                statement["Effect"],
                tuple(_listed(statement["Action"])),
                tuple(_spelled(resource) for resource in _alternatives(statement.get("Resource", "*"))),
                statement.get("Condition", {}).get("StringEquals", {}),
            )


def _alternatives(value: Any) -> Iterator[Any]:  # noqa: ANN401 - a part of a template
    """All possible values of a value or list, under any condition."""
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
    """A resource in the notation of `Fn::Sub`."""
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
